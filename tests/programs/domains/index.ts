// A service for each name that the edge serves: it says which it is, and on a TCP port too, with and without TLS.
import { WebService } from "../../../components/edge/web-service.ts";
import { platform } from "../../../components/platform.ts";
import { settings } from "./settings.ts";

const config = settings.load();
const { edge, stackOutputs } = await platform(config);
const APP = `
const { NAME } = process.env;
require("node:http").createServer(({ headers }, response) => response.end(NAME + " for " + headers.host)).listen(8000);
require("node:net").createServer((socket) => socket.end(NAME + " by TCP")).listen(9000);
`;
for (const [index, host] of edge.hosts.entries())
  new WebService(index === 0 ? "main" : `further-${index}`, {
    edge,
    image: config.images.node,
    port: 8000,
    command: ["node", "--eval", APP],
    env: { NAME: host },
    health: { test: ["CMD", "node", "--eval", "fetch('http://127.0.0.1:8000/').catch(() => process.exit(1))"] },
    healthPath: "/",
    limits: { memoryMb: 256, cpus: 1, pids: 64 },
    drainSeconds: 1,
    routes: { host, paths: ["/"] },
    // One port for all: clients say by SNI whom they want.
    tcp: host.startsWith("*.") ? {} : { wire: { port: 9000, host } },
  });

export const { url, services } = stackOutputs();
