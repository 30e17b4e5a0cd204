// The same program on a remote host, reached over ssh:// alone: the way in, first contact, and what the host is.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { SSH_PARALLEL } from "../../cli/stack/stack.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { makeOwnFolder, sshDirectory } from "../../components/docker-engine/ssh.ts";
import { cacheDirectory } from "../../toolchain/cache.ts";
import { run } from "../../toolchain/steps.ts";
import { repository, RepositoryCopy } from "../support/copy.ts";
import { currentTestEngine } from "../support/engine.ts";
import { startLoad } from "../support/load.ts";
import { createTestProject } from "../support/pulumi.ts";
import { refusedUp } from "../support/refused.ts";
import { prepareReach, snapshot, type Reach } from "../support/reach.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { provideSmallImage } from "../support/small-image.ts";
import { inSoak, SOAK } from "../support/soak.ts";
import { atTerminal } from "../support/terminal.ts";

let host: RemoteHost;
let reach: Reach;
let small: string;
/** Where `make` is called as a person does. */
let copy: RepositoryCopy;

beforeAll(async () => {
  host = await startRemoteHost(currentTestEngine(), "far");
  Object.assign(process.env, host.env);
  const engine = new Engine(host.url, ["-o", `UserKnownHostsFile=${host.knownHostsFile}`, "-o", "BatchMode=yes"]);
  reach = await prepareReach({
    ...{ stack: "far", domain: "far.test", httpsPort: 8443, tcpPort: 2222, listen: "0.0.0.0" },
    address: host.address,
    engine,
    env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock", PULUMI_PARALLEL: SSH_PARALLEL },
    config: { "reach:host": host.url, "reach:knownHosts": host.knownHostsFile },
  });
  copy = new RepositoryCopy();
  writeStackFile({});
  small = await provideSmallImage(currentTestEngine());
  await host.loadImages([small, ...Object.values(reach.config["reach:images"] as Record<string, string>)]);
});

afterAll(async () => {
  copy?.remove();
  await reach?.stop();
  await host?.stop();
});

type Fault = [what: string, wrong: string, cure: string, make: () => Promise<Wrong> | Wrong];

describe("first contact", () => {
  let stranger: string;
  beforeAll(() => {
    // Over a connection that is open already no key is asked for.
    forgetConnections();
    stranger = join(copy.directory, "nobody-is-known");
    writeFileSync(stranger, "");
  });

  test("with a host whose key is not known is one clear error of the program, and nothing is touched", async () => {
    const before = await snapshot(reach.engine);
    const config = { ...reach.config, "reach:knownHosts": stranger };
    const diagnostics = await refusedUp({ stack: "stranger", config, env: host.env });
    expect(diagnostics.match(/error: /g)).toHaveLength(1);
    expect(diagnostics).toContain(`error: host: ${host.url}: this machine does not know the host's key`);
    expect(diagnostics).toContain(`ssh-keyscan -t ed25519 ${host.address} > host-key`);
    expect(await snapshot(reach.engine)).toEqual(before);
  });

  test("is told by `bulkhead up` before it does anything, and what it tells to run lets it in", async () => {
    const file = join(copy.directory, "known_hosts");
    writeFileSync(file, "");
    writeStackFile({ "reach:knownHosts": "known_hosts" });
    onTestFinished(() => writeStackFile({}));
    // A state that cannot be opened: pulumi would say so.
    const up = await make("up", { PULUMI_BACKEND_URL: "file:///nowhere" });
    expect(up.code).toBe(2);
    expect(up.stdout).toBe("");
    const [first, ...lines] = up.stderr.split("\n");
    expect(first).toContain(`error: ${host.url}: this machine does not know the host's key`);
    expect(up.stderr).not.toContain("Host key verification failed");

    const commands = lines.filter((line) => line.startsWith("       ")).map((line) => line.trim());
    expect(commands).toHaveLength(4);
    const [scan, show, showOwn, keep] = commands as [string, string, string, string];
    const here = (command: string) => run("sh", ["-c", command], { cwd: copy.directory });
    await here(scan);
    const fingerprint = (text: string) => /SHA256:\S+/.exec(text)?.[0];
    const answered = fingerprint(await here(show));
    expect(answered).toBeDefined();
    expect(answered).toBe(fingerprint((await host.exec("sh", ["-c", showOwn])).stdout));
    await here(keep);
    expect(await make("doctor")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("host key known") as string,
    });
  });

  // Each thing that can be wrong, for as long as it is asked about.
  test.each<Fault>([
    [
      "a host whose key has changed",
      "the host's key is not the one in ",
      "do not connect: find out who answers",
      async () => {
        const file = join(copy.directory, "another-key");
        await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
        writeFileSync(file, `${host.address} ${readFileSync(`${file}.pub`, "utf8")}`);
        return { config: { "reach:knownHosts": file } };
      },
    ],
    [
      "a host without Docker",
      "there is no docker command on the host",
      "apt-get install -y docker.io",
      () => onHost("mv /usr/bin/docker /usr/bin/docker.away", "mv /usr/bin/docker.away /usr/bin/docker"),
    ],
    [
      "a user who may not use Docker",
      "deploy may not use Docker there",
      "usermod -aG docker deploy",
      () => onHost("gpasswd --delete deploy docker", "gpasswd --add deploy docker"),
    ],
    ...inSoak<Fault>(
      ["no key in the agent", "lets nobody in as deploy", "ssh-add -l", () => ({ env: { SSH_AUTH_SOCK: "/nowhere" } })],
      [
        "an address where nobody is",
        "nothing answers at ",
        "ssh -v ",
        () => ({ config: { "reach:host": `ssh://deploy@${host.address.replace(/\d+$/, "250")}` } }),
      ],
      [
        "a name without an address",
        "the name no-such-host.invalid has no address",
        "getent hosts no-such-host.invalid",
        () => ({ config: { "reach:host": "ssh://deploy@no-such-host.invalid" } }),
      ],
      [
        "a Docker that does not run",
        "Docker does not run there",
        "systemctl enable --now docker",
        () => onHost("mv /run/docker.sock /run/away.sock", "mv /run/away.sock /run/docker.sock"),
      ],
    ),
  ])("with %s is one clear error, and works when it is cured", async (_, wrong, cure, make_) => {
    const { config = {}, env = {}, mend } = await make_();
    writeStackFile(config);
    const refused = await make("doctor", env);
    await mend?.();
    writeStackFile({});
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr.split("\n")[0]).toMatch(/^error: ssh:\/\/deploy@\S+: /);
    expect(refused.stderr.split("\n")[0]).toContain(wrong);
    expect(refused.stderr).toContain(cure);
    expect(refused.stderr.match(/error/gi), refused.stderr).toHaveLength(2);
    expect(await make("doctor")).toMatchObject({ code: 0 });
  });
});

test("`bulkhead env` gives pulumi a number of its own for hosts over ssh, unless the user has one", async () => {
  expect((await make("env")).stdout).toContain(`export PULUMI_PARALLEL='${SSH_PARALLEL}'\n`);
  expect((await make("env", { PULUMI_PARALLEL: "3" })).stdout).toContain("export PULUMI_PARALLEL='3'\n");
});

test("`bulkhead env` starts no Docker where none runs: it says so", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-no-docker-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const started = join(directory, "started");
  mkdirSync(join(directory, "bin"));
  // What would start one, or install it.
  for (const program of ["dockerd", "service", "systemctl", "apt-get", "sudo", "docker"])
    writeFileSync(join(directory, "bin", program), `#!/bin/sh\necho "$0 $*" >>${started}\nexit 1\n`, { mode: 0o755 });
  const env = {
    ...{ STACK: "local", HOME: directory, XDG_CACHE_HOME: join(cacheDirectory(), "..") },
    ...{ DOCKER_HOST: undefined, XDG_RUNTIME_DIR: undefined, PATH: `${directory}/bin:${process.env["PATH"]}` },
  };
  // Without the sockets of this machine's own Docker.
  const script = "mount -t tmpfs none /run && exec make -s env";
  const { code, stdout, stderr } = await currentTestEngine().exec("unshare", ["--mount", "sh", "-c", script], {
    cwd: copy.directory,
    env,
  });
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("no Docker engine answers") as string,
  });
  expect(stdout).toContain("export DOCKER_HOST='unix:///var/run/docker.sock'\n");
  expect(stdout).not.toContain("PULUMI_PARALLEL=");
  expect(readFileSync(started, "utf8")).toBe(
    `${directory}/bin/docker context inspect --format {{.Endpoints.docker.Host}}\n`,
  );
});

test("a connection that is kept from before is left where its user has got the group since", async () => {
  const { mend } = await onHost("gpasswd --delete deploy docker", "gpasswd --add deploy docker");
  forgetConnections();
  const refused = await reachedByRollback();
  await mend!();
  expect(refused).toContain("deploy may not use Docker there");
  expect(await reachedByRollback()).toContain(REACHED);
});

test("the rule of docs/concepts/security.md that keeps containers from the metadata address is one", async () => {
  const page = readFileSync(join(repository, "docs/concepts/security.md"), "utf8");
  const rule = /^iptables -I (DOCKER-USER .*)$/m.exec(page)![1]!;
  const { mend } = await onHost(`iptables -I ${rule}`, `iptables -D ${rule}`);
  await onHost(`iptables -C ${rule}`, "");
  await mend!();
});

test("up deploys it there, over a few connections", async () => {
  const sshd = await watchSshd();
  const { seconds } = await reach.deploy();
  const connections = await sshd.stop();
  console.log(JSON.stringify({ event: "remote up", seconds, ...connections }));
  // Without a shared connection they are more than a dozen.
  expect(connections.made).toBeGreaterThan(0);
  expect(connections.made).toBeLessThanOrEqual(6);
  expect((await reach.request("/")).text).toContain('id="server-status" data-state="ok"');
  const { release } = JSON.parse((await reach.request("/api/status")).text) as { release: string };
  expect(release).toBe((await reach.containers()).get("backend")!.Config.Hostname);
  for (const [name, { HostConfig, State }] of await reach.containers()) {
    if (State.Running) expect(HostConfig.PidsLimit, name).toBeGreaterThan(0);
  }
});

test("a rollout loses nothing there either", async () => {
  const load = startLoad({
    ...{ url: `${reach.url}/api/status`, address: reach.address, ca: reach.ca, connections: 8, seconds: 300 },
    ...{ requestsPerSecond: 150, release: { field: "release" } },
  });
  await load.advance(50);
  reach.configure({ "reach:backend": { drainSeconds: 6 } });
  const { seconds } = await reach.deploy();
  await load.advance(50);
  const { requests, failed, failures, byRelease } = await load.stop();
  console.log(JSON.stringify({ rollout: "backend, remote", requests, failed, seconds }));
  expect(failures).toEqual([]);
  expect(failed).toBe(0);
  expect(Object.keys(byRelease)).toHaveLength(2);
});

test("a refresh and another up see nothing to do", async () => {
  const before = await snapshot(reach.engine);
  expect((await reach.refresh()).stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
  expect((await reach.deploy()).stdout).toMatch(/^Resources:\n {4}\d+ unchanged\n/m);
  expect(await snapshot(reach.engine)).toEqual(before);
});

test("`bulkhead doctor` says what the host is, and changes nothing there", async () => {
  const before = await snapshot(reach.engine);
  const { code, stdout } = await make("doctor");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^CHECK +FOUND +VERDICT$/m);
  const found = verdicts(stdout);
  expect(found).toMatchObject({
    "way in": `ok ${host.url}, host key known, key in the agent`,
    login: "ok deploy, in the group docker: as good as root",
    // Its own door holds them.
    ports: "ok 8443 and 2222 on 0.0.0.0",
    limits: expect.stringMatching(/^(ok|warn) memory, /) as string,
    clock: "ok as this machine's",
    API: "ok a socket only",
    "live-restore": "warn off",
    certificate: expect.stringMatching(/^ok for .*, \d+ days$/) as string,
  });
  expect(stdout).toContain("\nlive-restore (warn)\n");
  expect(stdout).toContain('"live-restore": true');
  // What is ok needs no cure.
  expect(stdout).not.toMatch(/^(ports|login|clock) \(/m);
  expect(await snapshot(reach.engine)).toEqual(before);
});

test("`bulkhead doctor` tells a firewall before the host from a dead port: the host itself is asked over ssh", async () => {
  // It asks for what the state says that is served.
  const { PULUMI_BACKEND_URL: backend, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase } = reach.project.env;
  const state = { PULUMI_BACKEND_URL: backend!, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase! };
  const well = await make("doctor", state);
  expect(well.stdout).toMatch(new RegExp(`^door +https://${host.address}:8443 +open$`, "m"));
  // Certificates are of the test's own CA, which this machine does not trust.
  expect(well.stdout).toMatch(/^frontend +https:\/\/far\.test:8443\/health +(200|certificate: .+)$/m);
  // What comes from elsewhere is forwarded to the door's container; what the host asks itself is not.
  const rule = "FORWARD -i eth0 -p tcp -j DROP";
  await onHost(`iptables -I ${rule}`, "");
  try {
    const { code, stdout } = await make("doctor", state);
    expect(code).toBe(2);
    for (const door of ["https://ADDRESS:8443", "tcp://ADDRESS:2222"])
      expect(stdout).toContain(`door: ${door.replace("ADDRESS", host.address)}: silent; the host itself reaches it`);
    expect(stdout).toContain("A firewall or a NAT is in between");
    expect(stdout).not.toContain("restarts the door");
  } finally {
    await onHost(`iptables -D ${rule}`, "");
  }
});

test("what an operator asks is the same there: status, exec, logs, rotate, run, releases", async () => {
  const { PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE_FILE } = reach.project.env;
  const state = {
    PULUMI_BACKEND_URL: PULUMI_BACKEND_URL!,
    PULUMI_CONFIG_PASSPHRASE_FILE: PULUMI_CONFIG_PASSPHRASE_FILE!,
  };
  const env = { STACK: "far", DOCKER_HOST: "unix:///nowhere/docker.sock", ...state };
  const bulkhead = (...args: string[]) => copy.bulkhead(args, { cwd: copy.directory, env });

  const status = await bulkhead("status", "--json");
  const { containers, needs } = JSON.parse(status.stdout) as {
    containers: { name: string; state: { Health?: { Status: string } } }[];
    needs: { about: string; what: string }[];
  };
  expect(containers.map(({ name, state }) => [name, state.Health?.Status])).toEqual(
    ["backend", "edge", "edge-door", "frontend"].map((name) => [name, "healthy"]),
  );
  // Certificates are of the test's own CA, which this machine does not trust.
  expect(needs.filter(({ what }) => !what.includes("certificate"))).toEqual([]);

  const ran = await bulkhead("exec", "backend", "--", "sh", "-c", "cat /run/secrets/reach_api_key; exit 7");
  expect(ran).toMatchObject({ code: 7, stdout: expect.stringMatching(/^\w{64}$/) as string, stderr: "" });
  const shell = await atTerminal([...copy.command, "exec", "backend", "--", "sh"], {
    ...{ cwd: copy.directory, env, answers: [["$ ", "tty; exit 9"]] },
  });
  expect(shell.text).toMatch(/^\/dev\/pts\/\d+\r$/m);
  expect(shell.code, shell.text).toBe(9);
  const logs = await bulkhead("logs", "backend", "frontend", "--tail", "3");
  expect(
    logs.stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0]),
  ).toEqual(expect.arrayContaining(["backend", "frontend"]));

  // What the program would change besides comes with it.
  copy.edit("index.ts", "export const { url", `${NIGHTLY}export const { url`);
  copy.edit("index.ts", "GeneratedSecret, ", "GeneratedSecret, ScheduledJob, ");
  const rotated = await bulkhead("rotate", "api-key", "--yes");
  expect(rotated, rotated.stdout + rotated.stderr).toMatchObject({ code: expect.toBeOneOf([0, 3]) as number });
  onTestFinished(() => forgetReleases());
  const now = await bulkhead("exec", "backend", "--", "cat", "/run/secrets/reach_api_key");
  expect(now.stdout).toMatch(/^\w{64}$/);
  expect(now.stdout === ran.stdout).toBe(false);
  const job = await bulkhead("run", "nightly");
  expect(job, job.stderr).toMatchObject({ code: 3, stdout: expect.stringContaining("as it should\n") as string });
  const releases = await bulkhead("releases");
  expect(releases.stdout, releases.stderr).toMatch(/^1 +\S+ +\S+ +backend \S+.* +runs now$/m);
});

const NIGHTLY = `new ScheduledJob("nightly", {
  host,
  image: NODE_IMAGE,
  schedule: "0 3 * * *",
  command: ["node", "--eval", "console.log('as it should'); process.exit(3)"],
  limits: { memoryMb: 64, cpus: 0.5, pids: 32 },
});
`;

/** `bulkhead down` takes them away, and a stack that Pulumi destroys leaves them. */
async function forgetReleases(): Promise<void> {
  const { stdout } = await host.docker(["volume", "ls", "-q", "--filter", "label=bulkhead.release"]);
  for (const volume of stdout.trim().split("\n")) await host.docker(["volume", "rm", volume]);
}

test("destroy leaves nothing there", async () => {
  await reach.destroy();
  expect(await snapshot(reach.engine, "reach-far")).toEqual({ containers: [], networks: [], volumes: [] });
  const all = await snapshot(reach.engine);
  expect([all.containers, all.volumes]).toEqual([[], []]);
});

test.runIf(SOAK)("a hundred containers are made by one update without a dropped connection", async () => {
  const containers = 100;
  const running = 5;
  const image = (await reach.engine.get<{ Id: string }>(`/images/${encodeURIComponent(small)}/json`)).Id;
  const project = await createTestProject({
    stack: "many",
    program: join(import.meta.dirname, "../support/many-containers/"),
    config: Object.fromEntries(
      Object.entries({ host: host.url, knownHosts: host.knownHostsFile, image, containers, running }).map(
        ([key, value]) => [`many:${key}`, value],
      ),
    ),
    env: { ...host.env, PULUMI_PARALLEL: SSH_PARALLEL },
  });
  // What it made goes with the host.
  onTestFinished(() => project.remove());
  const sshd = await watchSshd();
  const { code, seconds, stdout, stderr } = await project.up();
  const connections = await sshd.stop();
  console.log(JSON.stringify({ event: "remote up", containers, running, seconds, ...connections }));
  expect(code, stdout + stderr).toBe(0);
  const made = await reach.engine.get<{ State: string }[]>("/containers/json?all=1");
  expect(made).toHaveLength(containers);
  expect(made.filter(({ State }) => State === "running")).toHaveLength(running);
  expect(connections.dropped).toBe(0);
  expect(connections.made).toBeGreaterThan(0);
  expect(connections.made).toBeLessThan(containers / 2);
});

test("after a reboot the next run works, and `bulkhead doctor` finds what is wrong now", async () => {
  const hosts = ["unix:///var/run/docker.sock", "tcp://0.0.0.0:2375"];
  // Asked for by name, so that dockerd does not wait for somebody to read its warning.
  const settings = JSON.stringify({ hosts, tls: false });
  await onHost(`mkdir -p /etc/docker && echo '${settings}' >/etc/docker/daemon.json`, "");
  // The connection that this one leaves open ends with the host, and this machine is not told.
  expect(await reachedByRollback()).toContain(REACHED);
  await host.reboot();
  await host.daemonReady();
  expect(await reachedByRollback()).toContain(REACHED);
  const publish = ["--publish", "8443:80", "--name", "squatter"];
  expect(await host.docker(["run", "--detach", ...publish, small, "httpd", "-f"])).toMatchObject({ code: 0 });

  const { code, stdout } = await make("doctor");
  expect(code).toBe(2);
  const found = verdicts(stdout);
  expect(found).toMatchObject({
    ports: "bad edge.httpsPort: 8443 is held by the container squatter",
    API: "bad open on http://0.0.0.0:2375, without encryption",
    "live-restore": "warn off",
  });
  for (const check of ["ports (bad)", "API (bad)", "live-restore (warn)"]) expect(stdout).toContain(`\n${check}\n  `);
});

test("a shared connection that is dead and does not know it is left for another one", async () => {
  forgetConnections();
  expect(await reachedByRollback()).toContain(REACHED);
  const { stdout } = await host.exec("ss", ["-H", "-t", "-n", "state", "established", "sport = :22"]);
  const ports = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(":").at(-1)!);
  expect(ports.length).toBeGreaterThan(0);
  // As when this machine has got another address since, or a firewall has forgotten the connection.
  for (const port of ports) await onHost(`iptables -I INPUT -p tcp --sport ${port} -j DROP`, "");
  expect(await reachedByRollback()).toContain(REACHED);
});

/** What only Docker there can tell: nothing was deployed by `bulkhead up`. */
const REACHED = "no release is recorded on the host";

/** The quickest command that asks Docker over the shared connection, as `bulkhead up` does, and changes nothing. */
async function reachedByRollback(): Promise<string> {
  const { stderr, seconds } = await make("rollback");
  console.log(JSON.stringify({ event: "rollback", seconds, said: stderr.split("\n")[0] }));
  return stderr;
}

/** Nobody finds the shared connections any more; they end by themselves. */
function forgetConnections(): void {
  makeOwnFolder(sshDirectory);
  for (const file of readdirSync(sshDirectory)) rmSync(join(sshDirectory, file));
}

/** What is changed to make something wrong, and how that is undone. */
interface Wrong {
  config?: Record<string, unknown>;
  env?: Record<string, string>;
  mend?: () => Promise<void>;
}

/** Runs a command in the host as root. */
async function onHost(command: string, undo: string): Promise<Wrong> {
  const asRoot = async (script: string) => {
    const { code, stderr } = await host.exec("sh", ["-c", script]);
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
  };
  await asRoot(command);
  return { mend: () => asRoot(undo) };
}

/** The stack file of the copy: that of the deployed stack, with some keys changed. */
function writeStackFile(config: Record<string, unknown>): void {
  const file = join(copy.directory, "Pulumi.far.yaml");
  writeFileSync(file, stringify({ config: { ...reach.config, ...config } }));
}

function make(target: string, env: Record<string, string> = {}) {
  return copy.make(target, { env: { STACK: "far", DOCKER_HOST: "unix:///nowhere/docker.sock", ...env } });
}

/** Each check of `bulkhead doctor` with its verdict and what was found. */
function verdicts(stdout: string): Record<string, string> {
  const rows = stdout.matchAll(/^(\S.*?) {2,}(.*?) {2,}(ok|warn|bad|unknown)$/gm);
  return Object.fromEntries([...rows].map(([, check, found, verdict]) => [check!, `${verdict!} ${found!}`]));
}

/** What the host's sshd writes of connections while something goes on: a look at its sockets now and then misses some. */
async function watchSshd() {
  forgetConnections();
  const log = "/run/sshd.log";
  const start = [
    'kill "$(cat /run/sshd.pid)"',
    // Connections that are there stay.
    "while ss -Hltn 'sport = :22' | grep -q .; do sleep 0.1; done",
    `rm -f ${log}`,
    `/usr/sbin/sshd -E ${log} -o LogLevel=VERBOSE`,
  ];
  await onHost(start.join("\n"), "");
  return {
    stop: async () => {
      const { stdout } = await host.exec("cat", [log]);
      const count = (pattern: RegExp) => (stdout.match(pattern) ?? []).length;
      return {
        made: count(/Accepted publickey/g),
        /** Sessions that the shared connection had no room for: ssh makes a connection of its own for each. */
        beside: count(/no more sessions/g),
        dropped: count(/drop connection|MaxStartups/g),
      };
    },
  };
}
