/** A piece of what a container wrote: Docker sends each line, or each 16 KiB of a long one, as a frame of its own. */
export interface Frame {
  from: "stdout" | "stderr";
  content: Buffer;
}

/**
 * Docker's frames out of a stream that is cut anywhere: a byte for the stream, three of nothing, four for the length, and
 * the content.
 */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    let at = 0;
    while (at + HEADER <= this.#rest.length) {
      const end = at + HEADER + this.#rest.readUInt32BE(at + 4);
      if (end > this.#rest.length) break;
      frames.push({ from: this.#rest[at] === 2 ? "stderr" : "stdout", content: this.#rest.subarray(at + HEADER, end) });
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
    return frames;
  }
}

const HEADER = 8;
