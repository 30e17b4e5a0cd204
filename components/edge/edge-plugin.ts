import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Files of Traefik's plugin, by their names. */
export const EDGE_PLUGIN = Object.fromEntries(
  [".traefik.yml", "edge.go"].map((file) => [
    file,
    readFileSync(join(import.meta.dirname, "edge-plugin", file), "utf8"),
  ]),
);
