import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { containers, ofType, record } from "../testing/recorder.ts";
import { flowchart } from "../cli/report/diagram.ts";

/** What runs in production, drawn from the program itself: it runs here without an engine, and what it asks for is drawn. */
export async function picture(): Promise<string> {
  return flowchart({ ...(await resourcesOf("prod")), stackName: "reach-prod" });
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
