// Volumes with data, and services that are not uid 1000.
import * as https from "node:https";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dataUse } from "../../cli/doctor/data-use.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";

const DOMAIN = "images.test";
const WORD = "a-word-that-nobody-else-may-read";
const VOLUME = "images-images-uploads";
const engine = new Engine(process.env["DOCKER_HOST"]!);
let project: TestProject;
let config: Record<string, unknown>;
let ca: string;
let images: Record<string, string>;

beforeAll(async () => {
  images = { ...pinned, ...(await provideImages(engine, everyStacks)) };
  const certificates = await makeCertificates(DOMAIN);
  ca = certificates.ca;
  config = {
    "images:images": { traefik: images["traefik"], haproxy: images["haproxy"], node: images["node"] },
    "images:domain": DOMAIN,
    "images:certificatePem": certificates.certificate,
    "images:privateKeyPem": certificates.privateKey,
    "images:word": WORD,
    // So that an edge which goes has nobody to wait for.
    "images:edge": { keepAliveSeconds: 1 },
  };
  project = await createTestProject({
    stack: "images",
    config,
    program: new URL("../programs/images", import.meta.url).pathname,
  });
  await up();
});

afterAll(async () => {
  await removeStack(engine, "images-images");
  await engine.delete(`/volumes/${VOLUME}`).catch(() => undefined);
  project?.remove();
  engine.close();
});

async function up(change: Record<string, unknown> = {}): Promise<string> {
  project.setConfig({ ...config, ...change });
  const { code, stdout, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(stdout + stderr, 60)}`);
  return stdout;
}

test("a volume with data is its owner's, written by who says so, and told how full it is", async () => {
  // The image has the folder, with files, as root's: nothing of that is in the volume.
  expect(await listing()).toEqual(["33:33 ."]);
  expect(await ask("/writer/secret")).toEqual([200, WORD]);
  expect(await ask("/reader/")).toEqual([500, "ENOENT"]);
  expect(await ask("/reader/write")).toEqual([500, "EROFS"]);
  expect(await ask("/writer/write")).toEqual([200, "kept"]);
  expect(await ask("/reader/")).toEqual([200, "kept"]);
  expect(await listing()).toEqual(["33:33 .", "33:33 uploaded"]);
  expect((await project.up()).stdout).toMatch(/\n {4}\d+ unchanged\n/);
  expect(await dataUse(engine, "images-images")).toEqual([{ name: "uploads", usedMb: 4 / 2 ** 20, maxMb: 100 }]);
});

test("a folder of the host moves in, a new release and another size find all, and the stack's end leaves it", async () => {
  // As docs/how-to/data-volume.md has it.
  const folder = await docker(["volume", "create", "images-old-uploads"]);
  try {
    await onVolume(
      folder,
      "mkdir -p /v/2024 && echo old >/v/2024/one && chmod 640 /v/2024/one && ln -s one /v/2024/two",
    );
    const { Mountpoint } = await engine.get<{ Mountpoint: string }>(`/volumes/${folder}`);
    await docker([
      ...["run", "--rm", "--network", "none", "--user", "0:0", "--entrypoint", "/bin/sh"],
      ...["-v", `${Mountpoint}:/from:ro`, "-v", `${VOLUME}:/to`, images["traefik"]!],
      ...["-c", "cp -a /from/. /to/ && chown -R 33:33 /to"],
    ]);
  } finally {
    await docker(["volume", "rm", folder]);
  }
  const all = ["33:33 .", "33:33 2024", "33:33 2024/one", "33:33 2024/two", "33:33 uploaded"];
  expect(await listing()).toEqual(all);
  const before = await idOf("reader");
  await up({ "images:generation": "2", "images:maxMb": 50 });
  expect(await ask("/writer/")).toEqual([200, "kept"]);
  expect(await listing()).toEqual(all);
  // Another size rolls nothing.
  expect(await idOf("reader")).toBe(before);
  expect((await dataUse(engine, "images-images"))![0]).toMatchObject({ name: "uploads", maxMb: 50 });
  const { code } = await project.destroy();
  expect(code).toBe(0);
  expect(await listing()).toEqual(all);
  await up();
  expect(await ask("/reader/")).toEqual([200, "kept"]);
});

/** Owner and path of all that is in the volume. */
async function listing(): Promise<string[]> {
  const lines = (await onVolume(VOLUME, "cd /v && find . -exec stat -c '%u:%g %n' {} +")).split("\n");
  return lines.map((line) => line.replace("./", "")).sort();
}

function onVolume(volume: string, script: string): Promise<string> {
  const image = images["traefik"]!;
  const run = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh"];
  return docker([...run, "-v", `${volume}:/v`, image, "-c", script]);
}

async function docker(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand("docker", args);
  if (code !== 0) throw new Error(`docker ${args[0]}: ${stderr}`);
  return stdout.trim();
}

async function idOf(name: string): Promise<string> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: ["bulkhead.stack=images-images", `bulkhead.name=${name}`] }),
  );
  const [found] = await engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
  return found!.Id;
}

/** Status and body. */
function ask(path: string): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const to = { host: "127.0.0.1", port: 8443, path, ca, servername: DOMAIN, headers: { host: DOMAIN }, agent: false };
    https
      .get(to, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (part: string) => (body += part));
        response.on("end", () => resolve([response.statusCode!, body]));
      })
      .on("error", reject);
  });
}
