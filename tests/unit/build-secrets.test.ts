import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { buildSecrets } from "../../components/host/build-secrets.ts";

/** A machine where nothing is set, but for the pip.conf in /etc that this one may have. */
let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "bulkhead-home-"));
  for (const name of Object.keys(process.env))
    if (/^(pip|npm|https?|all|no)_|proxy$|cert|ca_bundle/i.test(name)) vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", home);
  vi.stubEnv("XDG_CONFIG_HOME", undefined);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true });
  });
});

function write(path: string, content: string): string {
  const file = join(home, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, content);
  return file;
}

function given(): Record<string, string> {
  return Object.fromEntries(buildSecrets().map(({ id, src }) => [id, src]));
}

/** What a shell has of them. */
function variable(name: string): string {
  const file = given()["build.env"]!;
  return spawnSync("sh", ["-c", `. "$0"; printf %s "$${name}"`, file], { encoding: "utf8", env: {} }).stdout;
}

test("a machine's own files are handed over, and named where the tools look for them", () => {
  const pip = write(".config/pip/pip.conf", "[global]\nindex-url = https://packages.test/simple\n");
  const npm = write(".npmrc", "registry=https://npm.test/\n");
  const ca = write("ca.pem", "PEM");
  vi.stubEnv("SSL_CERT_FILE", ca);
  expect(given()).toMatchObject({ "pip.conf": pip, npmrc: npm, "ca.pem": ca });
  expect(variable("PIP_CONFIG_FILE")).toBe("/run/secrets/pip.conf");
  expect(variable("npm_config_userconfig")).toBe("/run/secrets/npmrc");
  for (const name of ["PIP_CERT", "NODE_EXTRA_CA_CERTS"]) expect(variable(name), name).toBe("/run/secrets/ca.pem");
});

test("authorities that only pip's or npm's settings name are found too", () => {
  const ca = write("ca.pem", "PEM");
  write(".npmrc", `cafile = ${ca}\n`);
  // Its own settings name none.
  vi.stubEnv("PIP_CONFIG_FILE", write("pip.conf", "[global]\n"));
  expect(given()).toMatchObject({ "ca.pem": ca });
});

test("variables arrive as they are, in a file that only this user may read", () => {
  const proxy = "http://it's:$HOME`id`@proxy.test";
  vi.stubEnv("HTTPS_PROXY", proxy);
  vi.stubEnv("PIP_INDEX_URL", "https://packages.test/simple");
  vi.stubEnv("PIP_FIND_LINKS", "/only/here");
  expect(variable("HTTPS_PROXY")).toBe(proxy);
  expect(variable("PIP_INDEX_URL")).toBe("https://packages.test/simple");
  // A folder of this machine is no use to a build.
  expect(variable("PIP_FIND_LINKS")).toBe("");
  expect(statSync(given()["build.env"]!).mode & 0o777).toBe(0o600);
});

test("a token that npm's settings name comes with them, and no other variable", () => {
  write(".npmrc", "//npm.test/:_authToken=${SOME_TOKEN}\n");
  vi.stubEnv("SOME_TOKEN", "hunter2");
  vi.stubEnv("OTHER_TOKEN", "hunter3");
  expect(variable("SOME_TOKEN")).toBe("hunter2");
  expect(readFileSync(given()["build.env"]!, "utf8")).not.toContain("hunter3");
});

test("what is not there, or is no file, or is larger than a secret may be, is left out", () => {
  vi.stubEnv("PIP_CONFIG_FILE", write("pip.conf", ""));
  vi.stubEnv("PIP_CERT", join(home, "none.pem"));
  vi.stubEnv("REQUESTS_CA_BUNDLE", home);
  vi.stubEnv("SSL_CERT_FILE", write("large.pem", "x".repeat(600 * 1024)));
  expect(Object.keys(given()).sort()).toEqual(["build.env", "pip.conf"]);
});
