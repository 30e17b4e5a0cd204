// A site of a folder, and one that a Dockerfile makes.
import { Config } from "@pulumi/pulumi";
import { ServedRoutes } from "../../../components/edge/served-routes.ts";
import { StaticSite } from "../../../components/edge/static-site.ts";
import { testEdge } from "../edge.ts";

const config = new Config();
const { edge } = await testEdge(config);
const folder = config.require("folder");

new StaticSite("app", {
  ...{ edge, folder: `${folder}/app`, singlePage: true, immutable: ["/static"], drainSeconds: 2 },
  routes: { paths: ["/"] },
});
new StaticSite("docs", {
  ...{ edge, build: { context: `${folder}/docs`, output: "/out" }, drainSeconds: 2 },
  routes: { paths: ["/docs"] },
});
new ServedRoutes("routes", { edge });
