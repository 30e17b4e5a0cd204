import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { hijack } from "../../components/docker-engine/connections.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { FrameDecoder } from "../../components/docker-engine/frames.ts";

/** What the command reads and writes: this process's own. */
export interface Streams {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean; setRawMode?: (raw: boolean) => void; destroy?: () => void };
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
  stderr: NodeJS.WritableStream;
}

/** Runs a command in a container; gives its exit code. */
export async function runInContainer(
  engine: Engine,
  container: string,
  command: readonly string[],
  { stdin, stdout, stderr }: Streams = process,
): Promise<number> {
  const terminal = Boolean(stdin.isTTY && stdout.isTTY);
  const { Id } = await engine.post<{ Id: string }>(`/containers/${container}/exec`, {
    ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: terminal, Cmd: command },
    ...(terminal && { Env: [`TERM=${process.env["TERM"] ?? "xterm"}`] }),
  });
  const { connection, head } = await hijack(engine, `/exec/${Id}/start`, { Detach: false, Tty: terminal });
  const resize = () =>
    void engine.post(`/exec/${Id}/resize?h=${stdout.rows ?? 24}&w=${stdout.columns ?? 80}`).catch(() => undefined);
  if (terminal) {
    stdin.setRawMode!(true);
    resize();
    stdout.on("resize", resize);
  }
  try {
    // Its end is the end of the command's input, while what the command writes goes on.
    stdin.pipe(connection);
    const decoder = new FrameDecoder();
    await read(connection, head, (bytes) => {
      if (terminal) return void stdout.write(bytes);
      for (const { from, content } of decoder.push(bytes)) (from === "stderr" ? stderr : stdout).write(content);
    });
  } finally {
    stdin.unpipe(connection);
    stdout.off("resize", resize);
    if (terminal) stdin.setRawMode!(false);
    // Somebody may still hold the other end open, and nobody reads it any more.
    stdin.destroy?.();
    connection.destroy();
  }
  return exitCode(engine, Id);
}

function read(connection: Duplex, head: Buffer, take: (bytes: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (head.length > 0) take(head);
    connection.on("data", take);
    connection.on("end", resolve);
    connection.on("close", resolve);
    connection.on("error", reject);
  });
}

async function exitCode(engine: Engine, id: string): Promise<number> {
  // Its output may end a moment before it does.
  for (let left = 20; ; left--) {
    const { ExitCode, Running } = await engine.get<{ ExitCode: number | null; Running: boolean }>(`/exec/${id}/json`);
    if (!Running && ExitCode !== null) return ExitCode;
    if (left === 0) throw new Error("the connection to the command broke off, and it may still run");
    await delay(100);
  }
}
