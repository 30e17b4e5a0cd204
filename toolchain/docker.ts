import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Engine } from "../components/docker-engine/client.ts";
import { explainUnreachable } from "../components/docker-engine/connection-errors.ts";
import { asRoot, canInstallPackages, installPackages, type RootRun } from "./debian.ts";
import { findProgram, run, say, step } from "./steps.ts";

/** The address of a Docker engine that answers: DOCKER_HOST, the docker context, or one of the usual sockets. */
export function findDocker(): Promise<string> {
  return searchDocker(() => {
    throw new Error(`no Docker engine answers here: \`bulkhead up\` starts one where it can, or set DOCKER_HOST`);
  });
}

/** The same; on Debian and Ubuntu without one, Docker is installed and started, and that is said aloud. */
export function provideDocker(): Promise<string> {
  return searchDocker(async () => {
    const rootRun = asRoot();
    if (!canInstallPackages() || !rootRun) {
      throw new Error(
        "no Docker engine answers: start Docker (https://docs.docker.com/get-docker/), or set DOCKER_HOST",
      );
    }
    if (findProgram("dockerd") === undefined) {
      say("no Docker engine here: installing Debian's docker.io");
      await installPackages(["docker.io"]);
    }
    await step("starting Docker", () => start(rootRun));
    const fault = await faultOf(SYSTEM_SOCKET);
    if (fault) throw new Error(explainUnreachable(SYSTEM_SOCKET, fault));
    return SYSTEM_SOCKET;
  });
}

async function searchDocker(whereNoneIs: () => Promise<string>): Promise<string> {
  const named = process.env["DOCKER_HOST"];
  if (named) {
    const fault = await faultOf(named);
    if (fault) throw new Error(`DOCKER_HOST: ${explainUnreachable(named, fault)}`);
    return named;
  }
  let forbidden: string | undefined;
  for (const host of [await contextHost(), ...usualSockets()]) {
    if (host === undefined) continue;
    const fault = await faultOf(host);
    if (fault === undefined) return host;
    if (isForbidden(fault)) forbidden ??= explainUnreachable(host, fault);
  }
  // One is there: another beside it is not what is missing.
  if (forbidden !== undefined) throw new Error(forbidden);
  return whereNoneIs();
}

/** Where Docker is if nobody has said otherwise. */
export const SYSTEM_SOCKET = "unix:///var/run/docker.sock";
const START_TIMEOUT_MS = 30_000;

/** Why an engine does not answer; nothing if it does. */
async function faultOf(host: string): Promise<Error | undefined> {
  const engine = new Engine(host);
  try {
    await engine.ping();
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    engine.close();
  }
}

function isForbidden(fault: Error): boolean {
  return fault.message.includes("EACCES");
}

/** What the docker CLI would use, if it is there and has a context of its own. */
async function contextHost(): Promise<string | undefined> {
  if (findProgram("docker") === undefined) return undefined;
  const host = await run("docker", ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).catch(() => "");
  return host.trim() || undefined;
}

function usualSockets(): string[] {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  const home = homedir();
  return [
    "/var/run/docker.sock",
    // Rootless Docker.
    ...(runtime ? [join(runtime, "docker.sock")] : []),
    // Docker Desktop, Colima, OrbStack, Rancher Desktop.
    ...[".docker/run", ".docker/desktop", ".colima/default", ".orbstack/run", ".rd"].map((directory) =>
      join(home, directory, "docker.sock"),
    ),
  ].map((path) => `unix://${path}`);
}

/** By systemd where it runs, else by the service script, else by itself: the first way after which an engine answers. */
async function start(rootRun: RootRun): Promise<void> {
  const ways: (() => Promise<unknown>)[] = [];
  if (existsSync("/run/systemd/system")) ways.push(() => rootRun("systemctl", ["start", "docker"]));
  else {
    if (findProgram("service")) ways.push(() => rootRun("service", ["docker", "start"]));
    ways.push(() => startAlone(rootRun));
  }
  for (const way of ways) {
    try {
      await way();
    } catch (error) {
      say(`${(error as Error).message.split("\n")[0]}: trying another way`);
      continue;
    }
    if (await answers()) return;
  }
}

/** For machines without an init system. It outlives this program, as a service would. */
async function startAlone(rootRun: RootRun): Promise<void> {
  await rootRun("sh", ["-c", "setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &"]);
}

async function answers(): Promise<boolean> {
  for (const start = Date.now(); Date.now() - start < START_TIMEOUT_MS; await delay(300)) {
    const fault = await faultOf(SYSTEM_SOCKET);
    // An engine that says no is there.
    if (fault === undefined || isForbidden(fault)) return true;
  }
  return false;
}
