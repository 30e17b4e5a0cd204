// Two environments on two hosts, by the commands of docs/how-to/environments.md as a person types them: a stack made like another
// one, and the images that one runs promoted to the other.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import type { Finding } from "../../cli/audit/finding.ts";
import type { DaemonInfo } from "../../components/docker-engine/daemon-settings.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks, images as pinned } from "../support/images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { rowsOfAuditPage } from "../support/audit-page.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand, type CommandResult } from "../support/command.ts";
import { RepositoryCopy, repository } from "../support/copy.ts";
import { currentTestEngine } from "../support/engine.ts";
import { imageVariants } from "../support/image-variants.ts";
import { startLoad } from "../support/load.ts";
import { inspectAll, type ContainerInspect } from "../support/reach.ts";
import { startRegistry, type Registry } from "../support/registry.ts";
import { startRemoteHost, startSshAgent, type RemoteHost, type SshAgent } from "../support/remote-host.ts";

const STACKS = ["prod", "staging"] as const;
type Stack = (typeof STACKS)[number];
const TOKENS = { prod: "the-token-of-production", staging: "the-token-of-staging" };

let agent: SshAgent;
let registry: Registry;
let ca: string;
const hosts = {} as Record<Stack, RemoteHost>;
const engines = {} as Record<Stack, Engine>;
const copy = new RepositoryCopy();
const variants = imageVariants();
/** By digest. */
const releases = {} as Record<"backend" | "frontend" | "nextBackend", string>;
/** What the base of the frontend is called on the hosts. */
let node: string;
let page: ReturnType<typeof commandsOfPage>;

const fileOf = (stack: Stack) => join(copy.directory, `Pulumi.${stack}.yaml`);
const read = (stack: Stack) => readFileSync(fileOf(stack), "utf8");

beforeAll(async () => {
  agent = await startSshAgent();
  const [images] = await Promise.all([builtImages(), startHosts()]);
  const { traefik, haproxy, backend, frontend } = images;
  node = images.node;
  Object.assign(process.env, hosts.prod.env);
  registry = await startRegistry(Object.values(hosts));
  const push = async () => {
    const next = await variants.of(backend, "LABEL release=1.1.0");
    releases.backend = await registry.push(backend, "you/backend:1.0.0");
    releases.nextBackend = await registry.push(next, "you/backend:1.1.0");
    releases.frontend = await registry.push(frontend, "you/frontend:1.0.0");
  };
  await Promise.all([push(), ...Object.values(hosts).map((host) => give(host, traefik, haproxy))]);

  const certificates = await makeCertificates("example.com");
  ca = certificates.ca;
  mkdirSync(join(copy.directory, "certificates"));
  writeFileSync(join(copy.directory, "certificates/reach.pem"), certificates.certificate);
  writeFileSync(join(copy.directory, "certificates/reach.key"), certificates.privateKey);
  const known = Object.values(hosts).map(({ knownHostsFile }) => readFileSync(knownHostsFile, "utf8"));
  writeFileSync(join(copy.directory, "known_hosts"), known.join(""));
  writeFileSync(
    fileOf("prod"),
    `# Reach in production.
config:
  reach:host: ${hosts.prod.url}
  reach:knownHosts: known_hosts
  reach:domain: reach.example.com
  reach:edge:
    address: ${hosts.prod.address} # the public one
  reach:certificates:
    kind: files
    certificate: certificates/reach.pem # for all of example.com
    privateKey: certificates/reach.key
  reach:images:
    traefik: ${traefik}
    haproxy: ${haproxy}
    # Tried in staging before.
    backend: ${releases.backend}
    frontend: ${releases.frontend}
  reach:backend:
    drainSeconds: 2
`,
  );
  mkdirSync(join(copy.directory, "state"));
  await succeeds("prod", "pulumi stack init prod");
  await succeeds("prod", "pulumi config set --secret reach:dnsApiToken --stack prod", TOKENS.prod);
  page = commandsOfPage();
});

afterAll(async () => {
  for (const engine of Object.values(engines)) engine.close();
  await registry?.stop();
  await Promise.all(Object.values(hosts).map((host) => host.stop()));
  await agent?.stop();
  await variants.remove();
  copy.remove();
});

async function startHosts(): Promise<void> {
  for (const stack of STACKS) {
    const host = await startRemoteHost(currentTestEngine(), stack, agent);
    hosts[stack] = host;
    engines[stack] = new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]);
  }
}

/** The edge's, and those of the services with what the frontend is built from. */
async function builtImages() {
  const here = new Engine(process.env["DOCKER_HOST"]!);
  const { traefik, haproxy, python, node } = { ...pinned, ...(await provideImages(here, everyStacks)) };
  here.close();
  const backend = await variants.build(join(repository, "apps/backend"), { PYTHON_IMAGE: python });
  const frontend = await variants.build(join(repository, "apps/frontend"), { NODE_IMAGE: node });
  return { traefik, haproxy, node, backend, frontend };
}

/** What no registry has; the rest a host pulls by itself. */
async function give(host: RemoteHost, ...images: string[]): Promise<void> {
  const standIns = images.filter((image) => image.startsWith("bulkhead.local/"));
  if (standIns.length > 0) await host.loadImages(standIns);
}

test("the pages on private registries and on the state: what is typed there is what the program reads", async () => {
  const before = read("prod");
  onTestFinished(() => writeFileSync(fileOf("prod"), before));
  const page = readFileSync(join(repository, "docs/how-to/private-registry.md"), "utf8");
  const typed = [...page.matchAll(/^pulumi config set .*$/gm)].map(([line]) => line.replace("ghp_…", "ghp_0123456789"));
  expect(typed).toHaveLength(2);
  for (const line of typed) await succeeds("prod", line);
  const { config } = parse(read("prod")) as { config: Record<string, unknown> };
  expect(config["reach:registries"]).toEqual({
    "ghcr.io": { user: "you", token: { secure: expect.stringMatching(/^v1:/) as string } },
  });

  const directory = mkdtempSync(join(tmpdir(), "bulkhead-login-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const login = `unset PULUMI_BACKEND_URL; export PULUMI_CREDENTIALS_PATH=${directory}; pulumi login file://${directory}`;
  const { stdout } = await succeeds("prod", `pulumi version >/dev/null; ${login} && pulumi whoami --verbose --json`);
  expect(stdout).toContain(`"url": "file://${directory}"`);
});

test("`make stack` writes the file of another environment, and says what to type next", async () => {
  const made = await succeeds("staging", page.stack);
  const prod = read("prod");
  const withoutSecret = prod.replace(/^encryptionsalt: .*\n/m, "").replace(/ {2}reach:dnsApiToken:\n.*\n/, "");
  expect(prod).toContain("secure: ");
  expect(withoutSecret).not.toContain("secure: ");
  const [address, other] = [hosts.prod.address, hosts.staging.address];
  expect(read("staging")).toBe(
    withoutSecret.replaceAll(address, other).replace("domain: reach.example.com", "domain: staging.example.com"),
  );
  expect(made.stdout).toContain(
    [
      "Pulumi.staging.yaml: as prod, but",
      `  reach:host: "${hosts.prod.url}" -> "${hosts.staging.url}"`,
      '  reach:domain: "reach.example.com" -> "staging.example.com"',
      `  reach:edge.address: "${address}" -> "${other}"`,
      "",
    ].join("\n"),
  );
  expect(commandsIn(made.stdout.split("Next:\n")[1]!)).toEqual(page.next);
  const again = await type("staging", page.stack);
  expect(again.code).not.toBe(0);
  expect(again.stderr).toContain("NAME: there is a stack staging already");
});

test("what it says makes the other environment, with secrets of its own", async () => {
  // The frontend is built there at first.
  await give(hosts.staging, node);
  copy.edit("Pulumi.staging.yaml", `frontend: ${releases.frontend}`, `node: ${node}`);
  const prod = succeeds("prod", "make up STACK=prod");
  const [doctor, shell, ...rest] = page.next;
  expect((await succeeds("staging", doctor!)).stdout).toContain(`${hosts.staging.url}, host key known`);
  expect(shell).toBe(shellOf("staging"));
  for (const command of rest) await succeeds("staging", command, TOKENS.staging);
  await prod;

  for (const stack of STACKS) expect((await container(stack, "backend")).Config.Image).toBe(releases.backend);
  const keys = await Promise.all(STACKS.map(apiKeyOf));
  for (const key of keys) expect(key).toMatch(/^\w{64}$/);
  expect(new Set(keys).size).toBe(2);
  for (const stack of STACKS)
    expect((await succeeds(stack, `pulumi config get reach:dnsApiToken --stack ${stack}`)).stdout.trim()).toBe(
      TOKENS[stack],
    );
  const foreign = await type("staging", "pulumi config get reach:dnsApiToken --stack prod");
  expect(foreign.code).not.toBe(0);
  expect(foreign.stderr).toContain("incorrect passphrase");
});

test("an image that was built on the host is not promoted, and the file stays as it was", async () => {
  const before = read("prod");
  const refused = await type("staging", page.promote);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("error: frontend: built on the host, and on no other: push the image to a registry");
  expect(read("prod")).toBe(before);
});

test("the next release is tried in staging, and prod serves what it did", async () => {
  copy.edit("Pulumi.staging.yaml", `node: ${node}`, `frontend: ${releases.frontend}`);
  copy.edit("Pulumi.staging.yaml", releases.backend, releases.nextBackend);
  const before = await container("prod", "backend");
  await succeeds("staging", "make up STACK=staging");
  expect((await container("staging", "backend")).Config.Image).toBe(releases.nextBackend);
  expect((await container("prod", "backend")).Id).toBe(before.Id);
  expect(before.Config.Image).toBe(releases.backend);
});

test("`bulkhead promote` writes its digest into the other file, and that one line", async () => {
  const before = read("prod");
  const { stdout } = await succeeds("staging", page.promote);
  expect(stdout).toContain(`Pulumi.prod.yaml now has what staging runs:\n  backend: ${releases.nextBackend}\n`);
  expect(read("prod")).toBe(before.replace(releases.backend, releases.nextBackend));
  expect((await container("prod", "backend")).Config.Image, "nothing is deployed by it").toBe(releases.backend);
});

test("`bulkhead up` rolls it out without a lost request, and both hosts run the same digest", async () => {
  const load = startLoad({
    ...{ url: "https://reach.example.com/api/status", address: hosts.prod.address, ca, release: { field: "release" } },
    ...{ connections: 4, requestsPerSecond: 40, seconds: 300 },
  });
  await load.advance(50);
  const up = await type("prod", page.up);
  await load.advance(50);
  const { requests, failed, failures, byRelease } = await load.stop();
  console.log(JSON.stringify({ rollout: "a promoted backend", requests, failed, seconds: up.seconds }));
  expect(up, up.stderr + up.stdout).toMatchObject({ code: 0 });
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  const [prod, staging] = await Promise.all(STACKS.map((stack) => container(stack, "backend")));
  expect(Object.keys(byRelease)).toHaveLength(2);
  expect(Object.keys(byRelease)).toContain(prod!.Config.Hostname);
  expect(prod!.Config.Image).toBe(releases.nextBackend);
  // And the same bytes, as each engine counts them.
  expect([prod!.Config.Image, prod!.Image]).toEqual([staging!.Config.Image, staging!.Image]);
});

test("`bulkhead audit` finds what somebody changed in the settings of a host's Docker", async () => {
  const clean = await succeeds("staging", "make audit STACK=staging");
  expect(clean.stdout).toBe("The host is as the stack promises.\n");
  const settings = {
    "live-restore": true,
    "insecure-registries": ["registry.evil.test"],
    "registry-mirrors": ["https://mirror.evil.test"],
    runtimes: { mine: { path: "runc" } },
    "default-runtime": "mine",
    debug: true,
  };
  const script = "mkdir -p /etc/docker && cat >/etc/docker/daemon.json && pkill -HUP -x dockerd";
  expect(await hosts.staging.exec("sh", ["-c", script], { input: JSON.stringify(settings) })).toMatchObject({
    code: 0,
  });
  // It reads its settings when it comes to it.
  const read = () => engines.staging.get<DaemonInfo>("/info");
  await expect.poll(async () => (await read()).Debug, { timeout: 60_000 }).toBe(true);

  const found = await type("staging", "FORMAT=json make -s audit STACK=staging");
  expect(found.code).not.toBe(0);
  const fields = (JSON.parse(found.stdout) as Finding[]).map((one) => [
    one.resource,
    one.field,
    one.promised,
    one.found,
  ]);
  expect(fields.sort()).toEqual([
    ["host", "debug", "off", "on"],
    ["host", "insecure registries", "none", "registry.evil.test"],
    ["host", "live-restore", "off", "on"],
    ["host", "registry mirrors", "none", "https://mirror.evil.test/"],
    ["host", "runtime", "runc", "mine"],
  ]);
  expect(rowsOfAuditPage("Docker's own settings")).toHaveLength(fields.length);
});

/** In a shell in which the environment of this stack was set up, as its page says. */
function type(stack: Stack, command: string, input?: string): Promise<CommandResult> {
  const script = command.startsWith("pulumi ") ? `${shellOf(stack)}; ${command}` : command;
  return runCommand("sh", ["-c", script], {
    cwd: copy.directory,
    input,
    timeoutMs: 300_000,
    env: {
      // `bulkhead`, from source.
      PATH: `${copy.directory}:${process.env["PATH"]}`,
      // Nobody is here to answer.
      YES: "1",
      STACK: undefined,
      DOCKER_HOST: "unix:///nowhere/docker.sock",
      PULUMI_BACKEND_URL: `file://${join(copy.directory, "state")}`,
      PULUMI_CONFIG_PASSPHRASE: `the passphrase of ${stack}`,
      PULUMI_SKIP_UPDATE_CHECK: "true",
    },
  });
}

async function succeeds(stack: Stack, command: string, input?: string): Promise<CommandResult> {
  const result = await type(stack, command, input);
  expect(result, `${command}: ${lastLines(result.stderr + result.stdout, 40)}`).toMatchObject({ code: 0 });
  return result;
}

function shellOf(stack: Stack): string {
  return `eval "$(bulkhead env --stack ${stack})"`;
}

/** The commands of the page, with the address of the host here; as there is no Cloudflare, with another secret. */
function commandsOfPage() {
  const text = readFileSync(join(repository, "docs/how-to/environments.md"), "utf8")
    .replaceAll("203.0.113.20", hosts.staging.address)
    .replace("cloudflareApiToken", "dnsApiToken");
  const [stack, next, promotion, ...others] = [...text.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) =>
    commandsIn(block!),
  );
  expect(others).toEqual([]);
  return { stack: stack![0]!, next: next!, promote: promotion![0]!, up: promotion![1]! };
}

/** Without what is said about them. */
function commandsIn(text: string): string[] {
  const lines = text.split("\n").map((line) => line.replace(/ +# .*$/, "").trim());
  return lines.filter((line) => line !== "");
}

async function container(stack: Stack, name: string): Promise<ContainerInspect> {
  const found = await inspectAll(engines[stack], `reach-${stack}`);
  const named = found.filter(({ Config }) => Config.Labels["bulkhead.name"] === name);
  expect(named.map(({ Name }) => Name)).toHaveLength(1);
  return named[0]!;
}

async function apiKeyOf(stack: Stack): Promise<string> {
  const { Id } = await container(stack, "backend");
  const files = (await engines[stack].files(Id, "/run/secrets")) ?? [];
  return files.find(({ name }) => name === "reach_api_key")!.content.toString();
}
