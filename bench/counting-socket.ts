import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";

/** A socket before an engine's, which counts the calls that go through it. */
export interface CountingSocket {
  dockerHost: string;
  /** How many calls there were of each kind since it was last asked, such as `GET /containers/{}/json`. */
  take: () => Record<string, number>;
  close: () => void;
}

export function startCountingSocket(path: string, engineSocket: string): CountingSocket {
  let calls: Record<string, number> = {};
  const server = createServer((client) => {
    // What both ends say is handed on as it is: some calls turn into streams.
    const engine = connect(engineSocket);
    client.on("data", (chunk: Buffer) => {
      // A client writes the head of a call at once, and nothing that it sends after it looks like one.
      const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString("latin1", 0, 1000)) ?? [];
      if (method === undefined || target === undefined) return;
      const kind = `${method} ${target
        .replace(/^\/v[\d.]+/, "")
        .replace(/\?.*/, "")
        .replace(/[^/]*[0-9a-f]{7}[^/]*/, "{}")}`;
      calls[kind] = (calls[kind] ?? 0) + 1;
    });
    client.pipe(engine).pipe(client);
    client.on("error", () => engine.destroy());
    engine.on("error", () => client.destroy());
  }).listen(path);
  return {
    dockerHost: `unix://${path}`,
    take: () => {
      const taken = calls;
      calls = {};
      return taken;
    },
    close: () => {
      server.close();
      rmSync(path, { force: true });
    },
  };
}
