// The policy pack with the real CLI and a real engine: on a program that is not ours, and on ours.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageDirectory } from "../../cli/stack/program.ts";
import { policyPacks } from "../../cli/stack/stack.ts";
import type { CommandResult } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { createTestProject, type TestProject } from "../support/pulumi.ts";
import { prepareReach } from "../support/reach.ts";
import { provideSmallImage } from "../support/small-image.ts";

/** As `make` and the shell of `bulkhead env` name the pack. */
const env = { PULUMI_OPTION_POLICY_PACK: policyPacks() };
const engine = currentTestEngine();
const docker = async (...args: string[]) => (await engine.exec("docker", args)).stdout.trim();
const ours = ["--all", "--quiet", "--filter", "name=^web-"];

/** What Pulumi says of the policies: level, policy, resource, and each message. */
function said({ stdout }: CommandResult): string[] {
  const [, section = ""] = /^Policies:\n((?: .*\n|\n)*)/m.exec(stdout) ?? [];
  const found: string[] = [];
  let rule = "";
  // A rule, then what it is for, then its messages.
  for (const line of section.split("\n").map((text) => text.trim())) {
    const [, level, name] = /^- \[(\w+)\] +(\S+)/.exec(line) ?? [];
    if (level) rule = `${level} ${name}`;
    else if (/^[\w-]+(, [\w-]+)*: /.test(line)) found.push(`${rule}: ${line}`);
  }
  return found;
}

let foreign: TestProject;
let image: string;
const configOf = (weak: boolean) => ({ "foreign:image": image, "foreign:weak": String(weak) });
beforeAll(async () => {
  const name = await provideSmallImage(engine);
  image = await docker("image", "inspect", "--format", "{{.Id}}", name);
  foreign = await createTestProject({
    stack: "policy",
    program: fileURLToPath(new URL("../support/foreign-program", import.meta.url)),
    config: configOf(true),
    env,
  });
});
afterAll(async () => {
  await foreign.destroy();
  foreign.remove();
});

test("a program that is not ours is refused in its preview, with every reason and cure", async () => {
  const preview = await foreign.preview(["--diff=false"]);
  expect(preview.code).not.toBe(0);
  expect(said(preview)).toEqual([
    "mandatory container-bind-address: web: publishes the port 8080 on every address of the host: " +
      "give ip an address of the host, or say 0.0.0.0:<port> in the label bulkhead.publishes",
    "mandatory container-capabilities: web: keeps Docker's default capabilities: drop ALL and add none",
    "mandatory container-cpus: web: has no CPU limit: set cpus (of a container) or limits.nanoCpus (of a service)",
    `mandatory container-default-bridge: web: is on Docker's default bridge: give it networksAdvanced, or networkMode "none"`,
    "mandatory container-docker-socket: web: mounts /var/run/docker.sock: " +
      "take the mount away, and give it what it needs of Docker in another way",
    "mandatory container-grace: web: is killed without time to end: " +
      "set destroyGraceSeconds (of a container) or stopGracePeriod (of a service)",
    "mandatory container-health: web: has no health check: " +
      'give it a health check, like ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]',
    "mandatory container-image-digest: web: has the image nginx:1.29, which is not pinned: " +
      "give name:tag@sha256:<64 hex digits>",
    "mandatory container-log-rotation: web: does not say how its logs are kept: " +
      'set logDriver "json-file" with logOpts max-size and max-file, or logDriver "local"',
    "mandatory container-memory: web: has no memory limit: set a memory limit",
    'mandatory container-no-new-privileges: web: can gain new privileges: give securityOpts "no-new-privileges:true"',
    "mandatory container-privileged: web: is privileged: leave privileged out",
    "mandatory container-published-ports: web: publishes the port 8080: " +
      'say in the label bulkhead.publishes what it may publish, like "203.0.113.10:443" or "203.0.113.10:443/udp", or publish nothing',
    "mandatory container-read-only-root: web: has a writable root: " +
      "set readOnly, with tmpfs and volumes for what has to be written",
    "mandatory container-restart: web: is not started again after a crash or a reboot: " +
      "set restart to always, or mustRun to false if it is a job",
    "mandatory container-secret-env: web: seems to have a secret in its setting DB_PASSWORD: " +
      "hand it over as a file and name the file, like DB_PASSWORD_FILE",
    "mandatory container-user: web: runs as the user of its image, which may be root: " +
      'name a user that is not root, like "1000:1000"',
    "mandatory volume-host-path: folder: is /srv of the host: leave driverOpts out",
    "advisory container-init: web: has no init: set init, unless the image has an init of its own",
    "advisory container-pids: web: does not say how many processes it may have: " +
      "limit its processes in Docker (docker update --pids-limit) and say the limit in the label bulkhead.pids",
  ]);
});

test("an update without a preview is refused as well, and nothing is made", async () => {
  const up = await foreign.up();
  expect(up.code).not.toBe(0);
  expect(said(up)).toContainEqual(expect.stringMatching(/^mandatory /));
  expect(await docker("ps", ...ours)).toBe("");
  expect(await docker("volume", "ls", "--quiet", "--filter", "name=folder")).toBe("");
});

test("as the policies ask for it, it is made, and its exception is said", async () => {
  foreign.setConfig(configOf(false));
  const up = await foreign.up();
  expect(said(up)).toEqual([
    "advisory stack-exceptions: web: container-read-only-root is excepted: it writes beside its program",
  ]);
  expect(up).toMatchObject({ code: 0 });
  expect(await docker("ps", ...ours)).not.toBe("");
});

test("`pulumi preview --policy-pack` judges by it too", async () => {
  foreign.setConfig(configOf(true));
  const named = foreign.env["PULUMI_OPTION_POLICY_PACK"];
  delete foreign.env["PULUMI_OPTION_POLICY_PACK"];
  try {
    const judged = await foreign.preview(["--diff=false", "--policy-pack", join(packageDirectory, "policy")]);
    expect(judged.code).not.toBe(0);
    expect(said(judged)).toContainEqual(expect.stringMatching(/^mandatory container-capabilities: web: /));
  } finally {
    foreign.env["PULUMI_OPTION_POLICY_PACK"] = named;
    foreign.setConfig(configOf(false));
  }
});

test("the program of this repository is refused nothing", async () => {
  const reach = await prepareReach({
    stack: "policy",
    domain: "localhost",
    httpsPort: 18_443,
    tcpPort: 12_222,
    env,
  });
  try {
    const preview = await reach.project.preview(["--diff=false"]);
    expect(preview).toMatchObject({ code: 0 });
    const found = said(preview);
    expect(found.filter((message) => !message.startsWith("advisory stack-exceptions: "))).toEqual([]);
    expect(found.length).toBeGreaterThan(3);
  } finally {
    await reach.stop();
  }
});
