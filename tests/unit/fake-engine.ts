import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";

export interface FakeEngine {
  /** For `new Engine`; DOCKER_HOST has it too, until the test ends. */
  host: string;
  /** What it was asked, like `GET /containers/json`. */
  requests: string[];
  /** Ends every connection. */
  hangUp: () => void;
  stop: () => Promise<void>;
}

/** A new host has no networks of a stack. */
const nothingOf = (request: string): object | undefined => (request.startsWith("GET /networks?") ? [] : undefined);

/** What Docker answers: an object as JSON, bytes as they are, and 404 for nothing. What it is, it says by itself. */
type Answer = (request: string, body: unknown) => object | undefined;

/** Speaks Docker's protocol on a socket, for the test that starts it; there are no containers behind it. */
export async function startFakeEngine(
  answer: Answer,
  { ApiVersion = "1.47", version = {}, info = (): object => SETTINGS } = {},
): Promise<FakeEngine> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-fake-engine-"));
  const socket = join(directory, "docker.sock");
  const requests: string[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const asked = `${request.method} ${request.url}`;
      // Every host is asked for its settings.
      if (asked !== "GET /info") requests.push(asked);
      const body =
        asked === "GET /_ping"
          ? {}
          : asked === "GET /version"
            ? { ApiVersion, ...version }
            : asked === "GET /info"
              ? info()
              : (answer(asked, bodyOf(request.headers["content-type"], text)) ?? nothingOf(asked));
      if (body === undefined) response.statusCode = 404;
      response.end(body instanceof Buffer ? body : JSON.stringify(body ?? { message: `no such thing: ${asked}` }));
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  vi.stubEnv("DOCKER_HOST", `unix://${socket}`);
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await stop();
    rmSync(directory, { recursive: true });
  });
  return { host: `unix://${socket}`, requests, hangUp: () => server.closeAllConnections(), stop };
}

/** An archive is given as its bytes. */
function bodyOf(type: string | undefined, text: string): unknown {
  return text === "" ? undefined : type === "application/x-tar" ? text : JSON.parse(text);
}

const SETTINGS = { SecurityOptions: ["name=seccomp,profile=builtin"], CgroupDriver: "systemd" };
