// What Docker sends of a container's log, as lines with their times.
import { FrameDecoder, type Frame } from "../../components/docker-engine/frames.ts";

export interface LogLine {
  from: Frame["from"];
  /** By the host's clock, in RFC 3339 with nine digits: it sorts as text. */
  time: string;
  text: string;
}

/** Takes what comes with `timestamps=1`, cut anywhere. A line that is not whole yet is kept until it is. */
export class LineDecoder {
  readonly #frames = new FrameDecoder();
  readonly #open = new Map<Frame["from"], { time: string; parts: Buffer[] }>();
  readonly #tty: boolean;
  #raw: Buffer = Buffer.alloc(0);

  /** @param tty of a container with a terminal Docker sends bytes without frames. */
  constructor(tty: boolean) {
    this.#tty = tty;
  }

  push(chunk: Buffer): LogLine[] {
    return this.#tty ? this.#pushRaw(chunk) : this.#frames.push(chunk).flatMap((frame) => this.#pushFrame(frame));
  }

  /** The last line, of a container that ended without ending it. */
  end(): LogLine[] {
    const open = [...this.#open].map(([from, { time, parts }]) => line(from, time, Buffer.concat(parts)));
    const raw = this.#raw.length > 0 ? [rawLine(this.#raw)] : [];
    this.#open.clear();
    this.#raw = Buffer.alloc(0);
    return [...open, ...raw];
  }

  /** Each frame has its time in front, also the further ones of a long line. */
  #pushFrame({ from, content }: Frame): LogLine[] {
    const [time, text] = split(content);
    const open = this.#open.get(from) ?? { time, parts: [] };
    open.parts.push(text);
    this.#open.set(from, open);
    if (text.at(-1) !== NEWLINE) return [];
    this.#open.delete(from);
    return [line(from, open.time, Buffer.concat(open.parts))];
  }

  #pushRaw(chunk: Buffer): LogLine[] {
    this.#raw = Buffer.concat([this.#raw, chunk]);
    const lines: LogLine[] = [];
    for (let end = this.#raw.indexOf(NEWLINE); end >= 0; end = this.#raw.indexOf(NEWLINE)) {
      lines.push(rawLine(this.#raw.subarray(0, end + 1)));
      this.#raw = this.#raw.subarray(end + 1);
    }
    return lines;
  }
}

const NEWLINE = 10;

function split(content: Buffer): [string, Buffer] {
  const blank = content.indexOf(" ");
  return [content.toString("utf8", 0, blank), content.subarray(blank + 1)];
}

function rawLine(bytes: Buffer): LogLine {
  const [time, text] = split(bytes);
  const whole = line("stdout", time, text);
  // The further parts of a long line have the time of the first.
  return { ...whole, text: whole.text.replaceAll(`${time} `, "") };
}

function line(from: Frame["from"], time: string, text: Buffer): LogLine {
  return { from, time, text: text.toString().replace(/\r?\n$/, "") };
}

/** How far a log was read, so that after a break nothing is told twice, and nothing is left out. */
export class Cursor {
  /** Of each stream, as only the lines of one are in the order of their times. */
  readonly #last = new Map<LogLine["from"], { time: string; count: number }>();
  #first: string | undefined;
  #seen = new Map<LogLine["from"], number>();

  /** From where to read on, in the seconds that Docker takes: with an overlap, as the two streams are written apart. */
  get since(): string | undefined {
    const times = [...this.#last.values()].map(({ time }) => time).sort();
    const latest = times.at(-1);
    if (latest === undefined) return undefined;
    return String(Math.floor(new Date(latest).getTime() / 1000) - OVERLAP_SECONDS);
  }

  /** Before it is read on: what is at the time of the last line comes once more. */
  rewind(): void {
    this.#seen = new Map();
  }

  /** Whether a line is new. */
  takes({ from, time }: LogLine): boolean {
    this.#first ??= time;
    const last = this.#last.get(from);
    if (time < (last?.time ?? this.#first)) return false;
    if (last === undefined || time > last.time) {
      this.#last.set(from, { time, count: 1 });
      this.#seen.set(from, 1);
      return true;
    }
    const seen = (this.#seen.get(from) ?? 0) + 1;
    this.#seen.set(from, seen);
    if (seen <= last.count) return false;
    last.count = seen;
    return true;
  }
}

const OVERLAP_SECONDS = 2;
