import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { containers, ofType, record, type ContainerInputs } from "../tests/unit/recorder.ts";

/** What runs in production, drawn from the program itself: it runs here without an engine, and what it asks for is drawn. */
export async function picture(): Promise<string> {
  const { containers, networks } = await resourcesOf("prod");
  // Resources come in the order in which their inputs are ready, which is another in each run.
  const running = containers.filter(({ restart }) => restart === "always").sort(by(nameOf));
  const short = (name: string) => name.replace(`${STACK}-`, "");
  const lines = ["flowchart LR", "  clients([clients])"];
  for (const container of running) {
    const label = (key: string) => container.labels?.find(({ label }) => label === key)?.value ?? "";
    const limits = `${container.memory} MiB, ${Number(container.cpus)} CPU, ${label("bulkhead.pids")} pids`;
    lines.push(
      `  ${label("bulkhead.name")}["<b>${label("bulkhead.name")}</b><br>${imageName(container.image)}<br>${limits}"]`,
    );
  }
  for (const { name, internal } of networks.sort(by(({ name }) => name)))
    lines.push(`  ${short(name)}-network{{"network ${short(name)}${internal ? "<br>no internet" : ""}"}}`);
  for (const container of running) {
    const name = nameOf(container);
    for (const { external } of container.ports ?? []) lines.push(`  clients -- ${external} --> ${name}`);
    for (const network of container.networksAdvanced ?? []) lines.push(`  ${name} -.- ${short(network.name)}-network`);
  }
  for (const job of containers.filter(({ restart }) => restart === "no").sort(by(nameOf))) {
    const route = job.envs?.find((env) => env.startsWith("ROUTE="));
    if (route !== undefined) lines.push(...routes(JSON.parse(route.slice("ROUTE=".length)) as Route));
  }
  return ["```mermaid", ...lines, "```"].join("\n");
}

const STACK = "reach-prod";

function by<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => key(a).localeCompare(key(b));
}

interface Route {
  http: { routers: Record<string, { entryPoints: string[]; rule: string; service: string }> };
  tcp?: { routers: Record<string, { service: string }> };
}

function routes({ http, tcp }: Route): string[] {
  const paths = new Map<string, string[]>();
  for (const { entryPoints, rule, service } of Object.values(http.routers)) {
    if (!entryPoints.includes("websecure")) continue;
    const found = [...rule.matchAll(/PathPrefix\(`([^`]+?)\/?`\)/g)].map(([, path]) => path ?? "");
    paths.set(service, [...(paths.get(service) ?? []), ...found]);
  }
  for (const { service } of Object.values(tcp?.routers ?? {}))
    paths.set(service, [...(paths.get(service) ?? []), "tunnels"]);
  return [...paths].map(([service, found]) => `  edge == "${found.join(" ")}" ==> ${service}`);
}

function nameOf(container: ContainerInputs): string {
  return container.labels?.find(({ label }) => label === "bulkhead.name")?.value ?? "";
}

function imageName(reference: string): string {
  return reference.startsWith("sha256:") ? "built on the host" : reference.replace(/@.*/, "");
}

/** What the program asks for in a stack: it runs with the stack file's configuration and nothing behind it. */
async function resourcesOf(stack: string) {
  const file = parse(readFileSync(new URL(`../Pulumi.${stack}.yaml`, import.meta.url), "utf8")) as { config: object };
  // No host is asked for what it can do: the picture is the same for all.
  process.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock";
  const token = "not-a-token-but-as-long-as-one".padEnd(40, "-");
  const given = { "reach:host": "local", "reach:dnsApiToken": token, "reach:cloudflareApiToken": token };
  const config = { ...file.config, ...given };
  const texts = Object.entries(config).map(([key, value]) => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const recording = await record(() => import("../index.ts"), {
    stack,
    config: Object.fromEntries(texts) as Record<string, string>,
    secretKeys: ["reach:dnsApiToken", "reach:cloudflareApiToken"],
  });
  return {
    containers: containers(recording).map(({ inputs }) => inputs),
    networks: ofType<{ name: string; internal: boolean }>(recording, "docker:index/network:Network").map(
      ({ inputs }) => inputs,
    ),
  };
}
