import { mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import type { Duplex } from "node:stream";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Stands between a deploy and the engine, and sees every call that changes something. */
export interface DockerProxy {
  /** For DOCKER_HOST. */
  host: string;
  /** Called when the engine has carried a call out, and before the caller hears of it. */
  onChange: (call: string) => void;
  close: () => Promise<void>;
}

/**
 * A call is told in words that are the same in every run: `create backend`, `connect backend, network web`.
 *
 * @param engine unix://PATH of the real one.
 * @param stack what the names of its things begin with, which is left out.
 */
export async function startDockerProxy(engine: string, stack: string): Promise<DockerProxy> {
  const plain = (name: string) => plainName(name, stack);
  const engineSocket = new URL(engine).pathname;
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-docker-proxy-"));
  const socket = join(directory, "docker.sock");
  const agent = new http.Agent({ keepAlive: true });

  const ask = (request: http.IncomingMessage, body?: Buffer) =>
    new Promise<http.IncomingMessage>((resolve, reject) => {
      const { method, url, headers } = request;
      const asked = http.request({ agent, socketPath: engineSocket, method, path: url, headers }, resolve);
      asked.on("error", reject);
      if (body) asked.end(body);
      else request.pipe(asked);
    });
  const nameOf = async (id: string): Promise<string> => {
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get({ agent, socketPath: engineSocket, path: `/containers/${id}/json` }, resolve).on("error", reject);
    });
    const { Name } = JSON.parse(String(await contentOf(answer))) as { Name?: string };
    return plain(Name?.slice(1) ?? id);
  };

  const proxy: DockerProxy = {
    host: `unix://${socket}`,
    onChange: () => undefined,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
      rmSync(directory, { recursive: true });
    },
  };
  const handle = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const changes = ["POST", "PUT", "DELETE"].includes(request.method!) && !/\/(wait|resize)\b/.test(request.url!);
    // Only what is small has to be read here.
    const body = request.headers["content-type"] === "application/json" ? await contentOf(request) : undefined;
    // Of something that is removed nothing can be asked afterwards.
    const call = changes ? await describe(request, body, { nameOf, plain }) : undefined;
    const answer = await ask(request, body);
    const head = () => response.writeHead(answer.statusCode!, answer.statusMessage, answer.rawHeaders);
    if (call === undefined) {
      head();
      return void answer.pipe(response);
    }
    const content = await contentOf(answer);
    if (answer.statusCode! < 400) proxy.onChange(call);
    head();
    response.end(content);
  };
  const server = http.createServer((request, response) => {
    // Who was killed does not listen to an answer any more.
    handle(request, response).catch(() => response.destroy());
  });
  // A build talks with the engine over a connection that is no longer HTTP.
  server.on("upgrade", ({ method, url, headers }: http.IncomingMessage, client: Duplex, sentAlready: Buffer) => {
    const asked = http.request({ socketPath: engineSocket, method, path: url, headers });
    asked.on("upgrade", ({ statusCode, statusMessage, rawHeaders }, upstream, answeredAlready) => {
      client.write(`HTTP/1.1 ${statusCode} ${statusMessage}\r\n`);
      for (let at = 0; at < rawHeaders.length; at += 2) client.write(`${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`);
      client.write("\r\n");
      // What came in one piece with a head is not in the stream any more: a build would end with EOF.
      client.write(answeredAlready);
      upstream.write(sentAlready);
      client.pipe(upstream).pipe(client);
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const)
        one.on("error", () => other.destroy()).on("close", () => other.destroy());
    });
    asked.on("error", () => client.destroy());
    asked.end();
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return proxy;
}

async function contentOf(stream: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function describe(
  { method, url }: http.IncomingMessage,
  body: Buffer | undefined,
  { nameOf, plain }: { nameOf: (id: string) => Promise<string>; plain: (name: string) => string },
): Promise<string> {
  const { pathname, searchParams } = new URL(url!, "http://docker");
  const [kind, id = "", action] = pathname
    .replace(/^\/v[\d.]+/, "")
    .split("/")
    .slice(1)
    .map(decodeURIComponent);
  const sent = (body && body.length > 0 ? JSON.parse(String(body)) : {}) as Record<string, string>;
  if (kind === "build") return `build ${plain(searchParams.get("t")!)}`;
  if (kind === "volumes")
    return id === "create" ? `create volume ${plain(sent["Name"]!)}` : `remove volume ${plain(id)}`;
  if (kind === "images") return `${method === "DELETE" ? "remove" : action} image ${plain(id)}`;
  if (kind === "networks") {
    if (id === "create") return `create network ${plain(sent["Name"]!)}`;
    return action
      ? `${action} ${await nameOf(sent["Container"]!)}, network ${plain(id)}`
      : `remove network ${plain(id)}`;
  }
  if (kind === "containers") {
    if (id === "create") return `create ${plain(searchParams.get("name")!)}`;
    return `${method === "DELETE" ? "remove" : action} ${await nameOf(id)}`;
  }
  return `${method} ${pathname}`;
}

/** Without what differs from run to run, and from stack to stack. */
function plainName(name: string, stack: string): string {
  return name.replace(/-[0-9a-f]{7}$|:[0-9a-f]{16}$|-\d+$/, "").replace(new RegExp(`^reach-${stack}-`), "");
}
