// What somebody changed by hand on the host of a live stack: each by its own command, each found, and nothing else. The
// same is put to `pulumi refresh`.
import { afterAll, beforeAll, expect, test } from "vitest";
import { findings } from "../../cli/audit/drift.ts";
import type { Finding } from "../../cli/audit/finding.ts";
import { refreshChanges } from "../../cli/report/drift-report.ts";
import { hostState } from "../../cli/audit/host-state.ts";
import { promises, type Deployment } from "../../cli/audit/expected-state.ts";
import { row, rowsOfAuditPage } from "../support/audit-page.ts";
import { runCommand } from "../support/command.ts";
import { prepareReach, type ContainerInspect, type Reach } from "../support/reach.ts";

const STACK = "audited";
const LABEL = `reach-${STACK}`;

let reach: Reach;
let containers: Map<string, ContainerInspect>;

beforeAll(async () => {
  reach = await prepareReach({ stack: STACK, domain: "reach.test", httpsPort: 8443, tcpPort: 2222 });
  await reach.deploy();
  containers = await reach.containers();
});

afterAll(async () => {
  for (const name of STRANGERS) await runCommand("docker", ["rm", "--force", name]);
  await reach?.stop();
});

interface Drift {
  /** As the page on it names it. */
  what: string;
  by: () => Promise<unknown>;
  /** What the audit says of it: the resource and the field. */
  found: string;
  /** The resource's property that a refresh reads back; none: it reads nothing of it. */
  property?: string;
}

const id = (name: string) => containers.get(name)!.Id;
const volume = (name: string, path: string) =>
  containers.get(name)!.Mounts.find(({ Destination }) => Destination === path)!.Name!;

async function docker(...args: string[]): Promise<string> {
  const result = await runCommand("docker", args);
  expect(result, `docker ${args.join(" ")}: ${result.stderr}`).toMatchObject({ code: 0 });
  return result.stdout.trim();
}

const STRANGERS = ["passer-by", "reader", "namesake"];
/** Not one of the stack's own, which have its label. */
const anyImage = () => containers.get("edge")!.Config.Image;
/** A container of somebody else's, which waits. */
const stranger = (name: string, ...options: string[]) => {
  return docker("run", "--detach", "--name", name, "--entrypoint", "sleep", ...options, anyImage(), "600");
};
/** What whoever is root on the host can do to the files of a volume. */
const inVolume = (name: string, script: string) => {
  const shell = ["--user", "0:0", "--network", "none", "--volume", `${name}:/v`, "--entrypoint", "sh"];
  return docker("run", "--rm", ...shell, anyImage(), "-c", `cd /v && ${script}`);
};

/** All at once: no two are the same field of the same resource. */
const drifts: Drift[] = [
  {
    what: "more memory",
    by: () => docker("update", "--memory", "300m", "--memory-swap", "300m", id("edge")),
    ...{ found: "edge memory", property: "edge memory" },
  },
  {
    what: "swap without a limit",
    by: () => docker("update", "--memory-swap", "-1", id("frontend")),
    ...{ found: "frontend memory and swap", property: "frontend memorySwap" },
  },
  {
    what: "more CPU",
    by: () => docker("update", "--cpus", "2", id("backend")),
    ...{ found: "backend cpus", property: "backend cpus" },
  },
  {
    what: "a greater share of CPU",
    by: () => docker("update", "--cpu-shares", "2048", id("backend")),
    ...{ found: "backend cpu shares", property: "backend cpuShares" },
  },
  {
    what: "CPUs of its own",
    by: () => docker("update", "--cpuset-cpus", "0", id("frontend")),
    ...{ found: "frontend cpu set", property: "frontend cpuSet" },
  },
  {
    what: "processes without a limit",
    by: () => docker("update", "--pids-limit", "-1", id("frontend")),
    found: "frontend pids",
  },
  {
    what: "no restart",
    by: () => docker("update", "--restart", "no", id("edge-door")),
    ...{ found: "edge-door restart", property: "edge-door restart" },
  },
  {
    what: "taken off a network",
    by: () => docker("network", "disconnect", `${LABEL}-backend-edge`, id("backend")),
    ...{ found: "backend networks", property: "backend networkDatas" },
  },
  {
    what: "put on another network",
    by: () => docker("network", "connect", `${LABEL}-web-2`, id("edge-door")),
    ...{ found: "edge-door networks", property: "edge-door networkDatas" },
  },
  {
    what: "without its alias",
    by: async () => {
      await docker("network", "disconnect", `${LABEL}-door`, id("edge"));
      await docker("network", "connect", `${LABEL}-door`, id("edge"));
    },
    found: "edge aliases",
  },
  {
    what: "paused",
    by: () => docker("pause", id("frontend")),
    found: "frontend state",
  },
  {
    what: "renamed",
    by: () => docker("rename", id("edge"), "edge-by-hand"),
    ...{ found: "edge name", property: "edge name" },
  },
  {
    what: "an unmanaged container on a network",
    by: () => stranger("passer-by", "--network", `${LABEL}-internal`),
    found: "passer-by unmanaged container on a network",
  },
  {
    what: "an unmanaged container with the secrets of a service",
    by: () => stranger("reader", "--network", "none", "--volume", `${volume("backend", "/run/secrets")}:/s:ro`),
    found: "reader unmanaged container with a volume",
  },
  {
    what: "an unmanaged container with the stack's label",
    by: () => stranger("namesake", "--network", "none", "--label", `bulkhead.stack=${LABEL}`),
    found: "namesake unmanaged container with the stack's label",
  },
  {
    what: "a secret that others can read",
    by: () => inVolume(volume("backend", "/run/secrets"), "chmod 0444 reach_api_key"),
    found: "backend-secrets-courier file reach_api_key",
  },
  {
    what: "a secret of another owner",
    by: () => inVolume(volume("edge", "/run/secrets"), "chown 1000:1000 private_key"),
    found: "edge-secrets-courier file private_key",
  },
  {
    what: "another certificate",
    by: () => inVolume(volume("edge", "/run/secrets"), "echo another > certificate"),
    found: "edge-secrets-courier file certificate",
  },
  {
    what: "another file among the secrets",
    by: () => inVolume(volume("edge", "/run/secrets"), "echo more > more"),
    found: "edge-secrets-courier file more",
  },
  {
    what: "another route of a service",
    by: () => inVolume(volume("edge", "/routes"), "sed -i s/reach.test/evil.test/ frontend-route.yml"),
    found: "edge route frontend-route.yml",
  },
  {
    what: "a route that nobody wrote",
    by: () => inVolume(volume("edge", "/routes"), "echo '{}' > mine.yml"),
    found: "edge route mine.yml",
  },
  {
    what: "a route that is gone",
    by: () => inVolume(volume("edge", "/routes"), "rm backend-route.yml"),
    found: "edge route backend-route.yml",
  },
];

/** In a service that was made anew by hand; all that a refresh says of it is that the old one is gone. */
const replacements: { what: string; change: (made: Made) => void; found: string; also?: string }[] = [
  { what: "another environment", change: ({ Env }) => void Env.push("DEBUG=1"), found: "env" },
  { what: "another label", change: ({ Labels }) => void (Labels["traefik.enable"] = "true"), found: "labels" },
  { what: "another command", change: (made) => void (made.Cmd = ["sleep", "600"]), found: "command" },
  { what: "root", change: (made) => void (made.User = "0:0"), found: "user" },
  { what: "no health check", change: (made) => void (made.Healthcheck = { Test: ["NONE"] }), found: "health check" },
  {
    what: "privileged",
    change: ({ HostConfig }) => void (HostConfig["Privileged"] = true),
    ...{ found: "privileged", also: "security options" },
  },
  {
    what: "a capability",
    change: ({ HostConfig }) => void (HostConfig["CapAdd"] = ["NET_ADMIN"]),
    found: "capabilities added",
  },
  { what: "all of Docker's capabilities", change: drop("CapDrop"), found: "capabilities dropped" },
  { what: "new privileges", change: drop("SecurityOpt"), found: "security options" },
  {
    what: "a writable root",
    change: ({ HostConfig }) => void (HostConfig["ReadonlyRootfs"] = false),
    found: "root file system",
  },
  {
    what: "programs in its tmpfs",
    change: ({ HostConfig }) => void (HostConfig["Tmpfs"] = { "/tmp": "rw,exec,size=16m" }),
    found: "tmpfs",
  },
  {
    what: "Docker's socket",
    change: ({ HostConfig }) => void (HostConfig["Binds"] = ["/etc/hostname:/var/run/docker.sock:ro"]),
    found: "mounts",
  },
  {
    what: "a port of the host",
    change: ({ HostConfig }) =>
      void (HostConfig["PortBindings"] = { "3000/tcp": [{ HostIp: "127.0.0.1", HostPort: "3999" }] }),
    found: "ports",
  },
  {
    what: "the host's processes",
    change: ({ HostConfig }) => void (HostConfig["PidMode"] = "host"),
    ...{ found: "pid namespace", also: "security options" },
  },
  {
    what: "a device",
    change: ({ HostConfig }) =>
      void (HostConfig["Devices"] = [{ PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "r" }]),
    found: "devices",
  },
  {
    what: "logs that nobody rotates",
    change: ({ HostConfig }) => void (HostConfig["LogConfig"] = { Type: "json-file", Config: {} }),
    found: "logs",
  },
  {
    what: "another image",
    change: (made) => void (made.Image = containers.get("backend")!.Config.Image),
    // And what that one sets.
    ...{ found: "image", also: "env" },
  },
];

interface Made {
  Image: string;
  User: string;
  Env: string[];
  Cmd: string[];
  Labels: Record<string, string>;
  Healthcheck?: object;
  HostConfig: Record<string, unknown>;
}

function drop(field: string): (made: Made) => void {
  return ({ HostConfig }) => void (HostConfig[field] = []);
}

async function audit(): Promise<Finding[]> {
  const { deployment } = await reach.project.exportState<{ deployment: Deployment }>({ showSecrets: true });
  const promised = promises(deployment);
  return findings(promised, await hostState(reach.engine, promised), LABEL);
}

const named = (found: readonly Finding[]) => found.map(({ resource, field }) => `${resource} ${field}`);

/** What a refresh sees: `edge memory`, or `edge gone`. */
async function refreshed(): Promise<string[]> {
  const changes = refreshChanges((await reach.project.previewRefresh()).stdout);
  return changes.flatMap(({ name, properties }) =>
    properties.length === 0 ? [`${name} gone`] : properties.map((property) => `${name} ${property}`),
  );
}

/** The rows of the page, as they have to be. */
const page: string[] = [];

test("a stack as it was deployed is as it promises", async () => {
  expect(await audit()).toEqual([]);
  expect(await refreshed()).toEqual([]);
});

test("every change by hand is found, and nothing else is said", async () => {
  for (const { by } of drifts) await by();
  const found = await audit();
  expect([...new Set(named(found))].sort()).toEqual([...new Set(drifts.map(({ found }) => found)), ...ALSO].sort());
  for (const { promised, found: is, cure } of found) {
    expect(promised).not.toBe(is);
    expect(cure.length).toBeGreaterThan(10);
  }
  const seen = await refreshed();
  console.log(JSON.stringify({ refreshed: seen }));
  for (const { what, property } of drifts) page.push(row(what, property !== undefined && seen.includes(property)));
});

/** More memory is more of both. */
const ALSO = ["edge memory and swap"];

test("a service that was made anew by hand is told, with all that is other in it", async () => {
  const { Name, Config, HostConfig } = containers.get("frontend")!;
  await docker("rm", "--force", id("frontend"));
  expect(await refreshed()).toContain("frontend gone");
  for (const { what, change, found, also } of replacements) {
    const made = structuredClone({ ...Config, HostConfig }) as unknown as Made;
    change(made);
    const { Id } = await reach.engine.post<{ Id: string }>(`/containers/create?name=${Name.slice(1)}`, made);
    const said = named(await audit()).filter((name) => name.startsWith("frontend "));
    expect(said, what).toContain("frontend container");
    expect(said, what).toContain(`frontend ${found}`);
    // It is on one network, never ran, and its limit of processes is set when it does.
    const always = ["container", "state", "pids", "networks", also].map((field) => `frontend ${field}`);
    expect(
      said.filter((name) => ![...always, `frontend ${found}`].includes(name)),
      what,
    ).toEqual([]);
    await docker("rm", Id);
    page.push(row(`made anew by hand with ${what}`, false));
  }
});

test("what is gone is told", async () => {
  await docker("stop", id("backend"));
  await docker("network", "disconnect", "--force", `${LABEL}-internal`, id("backend"));
  await docker("rm", "--force", "passer-by");
  await docker("network", "rm", `${LABEL}-internal`);
  await docker("network", "create", `${LABEL}-internal`);
  const found = await audit();
  expect(named(found)).toEqual(
    expect.arrayContaining(["frontend container", "backend state", "backend networks", "networks-internal network"]),
  );
  const seen = await refreshed();
  page.push(
    row("removed", seen.includes("frontend gone")),
    row(
      "stopped",
      seen.some((change) => change.startsWith("backend") && /exitCode|mustRun|gone/.test(change)),
    ),
    row("an internal network made anew with a way out", seen.includes("networks-internal gone")),
  );
  console.log(JSON.stringify({ refreshed: seen }));
});

test("the cures put all of it right", async () => {
  await docker("rm", "--force", "reader", "namesake");
  await docker("network", "rm", `${LABEL}-internal`);
  await docker("network", "disconnect", `${LABEL}-web-2`, id("edge-door"));
  await inVolume(volume("edge", "/routes"), "rm mine.yml");
  await reach.refresh();
  const anew = ["backend-secrets-files", "edge-secrets-files", "frontend-route-job", "backend-route-job"];
  await reach.deploy(anew.flatMap((name) => ["--replace", `**${name}`]));
  expect(await audit()).toEqual([]);
  expect(await reach.request("/api/status")).toMatchObject({ status: 200 });
});

test("the page on it says what was seen here", () => {
  expect(rowsOfAuditPage("On the host")).toEqual(page);
});
