import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A registry that an engine asks for images which cannot be had. */
export interface BadRegistry {
  /** A reference whose digest it does not know. */
  missing: string;
  /** A reference under whose digest it has something else. */
  wrong: string;
  close: () => void;
}

export async function startBadRegistry(): Promise<BadRegistry> {
  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
  const type = "application/vnd.docker.distribution.manifest.v2+json";
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: type, config: {}, layers: [] });
  const server = createServer((request, response) => {
    if (request.url === "/v2/") return response.end();
    if (request.url === `/v2/wrong/manifests/${digest}`) {
      const headers = { "content-type": type, "content-length": manifest.length, "docker-content-digest": digest };
      return response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : manifest);
    }
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }));
  });
  // Engines speak plain HTTP to a registry on 127.0.0.1.
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const reference = (name: string) => `127.0.0.1:${port}/${name}:1@${digest}`;
  return {
    missing: reference("missing"),
    wrong: reference("wrong"),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
