// A picture of what runs, as Mermaid: from what a program asks for, or from what a preview says that it will.
import { pathsIn } from "../../components/edge/request-paths.ts";
import { labelOf } from "../../policy/inputs.ts";
import type { ContainerInputs, NetworkInputs } from "../audit/expected-state.ts";

export interface Flow {
  /** What runs for ever, and the jobs that write what the edge serves. */
  containers: readonly Partial<ContainerInputs>[];
  networks: readonly Partial<NetworkInputs>[];
  /** What names on the host begin with. */
  stackName: string;
  /** How a container, or a network by its short name, is to be marked. @default not at all */
  marks?: ReadonlyMap<string, Mark>;
}

export type Mark = "new" | "changed" | "gone";

export function flowchart({ containers, networks, stackName, marks = new Map() }: Flow): string {
  // Resources come in the order in which their inputs are ready, which is another in each run.
  const sorted = [...containers].sort(by(nameOf));
  const running = sorted.filter(({ restart }) => restart === "always");
  const short = (name: string | undefined) => (name ?? "").replace(`${stackName}-`, "");
  const marked = (name: string) => (marks.has(name) ? `:::${marks.get(name)}` : "");
  const lines = ["flowchart LR", "  clients([clients])"];
  for (const container of running) {
    const name = nameOf(container);
    const limits = `${container.memory} MiB, ${Number(container.cpus)} CPU, ${labelOf(container, "bulkhead.pids")} pids`;
    lines.push(`  ${name}["<b>${name}</b><br>${imageName(container.image)}<br>${limits}"]${marked(name)}`);
  }
  for (const { name, internal } of [...networks].sort(by(({ name }) => String(name))))
    lines.push(
      `  ${short(name)}-network{{"network ${short(name)}${internal ? "<br>no internet" : ""}"}}${marked(`${short(name)}-network`)}`,
    );
  for (const container of running) {
    const name = nameOf(container);
    for (const { external } of container.ports ?? []) lines.push(`  clients -- ${external} --> ${name}`);
    for (const network of container.networksAdvanced ?? []) lines.push(`  ${name} -.- ${short(network.name)}-network`);
  }
  for (const { restart, envs } of sorted) {
    if (restart !== "no" || !Array.isArray(envs)) continue;
    const route = envs.find((env) => env.startsWith("ROUTE="));
    if (route !== undefined) lines.push(...routes(JSON.parse(route.slice("ROUTE=".length)) as Route));
  }
  for (const [mark, style] of Object.entries(STYLES))
    if ([...marks.values()].includes(mark as Mark)) lines.push(`  classDef ${mark} ${style}`);
  return ["```mermaid", ...lines, "```"].join("\n");
}

/** Seen on light pages and on dark ones. */
const STYLES: Record<Mark, string> = {
  new: "stroke:#2da44e,stroke-width:4px",
  changed: "stroke:#bf8700,stroke-width:4px",
  gone: "stroke:#cf222e,stroke-width:4px,stroke-dasharray:6",
};

interface Route {
  http: { routers: Record<string, { entryPoints: string[]; rule: string; service: string }> };
  tcp?: { routers: Record<string, { entryPoints: string[]; service: string }> };
}

function routes({ http, tcp }: Route): string[] {
  const paths = new Map<string, string[]>();
  for (const { entryPoints, rule, service } of Object.values(http.routers)) {
    // What the edge answers by itself leads nowhere.
    if (!entryPoints.includes("websecure") || service.endsWith("@internal")) continue;
    // A service has two routes for the same paths: the other is for bodies that do not say how long they are.
    paths.set(service, [...new Set([...(paths.get(service) ?? []), ...pathsIn(rule)])]);
  }
  for (const { entryPoints, service: route } of Object.values(tcp?.routers ?? {}))
    for (const port of entryPoints) {
      // Its name is that of the service and of the port.
      const service = route.slice(0, -`-${port}`.length);
      paths.set(service, [...(paths.get(service) ?? []), port]);
    }
  return [...paths].map(([service, found]) => `  edge == "${found.join(" ")}" ==> ${service}`);
}

function nameOf(container: Partial<ContainerInputs>): string {
  return labelOf(container, "bulkhead.name") ?? "";
}

/** A name with its tag, if it is one. */
function imageName(reference: string | undefined): string {
  const name = reference?.replace(/@.*/, "") ?? "";
  return name.includes(":") && !name.startsWith("sha256:") ? name : "built on the host";
}

function by<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => key(a).localeCompare(key(b));
}
