// Volumes with data, and services that are not uid 1000.
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dataUse } from "../../cli/doctor/data-use.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { imageVariants } from "../support/image-variants.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { writeSmallApp } from "../support/packed-package.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { loginFile, startRegistry } from "../support/registry.ts";
import { provideSmallImage } from "../support/small-image.ts";

const DOMAIN = "images.test";
const WORD = "a-word-that-nobody-else-may-read";
const VOLUME = "images-images-uploads";
const engine = new Engine(process.env["DOCKER_HOST"]!);
const logins = mkdtempSync(join(tmpdir(), "bulkhead-logins-"));
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
    // No login of the person's.
    env: { DOCKER_CONFIG: logins },
  });
  await up();
});

afterAll(async () => {
  await removeStack(engine, "images-images");
  await engine.delete(`/volumes/${VOLUME}`).catch(() => undefined);
  project?.remove();
  rmSync(logins, { recursive: true });
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

test("a private registry gives its images to who may have them, and who may not is told before anything changes", async () => {
  const guard = { user: "shop", token: "a-token-of-the-registry-0123456789", ...(await makeCertificates("127.0.0.1")) };
  const registry = await startRegistry([], guard);
  const busy = createServer((request, response) => {
    if (request.url === "/v2/") return response.end();
    response.writeHead(429).end(JSON.stringify({ errors: [{ code: "TOOMANYREQUESTS", message: "slow down" }] }));
  }).listen(0, "127.0.0.1");
  await once(busy, "listening");
  const login = join(logins, "config.json");
  const small = await provideSmallImage({ exec: (command, args) => runCommand(command, args) });
  try {
    const reference = await registry.push(small, "shop/app:1");
    const address = reference.split("/")[0]!;
    const cold = () => docker(["rmi", "--force", reference.replace(/:1@/, "@")]).catch(() => undefined);
    await cold();
    const arm = await docker(["import", "--platform", "linux/arm64", await emptyArchive()]);
    const limited = `127.0.0.1:${(busy.address() as AddressInfo).port}/app:1@sha256:${"0".repeat(64)}`;
    const before = await running();
    const registries = (token: string) => ({ [address]: { user: "shop", token } });
    const refused = async (change: Record<string, unknown>) => {
      project.setConfig({ ...config, ...change });
      const { code, stdout, stderr } = await project.up();
      expect(code).not.toBe(0);
      expect(stdout + stderr).not.toContain(guard.token);
      return stdout + stderr;
    };
    const all = await refused({ "images:pulled": { private: reference, limited, arm } });
    expect(all).toContain(
      `images.private: ${address} wants to know who asks: give a user and a token in registries, or docker login on this machine`,
    );
    expect(all).toContain("has had too many requests (429), and gives nothing for now: give a user and a token");
    expect(all).toContain(`images.arm: ${arm} is for arm64, and the host is amd64`);
    expect(
      await refused({ "images:pulled": { private: reference }, "images:registries": registries("wrong") }),
    ).toContain(`images.private: ${address} refuses the user shop: give one that may pull ${reference}`);
    expect(await running()).toEqual(before);

    await up({ "images:pulled": { private: reference }, "images:registries": registries(guard.token) });
    expect((await running()).length).toBe(before.length + 1);
    // The history has the stack file, where this test has the token in clear.
    await expect(
      runCommand("grep", ["-r", guard.token, join(project.directory, "state", ".pulumi", "stacks")]),
    ).resolves.toMatchObject({
      code: 1,
    });
    // Docker's login of this machine, when the stack names none.
    await up();
    await cold();
    writeFileSync(login, loginFile(address, guard));
    await up({ "images:pulled": { private: reference } });
    expect((await running()).length).toBe(before.length + 1);
    await docker(["rmi", arm]);
  } finally {
    busy.close();
    await registry.stop();
  }
});

test("an image with a volume of its own is refused, or has it in memory; every weakening has its effect, and the edge alone asks", async () => {
  const variants = imageVariants();
  try {
    const image = await variants.of(images["node"]!, "VOLUME /data", "ENTRYPOINT []");
    const before = await running();
    project.setConfig({ ...config, "images:kinds": { image } });
    const { code, stdout, stderr } = await project.up();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain(
      "kinds: its image declares a volume at /data, which Docker would put on the host's disk",
    );
    expect(await running()).toEqual(expect.arrayContaining(before));
    await up({ "images:kinds": { image, tmpfsMb: { "/data": 8 } } });
    const [status, body] = await ask("/kinds/what");
    expect([status, body]).toEqual([200, JSON.stringify({ uid: 0, pid: 1 })]);
    const kinds = await engine.get<Inspected>(`/containers/${await idOf("kinds")}/json`);
    expect(kinds).toMatchObject({ HostConfig: { Init: false, ReadonlyRootfs: false }, Config: { User: "0:0" } });
    expect(kinds.Mounts.filter(({ Type }) => Type === "volume")).toEqual([]);
    expect(kinds.State.Health).toBeUndefined();
    expect((await project.up()).stdout).toMatch(/\n {4}\d+ unchanged\n/);
    await up();
  } finally {
    await variants.remove();
  }
});

test("an image without a shell serves, and what cannot do without one is told what to give", async () => {
  const image = await bareImage();
  try {
    const serving = () => Promise.all(["writer", "reader", "edge-door"].map(idOf));
    const before = await serving();
    const refused = async (bare: object) => {
      project.setConfig({ ...config, "images:bare": { image, ...bare } });
      const { code, stdout, stderr } = await project.up();
      expect(code).not.toBe(0);
      expect(await serving()).toEqual(before);
      return stdout + stderr;
    };
    const cure = "Its image has no /bin/sh, by which this runs: give it an image that has one";
    expect(await refused({})).toMatch(new RegExp(`bare-pre-deploy: the container [^]*?${cure}`));
    const job = await refused({ isScheduled: true });
    expect(job).toMatch(/bare-job: the container /);
    expect(job).toContain(cure);

    await up({ "images:bare": { image, preDeployImage: images["node"] } });
    expect(await ask("/bare/")).toEqual([200, "bare\n"]);
    const id = await idOf("bare");
    expect((await engine.get<Inspected>(`/containers/${id}/json`)).State.Health).toBeUndefined();
    expect((await runCommand("docker", ["exec", id, "/bin/sh", "-c", "true"])).code).not.toBe(0);
    expect((await project.up()).stdout).toMatch(/\n {4}\d+ unchanged\n/);
    await up();
  } finally {
    await docker(["rmi", "--force", image]);
  }
});

/** FROM scratch, with a static program and what it serves. */
async function bareImage(): Promise<string> {
  const root = join(project.directory, "bare");
  await writeSmallApp(root, "");
  mkdirSync(join(root, "www", "bare"));
  writeFileSync(join(root, "www", "bare", "index.html"), "bare\n");
  writeFileSync(join(root, "www", "health"), "");
  const archive = join(project.directory, "bare.tar");
  await runCommand("tar", ["--create", "--file", archive, "--directory", root, "busybox", "www"]);
  const image = `bulkhead.local/variant:${"ba4e".repeat(4)}`;
  await docker(["import", archive, image]);
  return image;
}

interface Inspected {
  Config: { User: string };
  HostConfig: { Init: boolean; ReadonlyRootfs: boolean };
  Mounts: { Type: string }[];
  State: { Health?: object };
}

/** Ids of all that runs of the stack. */
async function running(): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: ["bulkhead.stack=images-images"] }));
  return (await engine.get<{ Id: string }[]>(`/containers/json?filters=${filters}`)).map(({ Id }) => Id).sort();
}

async function emptyArchive(): Promise<string> {
  const archive = join(project.directory, "empty.tar");
  await runCommand("tar", ["--create", "--file", archive, "--files-from", "/dev/null"]);
  return archive;
}

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
