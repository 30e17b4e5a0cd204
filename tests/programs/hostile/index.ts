// A service of a few lines behind an edge.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Config } from "@pulumi/pulumi";
import { ServedRoutes } from "../../../components/edge/served-routes.ts";
import { WebService } from "../../../components/edge/web-service.ts";
import { testEdge } from "../edge.ts";

const config = new Config();
const { edge, images } = await testEdge(config, { tcp: { clients: 2222, talk: 2300, more: 2400 } });
interface AppArgs {
  paths: string[];
  maxBodyMb?: number;
  responseTimeoutSeconds?: number;
  drainSeconds?: number;
  tcp?: Record<string, number>;
}

const app = (name: string, args: AppArgs) =>
  new WebService(name, {
    edge,
    image: images.node,
    port: 8000,
    command: ["node", "--eval", readFileSync(join(import.meta.dirname, "app.cjs"), "utf8")],
    health: { test: ["CMD", "node", "--eval", "fetch('http://127.0.0.1:8000/').catch(() => process.exit(1))"] },
    healthPath: "/",
    env: {
      EXPECTED_DOMAIN: config.get("expectedDomain") ?? config.require("domain"),
      RELEASE: config.get("release") ?? "1",
      NAME: name,
      TCP: JSON.stringify(args.tcp ?? {}),
    },
    limits: { memoryMb: 256, cpus: 1, pids: 64 },
    drainSeconds: 1,
    routes: { paths: args.paths },
    ...args,
  });
app("app", { paths: ["/"], tcp: { clients: 9001 } });
const two = { talk: 9002, more: 9003 };
app("patient", { paths: ["/patient"], maxBodyMb: 2048, responseTimeoutSeconds: 120, drainSeconds: 8, tcp: two });
app("hasty", { paths: ["/hasty"], maxBodyMb: 1, responseTimeoutSeconds: 2 });
new ServedRoutes("routes", { edge });
