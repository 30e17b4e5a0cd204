import { describe, expect, test } from "vitest";
import { fields } from "../../cli/audit/container-fields.ts";
import { isServer, serverFindings } from "../../cli/audit/database-state.ts";
import { findings, prunedOf, restartedOf } from "../../cli/audit/drift.ts";
import type { Finding } from "../../cli/audit/finding.ts";
import type { ContainerState, HostState } from "../../cli/audit/host-state.ts";
import { promises, type ExpectedState } from "../../cli/audit/expected-state.ts";
import { soundEngine } from "./sound-engine.ts";

const SECRET = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", plaintext: '"hunter2"' };
const IMAGE = `backend@sha256:${"a".repeat(64)}`;
const container = (name: string, inputs: Record<string, unknown>) => ({
  urn: `urn:pulumi:prod::reach::docker:index/container:Container::${name}`,
  type: "docker:index/container:Container",
  id: `id-of-${name}`,
  inputs,
  outputs: { name: `reach-prod-${name}-1` },
});

const OF_STACK = { labels: [{ label: "bulkhead.stack", value: "reach-prod" }] };

const DAEMON = {
  "live-restore": "on",
  users: "remapped",
  confinement: "AppArmor",
  seccomp: "Docker's profile",
  "new privileges": "as each container says",
  cgroup: "version 2, driver systemd",
  limits: "CPU, memory, processes, swap",
  storage: "overlay2",
  logs: "json-file",
  runtime: "runc",
  "insecure registries": "none",
  "registry mirrors": "none",
  "authorization plugins": "none",
  swarm: "inactive",
  debug: "off",
  experimental: "off",
};

/** A service, a courier with its secrets, and a job that wrote a route. */
const promised: ExpectedState = promises({
  resources: [
    container("backend", {
      ...{ image: IMAGE, user: "1000:1000", entrypoints: ["python"], command: ["-m", "reach"], stopTimeout: 20 },
      envs: ["PORT=8765", "PATH=/app"],
      labels: [
        { label: "bulkhead.name", value: "backend" },
        { label: "bulkhead.pids", value: "128" },
      ],
      healthcheck: { tests: ["CMD", "true"], interval: "1m30s", timeout: "500ms", retries: 3 },
      ...{ capabilities: { drops: ["ALL"], adds: ["CHOWN"] }, securityOpts: ["no-new-privileges:true"] },
      ...{ readOnly: true, privileged: false, tmpfs: { "/tmp": "rw,noexec" }, init: true, ipcMode: "private" },
      ...{ memory: 512, memorySwap: 512, cpus: "1.0", restart: "always" },
      ...{ logDriver: "json-file", logOpts: { "max-size": "10m", "max-file": "3" } },
      ports: [{ ip: "127.0.0.1", external: 443, internal: 8443, protocol: "tcp" }],
      volumes: [{ volumeName: "secrets", containerPath: "/run/secrets", readOnly: true }],
      networksAdvanced: [{ name: "web", aliases: ["api"] }],
    }),
    container("backend-courier", {
      ...{ image: IMAGE, start: false, restart: "no" },
      volumes: [{ volumeName: "secrets", containerPath: "/bulkhead" }],
      uploads: [{ file: "/bulkhead/key", content: SECRET, permissions: "0400", owner: "1000", group: "1000" }],
    }),
    // It has ended, and was pruned.
    container("backend-route-job", { image: IMAGE, restart: "no", envs: ["ROUTE_FILE=backend", "ROUTE={a=b}"] }),
    { ...container("old", {}), delete: true },
    { urn: "a::web", type: "docker:index/network:Network", id: "web-id", inputs: { driver: "bridge", internal: true } },
    { urn: "a::secrets", type: "docker:index/volume:Volume", id: "secrets", inputs: OF_STACK },
    // As the last update found it.
    { urn: "a::box", type: "bulkhead:index:DockerHost", outputs: { daemon: DAEMON } },
  ],
});

const backend: ContainerState = {
  Id: "id-of-backend",
  Name: "/reach-prod-backend-1",
  Image: `sha256:${"1".repeat(64)}`,
  State: { Status: "running", Health: { Status: "healthy" } },
  RestartCount: 0,
  Config: {
    Image: IMAGE,
    User: "1000:1000",
    Env: ["PORT=8765", "PATH=/app", "LANG=C"],
    Labels: { "bulkhead.name": "backend", "bulkhead.pids": "128", "of.image": "yes" },
    Entrypoint: ["python"],
    Cmd: ["-m", "reach"],
    StopTimeout: 20,
    Healthcheck: { Test: ["CMD", "true"], Interval: 90e9, Timeout: 0.5e9, Retries: 3 },
  },
  HostConfig: {
    ...{ NetworkMode: "web", PidMode: "", IpcMode: "private", UTSMode: "", UsernsMode: "", CgroupParent: "" },
    ...{ Privileged: false, ReadonlyRootfs: true, PublishAllPorts: false, Init: true, OomKillDisable: null },
    ...{
      Memory: 512 * 2 ** 20,
      MemorySwap: 512 * 2 ** 20,
      NanoCpus: 1e9,
      CpuShares: 0,
      CpusetCpus: "",
      PidsLimit: 128,
    },
    ...{ CapAdd: ["CAP_CHOWN"], CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges:true"], GroupAdd: null },
    ...{
      ExtraHosts: null,
      Dns: null,
      Devices: [],
      DeviceRequests: null,
      Sysctls: null,
      Tmpfs: { "/tmp": "rw,noexec" },
    },
    PortBindings: { "8443/tcp": [{ HostIp: "127.0.0.1", HostPort: "443" }] },
    RestartPolicy: { Name: "always" },
    LogConfig: { Type: "json-file", Config: { "max-file": "3", "max-size": "10m" } },
  },
  Mounts: [
    { Type: "volume", Name: "secrets", Source: "/var/lib", Destination: "/run/secrets", RW: false },
    { Type: "tmpfs", Source: "", Destination: "/tmp", RW: true },
  ],
  NetworkSettings: { Networks: { web: { NetworkID: "web-id", Aliases: ["api", "id-of-backen"] } } },
};
const key = { name: "key", mode: 0o400, uid: 1000, gid: 1000, content: Buffer.from("hunter2") };
const engine: HostState["engine"] = {
  ...soundEngine,
  DefaultRuntime: "runc",
  RegistryConfig: {
    InsecureRegistryCIDRs: ["127.0.0.0/8", "::1/128"],
    IndexConfigs: { "docker.io": { Secure: true } },
  },
};
const image = { Id: backend.Image, Config: { Env: ["PATH=/bin", "LANG=C"], Labels: { "of.image": "yes" } } };
const host: HostState = {
  engine,
  containers: [backend],
  images: { [IMAGE]: image, [image.Id]: image },
  networks: [
    { Id: "web-id", Name: "web", Driver: "bridge", Internal: true, Attachable: false, EnableIPv6: false, Labels: null },
  ],
  volumes: [{ Name: "secrets", Driver: "local", Labels: { "bulkhead.stack": "reach-prod" }, Options: null }],
  servers: {},
  carried: { "backend-courier": [key] },
  routes: [
    { ...key, name: "backend.yml", content: Buffer.from("{a=b}") },
    { ...key, name: "backend.turn" },
  ],
};

const said = (changes: Partial<HostState>): Finding[] => findings(promised, { ...host, ...changes }, "reach-prod");
const short = ({ resource, field, promised, found }: Finding) => `${resource}, ${field}: ${promised} -> ${found}`;

test("a host that is as promised has no findings", () => expect(said({})).toEqual([]));

test("a service that Docker is not to look at is well while it runs; one that it is to look at is not", () => {
  const healthOf = (healthcheck?: object) => {
    const legacy = {
      ...container("backend", { image: IMAGE, restart: "always", ...(healthcheck && { healthcheck }) }),
    };
    const found = { ...backend, State: { ...backend.State, Health: undefined } };
    const all = findings(promises({ resources: [legacy] }), { ...host, containers: [found] }, "reach-prod");
    return all.filter(({ field }) => field === "health").map(short);
  };
  expect(healthOf()).toEqual([]);
  expect(healthOf({ tests: ["CMD", "true"] })).toEqual(["backend, health: healthy -> not looked at"]);
});

/** One field of the backend that is not as promised, and what is said of it. */
const broken: [field: string, change: (backend: ContainerState) => void, promised: string, found: string][] = [
  ["state", ({ State }) => void (State.Status = "exited"), "running", "exited"],
  ["health", ({ State }) => void (State.Health = { Status: "unhealthy" }), "healthy", "unhealthy"],
  ["name", (is) => void (is.Name = "/mine"), "reach-prod-backend-1", "mine"],
  ["image", ({ Config }) => void (Config.Image = "other"), IMAGE, "other"],
  ["user", ({ Config }) => void (Config.User = ""), "1000:1000", "root"],
  ["env", ({ Config }) => void Config.Env!.push("TOKEN=hunter2"), "as deployed", "other: TOKEN"],
  ["env", ({ Config }) => void (Config.Env = ["PORT=1", "PATH=/app"]), "as deployed", "other: LANG, PORT"],
  ["labels", ({ Config }) => void (Config.Labels!["x"] = "y"), "as deployed", "other: x"],
  ["entrypoint", ({ Config }) => void (Config.Entrypoint = null), "python", ""],
  ["command", ({ Config }) => void (Config.Cmd = ["-m", "other"]), "-m reach", "-m other"],
  [
    "health check",
    ({ Config }) => void delete Config.Healthcheck,
    "CMD true, 90 s, 0.5 s, 3 times",
    ", 0 s, 0 s, 0 times",
  ],
  [
    "health check",
    ({ Config }) => void (Config.Healthcheck!.Test = ["CMD", "sh", "-c", "echo long\n".repeat(99), "health"]),
    "CMD true, 90 s, 0.5 s, 3 times",
    "CMD sh -c echo long echo long echo long echo long … (e44ee400) health, 90 s, 0.5 s, 3 times",
  ],
  ["stop timeout", ({ Config }) => void delete Config.StopTimeout, "20 s", "10 s"],
  ["privileged", ({ HostConfig }) => void (HostConfig.Privileged = true), "no", "yes"],
  [
    "capabilities added",
    ({ HostConfig }) => void HostConfig.CapAdd!.push("CAP_SYS_ADMIN"),
    "CHOWN",
    "CHOWN, SYS_ADMIN",
  ],
  ["capabilities dropped", ({ HostConfig }) => void (HostConfig.CapDrop = null), "ALL", "none"],
  ["security options", ({ HostConfig }) => void (HostConfig.SecurityOpt = null), "no-new-privileges:true", "none"],
  ["root file system", ({ HostConfig }) => void (HostConfig.ReadonlyRootfs = false), "read-only", "writable"],
  ["tmpfs", ({ HostConfig }) => void (HostConfig.Tmpfs = { "/tmp": "rw" }), "/tmp=rw,noexec", "/tmp=rw"],
  ["memory", ({ HostConfig }) => void (HostConfig.Memory = 2 ** 30), "512 MiB", "1024 MiB"],
  ["memory and swap", ({ HostConfig }) => void (HostConfig.MemorySwap = -1), "512 MiB", "no limit"],
  ["cpus", ({ HostConfig }) => void (HostConfig.NanoCpus = 2.5e9), "1", "2.5"],
  ["cpu shares", ({ HostConfig }) => void (HostConfig.CpuShares = 2048), "0", "2048"],
  ["cpu set", ({ HostConfig }) => void (HostConfig.CpusetCpus = "0"), "all", "0"],
  ["pids", ({ HostConfig }) => void (HostConfig.PidsLimit = null), "128", "no limit"],
  ["restart", ({ HostConfig }) => void (HostConfig.RestartPolicy.Name = ""), "always", "no"],
  ["init", ({ HostConfig }) => void (HostConfig.Init = null), "yes", "no"],
  [
    "logs",
    ({ HostConfig }) => void (HostConfig.LogConfig = { Type: "none", Config: {} }),
    "json-file max-file=3, max-size=10m",
    "none ",
  ],
  ["ipc namespace", ({ HostConfig }) => void (HostConfig.IpcMode = "host"), "private", "host"],
  ["pid namespace", ({ HostConfig }) => void (HostConfig.PidMode = "host"), "none", "host"],
  ["uts namespace", ({ HostConfig }) => void (HostConfig.UTSMode = "host"), "none", "host"],
  ["user namespace", ({ HostConfig }) => void (HostConfig.UsernsMode = "host"), "none", "host"],
  ["cgroup parent", ({ HostConfig }) => void (HostConfig.CgroupParent = "/"), "none", "/"],
  ["devices", ({ HostConfig }) => void (HostConfig.Devices = [{ PathOnHost: "/dev/kvm" }]), "none", "/dev/kvm"],
  ["groups", ({ HostConfig }) => void (HostConfig.GroupAdd = ["docker"]), "none", "docker"],
  ["sysctls", ({ HostConfig }) => void (HostConfig.Sysctls = { a: "1" }), "none", "a=1"],
  ["hosts", ({ HostConfig }) => void (HostConfig.ExtraHosts = ["db:10.0.0.1"]), "none", "db:10.0.0.1"],
  ["name servers", ({ HostConfig }) => void (HostConfig.Dns = ["10.0.0.1"]), "none", "10.0.0.1"],
  ["OOM killer", ({ HostConfig }) => void (HostConfig.OomKillDisable = true), "none", "off"],
  [
    "ports",
    ({ HostConfig }) => void (HostConfig.PortBindings!["8443/tcp"]![0]!.HostIp = ""),
    "127.0.0.1:443 to 8443",
    ":443 to 8443",
  ],
  [
    "mounts",
    ({ Mounts }) => void Mounts.push({ Type: "bind", Source: "/", Destination: "/host", RW: true }),
    "secrets at /run/secrets",
    "/ at /host, writable, secrets at /run/secrets",
  ],
  [
    "networks",
    ({ NetworkSettings: { Networks } }) => void (Networks["bridge"] = { NetworkID: "b", Aliases: null }),
    "web",
    "bridge, web",
  ],
  [
    "aliases",
    ({ NetworkSettings: { Networks } }) => void (Networks["web"]!.Aliases = null),
    "as deployed",
    "without api on web",
  ],
];

describe("of a container is said", () => {
  test.each(broken)("%s", (field, change, promised, found) => {
    const is = structuredClone(backend);
    change(is);
    expect(said({ containers: [is] }).map(short)).toEqual([`backend, ${field}: ${promised} -> ${found}`]);
  });

  test("the command, the entry point and the user that its image brings", () => {
    const inputs = { ...promised.containers[0]!.inputs, entrypoints: undefined, command: undefined, user: "" };
    const bare = { ...promised, containers: [{ ...promised.containers[0]!, inputs }] };
    const Config = { ...host.images[IMAGE]!.Config, Entrypoint: ["python"], Cmd: ["-m", "reach"], User: "1000:1000" };
    const images = { [backend.Image]: { Id: backend.Image, Config } };
    const ofBare = (is: ContainerState) =>
      findings(bare, { ...host, containers: [is], images, carried: {}, routes: undefined }, "x");
    expect(ofBare(backend)).toEqual([]);
    const is = structuredClone(backend);
    Object.assign(is.Config, { Entrypoint: ["sh"], Cmd: ["-c", "id"], User: "0" });
    expect(ofBare(is).map(({ field }) => field)).toEqual(["user", "entrypoint", "command"]);
  });

  test("each field once at least", () =>
    expect(new Set(broken.map(([field]) => field))).toEqual(new Set(Object.keys(fields))));

  test("that it is gone, or that another stands in its place", () => {
    expect(said({ containers: [] }).map(short)).toEqual(["backend, container: there -> gone"]);
    const other = { ...structuredClone(backend), Id: "another-container" };
    other.HostConfig.Privileged = true;
    expect(said({ containers: [other] }).map(short)).toEqual([
      "backend, container: id-of-backen -> another-cont",
      "backend, privileged: no -> yes",
    ]);
  });
});

describe("after a prune next door", () => {
  const elsewhere = { Id: `sha256:${"3".repeat(64)}`, Config: { Env: ["X=1"], Entrypoint: ["x"], User: "9" } };

  test.each<[string, HostState["images"]]>([
    ["has lost its name", { [image.Id]: image }],
    ["has passed its name on to another", { [IMAGE]: elsewhere, [image.Id]: image }],
    ["is gone", {}],
  ])("the stack's own container, whose image %s, is as promised", (_, images) => {
    expect(said({ images })).toEqual([]);
  });

  test("a container in its place from the same name, which is another image's now, is told", () => {
    const other = { ...structuredClone(backend), Id: "another-container", Image: elsewhere.Id };
    const found = said({ containers: [other], images: { [IMAGE]: image } });
    expect(found.map(short)).toEqual([
      "backend, container: id-of-backen -> another-cont",
      "backend, image: sha256:111111111111 -> sha256:333333333333",
    ]);
  });

  test("of couriers and jobs it is told that they are gone, and nothing is missed", () => {
    expect(prunedOf(promised, host)).toEqual(["backend-courier", "backend-route-job"]);
    expect(said({ containers: [backend] })).toEqual([]);
  });
});

test("what Docker has started again is told, and what it has not is not", () => {
  const told = (count: number) => restartedOf(promised, { ...host, containers: [{ ...backend, RestartCount: count }] });
  expect([told(0), told(1), told(7)]).toEqual([
    [],
    ["backend (reach-prod-backend-1): started again once by Docker"],
    ["backend (reach-prod-backend-1): started again 7 times by Docker"],
  ]);
});

/** Of what runs and may serve, no cure may take anything away before something else has taken its place. */
test("no cure says to remove the stack's own container, or one in its place", () => {
  const cures = broken.flatMap(([field, change]) =>
    // With another id and another name it is not in its place.
    ["id-of-backend", ...(field === "name" ? [] : ["another-container"])].flatMap((Id) => {
      const is = { ...structuredClone(backend), Id };
      change(is);
      return said({ containers: [is] }).map(({ cure }) => cure);
    }),
  );
  cures.push(...said({ networks: [] }).map(({ cure }) => cure));
  expect(cures.length).toBeGreaterThan(2 * broken.length);
  for (const cure of cures) expect(cure).not.toMatch(/docker (rm|kill|stop)|--force/);
});

test("what the next update takes away is not unmanaged", () => {
  const old = { ...structuredClone(backend), Id: "id-of-old", Name: "/reach-prod-old-1" };
  expect(said({ containers: [backend, old] })).toEqual([]);
});

const file = (change: object) => ({ carried: { "backend-courier": [{ ...key, ...change }] } });
const route = (name: string, content: string) => ({ ...key, name, content: Buffer.from(content) });

test.each<[what: string, changes: Partial<HostState>, ...findings: string[]]>([
  ["mode", file({ mode: 0o444 }), "file key: 0400, 1000:1000 -> 0444, 1000:1000"],
  ["owner", file({ uid: 0 }), "file key: 0400, 1000:1000 -> 0400, 0:1000"],
  ["content", file({ content: Buffer.from("hunter3") }), "file key: its content -> another content"],
  ["absence", { carried: { "backend-courier": [] } }, "file key: there -> gone"],
  ["company", file({ name: "more" }), "file key: there -> gone", "file more: none -> there"],
])("a secret file's %s is compared, and its content not shown", (_, changes, ...expected) => {
  const found = said(changes);
  expect(found.map(short)).toEqual(expected.map((finding) => `backend-courier, ${finding}`));
  expect(JSON.stringify(found)).not.toContain("hunter");
});

test("a network that nothing is to be on is not missed", () => {
  const of = (name: string) => {
    const networks = [{ name, id: "web-id", inputs: { name, driver: "bridge", internal: true } }];
    const found = findings({ ...promised, networks }, { ...host, networks: [] }, "reach-prod");
    return found.filter(({ field }) => field === "network");
  };
  expect(of("web")).toHaveLength(1);
  expect(of("internal")).toEqual([]);
});

test("files beside a route are compared, and their content not shown", () => {
  const users = "ann:$2b$04$a-hash";
  const beside = promises({
    resources: [
      container("users-courier", {
        ...{ image: IMAGE, start: false, restart: "no" },
        volumes: [{ volumeName: "users", containerPath: "/bulkhead" }],
        uploads: [{ file: "/bulkhead/app", content: users, permissions: "0400", owner: "0", group: "0" }],
      }),
      container("app-route-job", {
        ...{ image: IMAGE, restart: "no", envs: ["ROUTE_FILE=app-route", "ROUTE={a=b}", "BESIDE=1"] },
        volumes: [{ volumeName: "users", containerPath: "/beside" }],
      }),
    ],
  });
  const found = (...files: ReturnType<typeof route>[]) => {
    const routes = [route("app-route.yml", "{a=b}"), ...files];
    return findings(beside, { ...host, containers: [], networks: [], volumes: [], carried: {}, routes }, "reach-prod");
  };
  const of = (...files: ReturnType<typeof route>[]) =>
    found(...files)
      .filter(({ resource }) => resource === "edge")
      .map(short);
  const file = "app-route.1.beside.app";
  expect(of(route(file, users))).toEqual([]);
  expect(of(route(file, users), route("app-route.0.beside.app", "of a failed update"))).toEqual([]);
  expect(of(route(file, "eve:$2b$04$hers"))).toEqual([`edge, route ${file}: as deployed -> another`]);
  expect(of()).toEqual([`edge, route ${file}: as deployed -> gone`]);
  expect(JSON.stringify(found(route(file, "eve:$2b$04$hers")))).not.toContain("$2b$");
});

test.each<[what: string, changes: Partial<HostState>, ...findings: string[]]>([
  ["another route", { routes: [route("backend.yml", "{}")] }, "edge, route backend.yml: as deployed -> another"],
  ["no route", { routes: [] }, "edge, route backend.yml: as deployed -> gone"],
  [
    "a route more",
    { routes: [route("backend.yml", "{a=b}"), route("mine.yml", "{}")] },
    "edge, route mine.yml: none -> there",
  ],
  ["a network that is gone", { networks: [] }, "web, network: there -> gone, or made by hand"],
  [
    "a network with a way out",
    { networks: [{ ...host.networks[0]!, Internal: false }] },
    "web, settings: driver=bridge, internal=true, ipv6=false -> driver=bridge, internal=false, ipv6=false",
  ],
  ["a volume that is gone", { volumes: [] }, "secrets, volume: there -> gone"],
  [
    "a volume that Docker made anew",
    { volumes: [{ ...host.volumes[0]!, Labels: null }] },
    "secrets, volume: of the stack -> made anew, not by the stack",
  ],
  [
    "a volume that is a folder of the host",
    { volumes: [{ ...host.volumes[0]!, Options: { type: "none", o: "bind", device: "/" } }] },
    "secrets, settings: driver=local -> device=/, driver=local, o=bind, type=none",
  ],
])("%s is told", (_, changes, ...expected) => expect(said(changes).map(short)).toEqual(expected));

describe("of the data tier", () => {
  const labelled = (name: string, labels: Record<string, string>, inputs: Record<string, unknown> = {}) =>
    container(name, {
      ...{ image: IMAGE, restart: "always", healthcheck: { tests: ["CMD", "true"] }, ...inputs },
      labels: Object.entries(labels).map(([label, value]) => ({ label, value })),
    });
  const tier = promises({
    resources: [
      labelled("db", { "bulkhead.role": "database" }, { envs: ["PGDATA=/var/lib/postgresql/data"] }),
      labelled("db-backup-login", { "bulkhead.login": "backup_1" }, { restart: "no" }),
      labelled("backup-receiver", { "bulkhead.backup": "receiver", "bulkhead.backup-of": "db" }),
    ],
  });
  const { powerful, slots } = {
    powerful: [{ name: "backup_1", right: "replication" }],
    slots: [{ name: "bulkhead", usedBy: "backup_1" }],
  };
  const ofServer = (server: object, expected = tier) =>
    serverFindings(expected, { db: { powerful, slots, ...server } }).map(short);

  test("a server with the logins and the slot of the stack is as promised", () => {
    expect(tier.containers.filter(isServer).map(({ name }) => name)).toEqual(["db"]);
    expect(ofServer({})).toEqual([]);
  });

  test.each<[string, object, string]>([
    [
      "a superuser that somebody made",
      { powerful: [...powerful, { name: "mallory", right: "superuser" }] },
      "db, role mallory: none -> superuser",
    ],
    [
      "a login of the stack that became one",
      { powerful: [{ name: "backup_1", right: "superuser" }] },
      "db, role backup_1: none -> superuser",
    ],
    [
      "a role that replicates",
      { powerful: [...powerful, { name: "copier", right: "replication" }] },
      "db, role copier: none -> replication",
    ],
    [
      "a slot that nobody comes back for",
      { slots: [...slots, { name: "old", usedBy: null }] },
      "db, replication slot old: none -> held for nobody",
    ],
    [
      "a slot of somebody else",
      { slots: [...slots, { name: "other", usedBy: "copier" }] },
      "db, replication slot other: none -> used by copier",
    ],
  ])("%s is told", (_, server, expected) => expect(ofServer(server)).toEqual([expected]));

  test("the slot of a receiver that the program has no more is told", () => {
    const without = { ...tier, containers: tier.containers.filter(({ name }) => name !== "backup-receiver") };
    const idle = { slots: [{ name: "bulkhead", usedBy: null }] };
    expect(ofServer(idle, without)).toEqual(["db, replication slot bulkhead: none -> held for nobody"]);
    expect(ofServer(idle)).toEqual([]);
  });

  test("a backup that is red says why; of a service nothing of what its health check wrote is told", () => {
    const State = {
      Status: "running",
      Health: { Status: "unhealthy", Log: [{ Output: "no WAL is sent\nhunter2\n" }] },
    };
    const ofRole = (labels: Record<string, string>) => {
      const one = promises({ resources: [labelled("backend", labels)] });
      const found = findings(one, { ...host, containers: [{ ...backend, State }] }, "reach-prod");
      return found.filter(({ field }) => field === "health").map(short);
    };
    const why = "backend, health: healthy -> unhealthy: no WAL is sent; hunter2";
    expect(ofRole({ "bulkhead.role": "backup" })).toEqual([why]);
    expect(ofRole({ "bulkhead.role": "worker", "bulkhead.backup": "copy" })).toEqual([why]);
    expect(ofRole({ "bulkhead.role": "service" })).toEqual(["backend, health: healthy -> unhealthy"]);
  });
});

test("unmanaged containers are told by what they reach", () => {
  const stranger = { ...structuredClone(backend), ...{ Id: "x", Name: "/x" } };
  const elsewhere = structuredClone(stranger);
  Object.assign(elsewhere, { Id: "y", Name: "/y", Mounts: [] });
  elsewhere.NetworkSettings.Networks = { bridge: { NetworkID: "bridge-id", Aliases: null } };
  stranger.Config.Labels = { "bulkhead.stack": "reach-prod" };
  elsewhere.Config.Labels = { "bulkhead.stack": "reach-staging" };
  expect(said({ containers: [backend, stranger, elsewhere] }).map(short)).toEqual([
    "x, unmanaged container on a network: none -> web",
    "x, unmanaged container with a volume: none -> secrets",
    "x, unmanaged container with the stack's label: none -> reach-prod",
  ]);
});

/** One setting of Docker that is not as the last update found it. */
const reset: [field: keyof typeof DAEMON, change: Partial<HostState["engine"]>, found: string][] = [
  ["live-restore", { LiveRestoreEnabled: false }, "off"],
  ["users", { SecurityOptions: ["name=apparmor", "name=seccomp,profile=builtin"] }, "not remapped"],
  ["users", { SecurityOptions: ["name=apparmor", "name=seccomp,profile=builtin", "name=rootless"] }, "rootless"],
  ["confinement", { SecurityOptions: ["name=seccomp,profile=default", "name=userns"] }, "none"],
  ["confinement", { SecurityOptions: ["name=selinux", "name=seccomp,profile=builtin", "name=userns"] }, "SELinux"],
  [
    "seccomp",
    { SecurityOptions: ["name=apparmor", "name=seccomp,profile=unconfined", "name=userns"] },
    "profile=unconfined",
  ],
  ["seccomp", { SecurityOptions: ["name=apparmor", "name=userns"] }, "none"],
  ["new privileges", { SecurityOptions: [...engine.SecurityOptions!, "name=no-new-privileges"] }, "refused by default"],
  ["cgroup", { CgroupVersion: undefined, CgroupDriver: "cgroupfs" }, "version 1, driver cgroupfs"],
  ["limits", { PidsLimit: false, SwapLimit: false }, "CPU, memory"],
  ["storage", { Driver: "vfs" }, "vfs"],
  ["logs", { LoggingDriver: "none" }, "none"],
  ["runtime", { DefaultRuntime: "crun" }, "crun"],
  ["insecure registries", { RegistryConfig: { InsecureRegistryCIDRs: ["10.0.0.0/8", "127.0.0.0/8"] } }, "10.0.0.0/8"],
  ["insecure registries", { RegistryConfig: { IndexConfigs: { "a.test": { Secure: false } } } }, "a.test"],
  ["registry mirrors", { RegistryConfig: { Mirrors: ["https://a.test/"] } }, "https://a.test/"],
  ["authorization plugins", { Plugins: { Authorization: ["mine"] } }, "mine"],
  ["swarm", { Swarm: { LocalNodeState: "active" } }, "active"],
  ["debug", { Debug: true }, "on"],
  ["experimental", { ExperimentalBuild: true }, "on"],
];

describe("of the host's Docker is said", () => {
  const saidOf = (change: Partial<HostState["engine"]>) => said({ engine: { ...engine, ...change } });

  test.each(reset)("another %s, once", (field, change, found) => {
    expect(saidOf(change).map(short)).toEqual([`box, ${field}: ${DAEMON[field]} -> ${found}`]);
  });

  test("each setting once at least", () =>
    expect(new Set(reset.map(([field]) => field))).toEqual(new Set(Object.keys(DAEMON))));

  test("what doctor says of it, where doctor knows a cure, or how it becomes what is promised", () => {
    expect(saidOf({ LiveRestoreEnabled: false })[0]!.cure).toContain('"live-restore": true');
    expect(saidOf({ Debug: true })[0]!.cure).toContain("`bulkhead up` takes it as it is");
  });

  test("nothing of an upgrade", () => {
    const SecurityOptions = engine.SecurityOptions!.map((option) => option.replace("builtin", "default"));
    expect(saidOf({ ServerVersion: "30.0.0", SecurityOptions, RegistryConfig: {} })).toEqual([]);
  });

  test("what no host of a stack may be, also where it was so before, and of an older state", () => {
    const unfit: [field: string, change: Partial<HostState["engine"]>, found: string][] = [
      [
        "API",
        { Warnings: ["WARNING: API is accessible on http://0.0.0.0:2375 without encryption."] },
        "open on http://0.0.0.0:2375, without encryption",
      ],
      ["seccomp", { SecurityOptions: null }, "not there"],
      ["limits", { MemoryLimit: false }, "none for memory"],
      ["cgroup", { CgroupDriver: "none" }, "version 2, driver none"],
      ["Docker", { ServerVersion: "19.03.1" }, "19.03.1, older than 20.10"],
    ];
    for (const [field, change, found] of unfit)
      expect(
        findings({ ...promised, daemon: undefined }, { ...host, engine: { ...engine, ...change } }, "reach-prod").map(
          short,
        ),
      ).toEqual([`host, ${field}: fit for a stack -> ${found}`]);
  });
});
