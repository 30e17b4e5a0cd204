import { createHash } from "node:crypto";
import { join } from "node:path";
import { packageDirectory } from "../cli/stack/program.ts";
import { Engine } from "../components/docker-engine/client.ts";
import { everyStacks, images } from "../tests/support/images.ts";
import { provideImages } from "../toolchain/images.ts";
import { step } from "../toolchain/steps.ts";
import { runCommand } from "../tests/support/command.ts";
import { buildFolder } from "../tests/support/image-variants.ts";
import type { RemoteHost } from "../tests/support/remote-host.ts";

export interface Releases {
  traefik: string;
  haproxy: string;
  frontend: string;
  /** One image, and the same with another name for itself in its answers. */
  backends: [string, string];
}

/** The images of this repository's program, built and loaded into the host, named as the program takes them. */
export async function provideReleases(host: RemoteHost): Promise<Releases> {
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const standIns = await provideImages(engine, everyStacks);
  engine.close();
  const { traefik, haproxy, python, node } = { ...images, ...standIns };
  const app = (name: string) => join(packageDirectory, "apps", name);
  await buildFolder("bulkhead-test/backend:bench", app("backend"), { PYTHON_IMAGE: python });
  await buildFolder("bulkhead-test/frontend:bench", app("frontend"), { NODE_IMAGE: node });
  const frontend = await variant("frontend", []);
  const [one, two] = [await variant("backend", ["ENV RELEASE=one"]), await variant("backend", ["ENV RELEASE=two"])];
  // The host pulls others itself.
  const proxies = [standIns.traefik, standIns.haproxy].filter((image) => image !== undefined);
  await step("loading the images into the host", () => host.loadImages([...proxies, frontend, one, two]));
  return { traefik, haproxy, frontend, backends: [one, two] };
}

async function variant(service: string, lines: string[]): Promise<string> {
  const dockerfile = [`FROM bulkhead-test/${service}:bench`, ...lines, ""].join("\n");
  const name = `bulkhead.local/${service}:${createHash("sha256").update(dockerfile).digest("hex").slice(0, 16)}`;
  await build(name, ["-"], dockerfile);
  return name;
}

async function build(name: string, args: string[], input?: string): Promise<void> {
  const { code, stderr } = await runCommand("docker", ["build", "--tag", name, ...args], { input, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`docker build: ${stderr}`);
}
