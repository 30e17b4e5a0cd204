import { spawn, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Engine } from "../../components/docker-engine/client.ts";
import { sshDirectory } from "../../components/docker-engine/ssh.ts";
import { cacheDirectory } from "../../toolchain/cache.ts";
import { requirePrograms } from "../../toolchain/debian.ts";
import { dockerRootDirectory } from "./docker-root.ts";
import { lastLines, runCommand, type CommandOptions, type CommandResult } from "./command.ts";
import { connectNamespace, disconnectNamespace, type Link } from "./network.ts";

/**
 * A real Docker engine of the tests' own. It runs in its own network, mount and process namespaces: its published
 * ports, its mounts and its processes are not this machine's, and all of them are gone when it is.
 */
export interface TestEngine {
  id: string;
  /** unix://PATH: the socket is a file that this machine sees too, for root only. */
  dockerHost: string;
  logFile: string;
  /** Runs a command inside, where published ports are on 127.0.0.1 and DOCKER_HOST is this engine. */
  exec: (command: string, args: string[], options?: CommandOptions) => Promise<CommandResult>;
}

export interface StartedEngine extends TestEngine {
  /** Its address as seen from this machine. */
  address: string;
  /** Ends dockerd with a signal and starts it again; containers and images stay, as after a crash or an upgrade. */
  restart: (signal?: NodeJS.Signals) => Promise<void>;
  stop: () => Promise<void>;
}

/**
 * Which Docker it is. `debian-13`: 26.1, which knows a start interval for health checks. `machine`: this machine's own,
 * which is 20.10 on Debian 12, the oldest that Bulkhead runs on.
 */
export type DockerRelease = "debian-13" | "machine";

/** Runs a test with an engine and stops the engine whatever happens, also at Ctrl-C. */
export async function withTestEngine<T>(
  run: (engine: StartedEngine) => Promise<T>,
  id?: string,
  release?: DockerRelease,
): Promise<T> {
  const starting = startTestEngine(id, release);
  const interrupt = (signal: NodeJS.Signals) => {
    // What runs inside ends with the engine.
    void starting.then((engine) => engine.stop()).finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    const engine = await starting;
    try {
      return await run(engine);
    } finally {
      await engine.stop();
    }
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** Engines of different ids run side by side; each keeps its images in the user's cache from run to run. */
export async function startTestEngine(id = "e2e", release: DockerRelease = "debian-13"): Promise<StartedEngine> {
  const places = { ...engineFiles(id), ...dataFiles(id, release) };
  if (process.getuid?.() !== 0) {
    throw new Error(
      "the tests' Docker engine needs root for its network namespace: run the tests as root or with sudo",
    );
  }
  // A user's PATH may leave out where the system keeps dockerd, ip and iptables.
  const path = (process.env["PATH"] ?? "").split(":");
  process.env["PATH"] = [...new Set([...path, "/usr/local/sbin", "/usr/sbin", "/sbin"])].join(":");
  const purpose = "the tests' Docker engine";
  await requirePrograms(purpose, { ip: "iproute2", iptables: "iptables", nsenter: "util-linux" });
  if (release === "machine") await requirePrograms(purpose, { dockerd: "docker.io" });
  // It comes with docker.io or, in newer releases, in a package of its own.
  await requirePrograms(purpose, { docker: "docker-cli" });
  const root = release === "debian-13" ? await dockerRootDirectory() : undefined;
  const lock = await takeLock(places);
  try {
    await endKeeper(places);
    await removeTraces(places);
    const keeper = await startKeeper(places, root);
    const link = await connectNamespace(places.name, `/proc/${keeper.pid}/ns/net`);
    forgetRunningContainers(places);
    const start = () => startDockerd(places, keeper, { link, root });
    let dockerd = await start();
    await removeLeftovers(places);

    const stop = async () => {
      if (isRunning(dockerd)) await removeLeftovers(places);
      await endDockerd(places, keeper, dockerd, "SIGTERM");
      await endKeeper(places);
      await removeTraces(places);
      await new Promise((resolve) => lock.close(resolve));
    };
    let stopping: Promise<void> | undefined;
    return {
      ...openTestEngine(id),
      address: link.engineAddress,
      restart: async (signal = "SIGTERM") => {
        await endDockerd(places, keeper, dockerd, signal);
        dockerd = await start();
      },
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    await endKeeper(places);
    await removeTraces(places);
    lock.close();
    throw error;
  }
}

/** The engine of this id that another process has started. */
export function openTestEngine(id: string): TestEngine {
  const places = engineFiles(id);
  const dockerHost = `unix://${places.socket}`;
  return {
    id,
    dockerHost,
    logFile: places.logFile,
    exec: async (command, args, options = {}) => {
      const env = { DOCKER_HOST: dockerHost, DOCKER_CONTEXT: undefined, [insideVariable]: id, ...options.env };
      // Tests that run inside are there already.
      if (process.env[insideVariable] === id) return runCommand(command, args, { ...options, env });
      const keeperPid = findKeeper(places);
      if (keeperPid === undefined) throw new Error(`test engine "${id}" is not running`);
      const [nsenter, ...entered] = enter(keeperPid, options.cwd ?? process.cwd(), [command, ...args]);
      return runCommand(nsenter, entered, { ...options, cwd: undefined, env });
    },
  };
}

/** The engine that this process runs inside of. */
export function currentTestEngine(): TestEngine {
  const id = process.env[insideVariable];
  if (id === undefined) throw new Error("not inside a test engine: start these tests with tests/support/run-e2e.ts");
  return openTestEngine(id);
}

const insideVariable = "BULKHEAD_TEST_ENGINE";

interface EngineFiles {
  id: string;
  name: string;
  /** What lives as long as the engine. */
  runDirectory: string;
  keeperPid: string;
  dockerdPid: string;
  socket: string;
  logFile: string;
}

/** An older Docker cannot read what a newer one has written. */
function dataFiles(id: string, release: DockerRelease): { data: string } {
  return { data: join(cacheDirectory(), "test-engine", id, release) };
}

type Places = EngineFiles & ReturnType<typeof dataFiles>;

function engineFiles(id: string): EngineFiles {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(id)) {
    throw new Error(`test engine id "${id}": use up to 31 lower-case letters, digits and dashes`);
  }
  const name = `bulkhead-test-${id}`;
  const runDirectory = `/run/${name}`;
  return {
    id,
    name,
    runDirectory,
    keeperPid: join(runDirectory, "keeper.pid"),
    dockerdPid: join(runDirectory, "dockerd.pid"),
    socket: join(runDirectory, "docker.sock"),
    logFile: join(cacheDirectory(), "test-engine", id, "dockerd.log"),
  };
}

/** An abstract socket is free again the moment its owner dies, however it dies. */
async function takeLock(places: EngineFiles): Promise<Server> {
  const path = `\0${places.name}`;
  const lock = createServer((socket) => socket.end(`${process.pid}`));
  lock.unref();
  const taken = await new Promise<boolean>((resolve, reject) => {
    lock.once("listening", () => resolve(false));
    lock.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(true) : reject(error)));
    lock.listen(path);
  });
  if (!taken) return lock;
  const owner = await new Promise<string>((resolve) => {
    let text = "";
    const socket = connect(path, () => undefined);
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("close", () => resolve(text));
    socket.on("error", () => undefined);
    socket.setTimeout(2_000, () => socket.destroy());
  });
  throw new Error(
    `test engine "${places.id}" is in use by process ${owner || "(unknown)"}: wait until it ends, or use another id`,
  );
}

/**
 * The keeper holds the namespaces open. It reads from this process and ends when this process does, and as its child is
 * the first process of the namespace, the kernel then ends every dockerd, shim and container in it.
 */
async function startKeeper(places: Places, root: string | undefined): Promise<ChildProcess> {
  mkdirSync(places.runDirectory, { recursive: true, mode: 0o700 });
  mkdirSync(places.data, { recursive: true, mode: 0o711 });
  const resolvConf = join(places.runDirectory, "resolv.conf");
  writeFileSync(resolvConf, readFileSync(outsideResolvConf()));
  const script = [
    // A containerd, plug-ins or daemon settings of this machine's own engine must not be picked up.
    "for directory in /run/containerd /run/docker /etc/docker; do",
    '  mkdir -p "$directory"',
    '  mount -t tmpfs none "$directory"',
    "done",
    // Nor an open ssh connection: an address in here is that of another host in another engine.
    'mkdir -p -m 0700 "$2"',
    'mount -t tmpfs -o mode=0700 none "$2"',
    'mount --bind "$1" /etc/resolv.conf',
    "ip link set lo up",
    ...(root === undefined ? [] : [ANOTHER_ROOT]),
    "echo ready",
    "cat >/dev/null",
  ].join("\n");
  const keeper = spawn(
    "unshare",
    [
      ...["--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["sh", "-ec", script, places.name, resolvConf, sshDirectory, root ?? "", places.data],
    ],
    { stdio: ["pipe", "pipe", "pipe"], detached: true },
  );
  let complaints = "";
  keeper.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    keeper.stdout.once("data", resolve);
    keeper.once("error", reject);
    keeper.once("exit", () => reject(new Error(`cannot make the test engine's namespaces: ${complaints.trim()}`)));
  });
  writeFileSync(places.keeperPid, `${keeper.pid}`);
  return keeper;
}

/**
 * The files of another system for dockerd to run in, with this one's processes, devices and temporary files; what is
 * mounted later in either is there in both. What dockerd writes to the system's own folders goes with the namespace.
 */
const ANOTHER_ROOT = `
mount --make-rshared /
mount -t tmpfs none /mnt
# No process can change its root below a mount that is shared.
mount --make-private /mnt
mkdir /mnt/root /mnt/upper /mnt/work
mount -t overlay -o "lowerdir=$3,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
for directory in /dev /proc /sys /run /tmp "$4"; do
  mkdir -p "/mnt/root$directory"
  mount --rbind "$directory" "/mnt/root$directory"
done
touch /mnt/root/etc/resolv.conf
mount --bind "$1" /mnt/root/etc/resolv.conf
`;

/** Not by chroot: who enters a container's mounts, as \`docker exec\` does, comes out at their root. */
const INTO_THE_OTHER_ROOT = `
cd /mnt/root
mkdir -p old
pivot_root . old
# What is let go of here stays where it is mounted elsewhere.
mount --make-rprivate old
umount --lazy old
exec "$@"
`;

// Name servers on this machine's loopback interface cannot be reached from another network namespace.
function outsideResolvConf(): string {
  const behindStub = "/run/systemd/resolve/resolv.conf";
  const servers = readFileSync("/etc/resolv.conf", "utf8").match(/^nameserver\s+\S+/gm) ?? [];
  const onlyLoopback = servers.every((line) => /\s(127\.|::1)/.test(line));
  return onlyLoopback && existsSync(behindStub) ? behindStub : "/etc/resolv.conf";
}

function enter(keeperPid: number, directory: string, command: string[]): [string, ...string[]] {
  const namespace = (kind: string) => `/proc/${keeperPid}/ns/${kind}`;
  return [
    "nsenter",
    `--net=${namespace("net")}`,
    `--mount=${namespace("mnt")}`,
    `--pid=${namespace("pid_for_children")}`,
    "--",
    // Entering a mount namespace loses the working directory.
    ...["env", `--chdir=${directory}`],
    ...command,
  ];
}

interface Started {
  link: Link;
  root: string | undefined;
}

async function startDockerd(places: Places, keeper: ChildProcess, { link, root }: Started): Promise<ChildProcess> {
  const settings = join(places.runDirectory, "daemon.json");
  writeFileSync(settings, "{}");
  rmSync(places.dockerdPid, { force: true });
  const log = openSync(places.logFile, "w");
  const [command, ...args] = enter(keeper.pid!, "/", [
    ...(root === undefined
      ? []
      : ["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", INTO_THE_OTHER_ROOT, "sh"]),
    "dockerd",
    ...["--config-file", settings],
    ...["--data-root", places.data],
    ...["--exec-root", join(places.runDirectory, "exec")],
    ...["--pidfile", places.dockerdPid],
    ...["--host", `unix://${places.socket}`],
    ...["--mtu", `${link.mtu}`],
    // One place in the cgroup tree, the same on every machine, so that it can be found and removed.
    ...["--exec-opt", "native.cgroupdriver=cgroupfs"],
    ...["--cgroup-parent", `/${places.name}`],
  ]);
  const dockerd = spawn(command, args, { stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  let spawnError: Error | undefined;
  dockerd.once("error", (error) => (spawnError = error));

  const patienceMs = 60_000;
  for (const started = Date.now(); ; await sleep(50)) {
    if (await answers(places)) return dockerd;
    const trouble =
      spawnError?.message ??
      (!isRunning(dockerd)
        ? `dockerd ended with ${dockerd.signalCode ?? `exit code ${dockerd.exitCode}`}`
        : Date.now() - started > patienceMs && `no answer within ${patienceMs / 1000} s`);
    if (trouble) {
      const tail = lastLines(readFileSync(places.logFile, "utf8"), 15);
      throw new Error(`test engine "${places.id}" did not start: ${trouble}\nThe end of ${places.logFile}:\n${tail}`);
    }
  }
}

async function endDockerd(places: EngineFiles, keeper: ChildProcess, dockerd: ChildProcess, signal: NodeJS.Signals) {
  if (!isRunning(dockerd)) return;
  const ended = new Promise((resolve) => dockerd.once("exit", resolve));
  // The number in its pid file counts in its own process namespace.
  const kill = (name: string) => {
    const [command, ...args] = enter(keeper.pid!, "/", ["sh", "-c", `kill -${name} "$(cat "$0")"`, places.dockerdPid]);
    return runCommand(command, args);
  };
  await kill(signal.replace("SIG", ""));
  if (await Promise.race([ended.then(() => false), sleep(30_000, true, { ref: false })])) await kill("KILL");
  await ended;
}

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

/** Ends all that runs in the namespaces, of this run or of one that was killed. */
async function endKeeper(places: EngineFiles): Promise<void> {
  const pid = findKeeper(places);
  if (pid === undefined) return;
  // The first process of a process namespace is gone only when all the others are.
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  for (const victim of children.length > 0 ? children.map(Number) : [pid]) process.kill(victim, "SIGKILL");
  for (const started = Date.now(); findKeeper(places) !== undefined; await sleep(20)) {
    if (Date.now() - started > 30_000) throw new Error(`test engine "${places.id}": process ${pid} does not end`);
  }
}

/** The process of a keeper, known by its pid file and, as numbers are used again, by its command line. */
function findKeeper(places: EngineFiles): number | undefined {
  try {
    const pid = Number(readFileSync(places.keeperPid, "utf8"));
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words[0] === "unshare" && words.includes(places.name) ? pid : undefined;
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

async function removeTraces(places: EngineFiles): Promise<void> {
  await disconnectNamespace(places.name);
  rmSync(places.runDirectory, { recursive: true, force: true });
  const root = "/sys/fs/cgroup";
  // Version 1 has a tree for each controller, version 2 has one for all.
  const trees = existsSync(join(root, "cgroup.controllers"))
    ? [root]
    : readdirSync(root).map((tree) => join(root, tree));
  for (const tree of trees) await removeCgroup(join(tree, places.name));
}

async function removeCgroup(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeCgroup(join(directory, entry.name));
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return rmdirSync(directory);
    } catch (error) {
      // The kernel needs a moment after the last process of a group.
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || attempt === 100) throw error;
      await sleep(50);
    }
  }
}

/** Containers of a run that was killed must not start again with the engine, nor a swarm with its services. */
function forgetRunningContainers(places: Places): void {
  rmSync(join(places.data, "swarm"), { recursive: true, force: true });
  const directory = join(places.data, "containers");
  for (const id of existsSync(directory) ? readdirSync(directory) : []) {
    const file = join(directory, id, "hostconfig.json");
    if (!existsSync(file)) continue;
    const settings = JSON.parse(readFileSync(file, "utf8")) as object;
    writeFileSync(file, JSON.stringify({ ...settings, RestartPolicy: { Name: "no" } }));
  }
}

/** Removes every container, network and volume; images stay, but those that have lost their tag go after a week. */
async function removeLeftovers(places: EngineFiles): Promise<void> {
  const engine = new Engine(`unix://${places.socket}`);
  try {
    const { Swarm: swarm } = await engine.get<{ Swarm: { LocalNodeState: string } }>("/info");
    if (swarm.LocalNodeState !== "inactive") await engine.post("/swarm/leave?force=1");
    for (const { Id } of await engine.get<{ Id: string }[]>("/containers/json?all=1")) {
      await engine.delete(`/containers/${Id}?force=1&v=1`);
    }
    for (const { Id, Name } of await engine.get<{ Id: string; Name: string }[]>("/networks")) {
      if (!["bridge", "host", "none"].includes(Name)) await engine.delete(`/networks/${Id}`);
    }
    const { Volumes: volumes } = await engine.get<{ Volumes: { Name: string }[] | null }>("/volumes");
    for (const { Name } of volumes ?? []) await engine.delete(`/volumes/${Name}?force=1`);
    const filters = encodeURIComponent(JSON.stringify({ dangling: ["true"], until: ["168h"] }));
    await engine.post(`/images/prune?filters=${filters}`);
  } finally {
    engine.close();
  }
}

async function answers(places: EngineFiles): Promise<boolean> {
  const engine = new Engine(`unix://${places.socket}`);
  const answer = await engine.ping().then(
    () => true,
    () => false,
  );
  engine.close();
  return answer;
}

// By hand: `node tests/support/engine.ts start ID` until Ctrl-C, `node tests/support/engine.ts exec ID COMMAND...`.
if (import.meta.main) {
  const [action, id, ...command] = process.argv.slice(2);
  try {
    if (action === "start" && id) {
      await withTestEngine(async ({ dockerHost }) => {
        console.log(`DOCKER_HOST=${dockerHost}`);
        await new Promise(() => setInterval(() => undefined, 1 << 30));
      }, id);
    } else if (action === "exec" && id && command.length > 0) {
      const options = { inheritStdio: true, timeoutMs: Infinity };
      process.exitCode = (await openTestEngine(id).exec(command[0]!, command.slice(1), options)).code;
    } else {
      console.error("usage: engine.ts start ID | exec ID COMMAND...");
      process.exitCode = 2;
    }
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
