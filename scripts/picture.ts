import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { containers, ofType, record } from "../testing/recorder.ts";
import { packageDirectory, projectName } from "../cli/stack/program.ts";
import { flowchart } from "../cli/report/diagram.ts";

/**
 * What runs in production, drawn from the program itself: it runs here without an engine, and what it asks for is drawn.
 *
 * @param folder of the program, from that of this repository.
 */
export async function picture(folder = "."): Promise<string> {
  const directory = join(packageDirectory, folder);
  const project = projectName(directory);
  return flowchart({ ...(await resourcesOf(directory, project, "prod")), stackName: `${project}-prod` });
}

/** What a program asks for in a stack: it runs with the stack file's configuration and nothing behind it. */
async function resourcesOf(directory: string, project: string, stack: string) {
  const file = parse(readFileSync(join(directory, `Pulumi.${stack}.yaml`), "utf8")) as { config: object };
  // No host is asked for what it can do: the picture is the same for all.
  process.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock";
  const token = "not-a-token-but-as-long-as-one".padEnd(40, "-");
  const tokens = { [`${project}:dnsApiToken`]: token, [`${project}:cloudflareApiToken`]: token };
  const given = { [`${project}:host`]: "local", ...tokens };
  const config = { ...file.config, ...given };
  const texts = Object.entries(config).map(([key, value]) => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  // Where Pulumi runs it.
  process.chdir(directory);
  const recording = await record(() => import(join(directory, "index.ts")), {
    project,
    stack,
    config: Object.fromEntries(texts) as Record<string, string>,
    secretKeys: Object.keys(tokens),
  });
  return {
    containers: containers(recording).map(({ inputs }) => inputs),
    networks: ofType<{ name: string; internal: boolean }>(recording, "docker:index/network:Network").map(
      ({ inputs }) => inputs,
    ),
  };
}
