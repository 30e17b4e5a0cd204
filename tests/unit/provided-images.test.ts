import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeEach, expect, test } from "vitest";
import { provideImages, registryOf } from "../../components/host/provided-images.ts";
import type { Engine, RegistryLogin } from "../../components/docker-engine/client.ts";

const digest = `@sha256:${"0".repeat(64)}`;
const APP = `ghcr.io/me/app:1${digest}`;
const folder = mkdtempSync(join(tmpdir(), "bulkhead-logins-"));
process.env["DOCKER_CONFIG"] = folder;
const loggedIn = (config: object) => writeFileSync(join(folder, "config.json"), JSON.stringify(config));
const none = () => {
  throw new Error("nothing is made here");
};
beforeEach(async () => {
  loggedIn({});
  // Not a preview, whatever a test of another file left.
  await pulumi.runtime.setMocks({ newResource: none, call: none }, "shop", "prod", false);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A host without the image, whose registry says this; gives who was said to ask. */
async function pulling(says: string | undefined, registries?: Parameters<typeof provideImages>[2], image = APP) {
  const asked: (RegistryLogin | undefined)[] = [];
  let there = false;
  const engine = {
    get: () => Promise.resolve({ Architecture: "x86_64" }),
    find: () => Promise.resolve(there ? { Architecture: "amd64" } : undefined),
    pull: (_: string, login?: RegistryLogin) => {
      asked.push(login);
      there = says === undefined;
      return says === undefined ? Promise.resolve() : Promise.reject(new Error(says));
    },
  } as unknown as Engine;
  await provideImages(engine, { app: image, none: undefined }, registries);
  return asked;
}

const OWN = { "ghcr.io": { user: "me", token: "a-token-of-the-test" } };
const DENIED = "Head https://ghcr.io/v2/me/app/manifests/1: unauthorized: authentication required";

test.each([
  [
    DENIED,
    undefined,
    "ghcr.io wants to know who asks: give a user and a token in registries, or docker login on this machine",
  ],
  [DENIED, OWN, `ghcr.io refuses the user me: give one that may pull ${APP}, and its token, in registries`],
  [
    "toomanyrequests: slow down",
    undefined,
    "ghcr.io has had too many requests (429), and gives nothing for now: give a user and a token in registries, or docker " +
      "login on this machine, which most registries allow more, or run this again later",
  ],
  [
    "toomanyrequests: slow down",
    OWN,
    "ghcr.io has had too many requests (429), and gives nothing for now: run this again later",
  ],
  [
    "no matching manifest for linux/amd64 in the manifest list entries",
    undefined,
    `${APP} is not there for the host's processor: give the digest of an index that has it`,
  ],
])("a registry that says %j, asked as %j", async (says, registries, told) => {
  await expect(pulling(says, registries)).rejects.toThrow(`images.app: ${told}`);
});

test("what else keeps an image away is left to the container that needs it", async () => {
  await expect(pulling("dial tcp: connection refused", OWN)).resolves.toHaveLength(1);
});

test("the stack's own login comes before docker's", async () => {
  loggedIn({ auths: { "ghcr.io": { auth: btoa("you:of:docker") } } });
  const serveraddress = "ghcr.io";
  expect(await pulling(undefined, OWN)).toEqual([{ username: "me", password: "a-token-of-the-test", serveraddress }]);
  expect(await pulling(undefined)).toEqual([{ username: "you", password: "of:docker", serveraddress }]);
  expect(await pulling(undefined, OWN, `other.example/app:1${digest}`)).toEqual([undefined]);
});

test("an image says which registry it is from", () => {
  const of = ["nginx:1", "me/app:1", "ghcr.io/me/app:1", "localhost/app:1", "127.0.0.1:5000/app:1"].map(registryOf);
  expect(of).toEqual(["docker.io", "docker.io", "ghcr.io", "localhost", "127.0.0.1:5000"]);
});

test("an image for the edge that names a user is refused: it carries files too, and they would all be that user's", async () => {
  const engine = {
    get: () => Promise.resolve({ Architecture: "x86_64" }),
    find: () => Promise.resolve({ Architecture: "amd64", Config: { User: "nonroot" } }),
  } as unknown as Engine;
  await expect(provideImages(engine, { traefik: APP, app: APP })).rejects.toThrow(
    `images.traefik: ${APP} names the user nonroot: give one without USER, as the official is`,
  );
  await expect(provideImages(engine, { app: APP })).resolves.toBeUndefined();
});
