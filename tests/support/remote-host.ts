import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requirePrograms } from "../../toolchain/debian.ts";
import { run } from "../../toolchain/steps.ts";
import { dockerRootKey, dockerRootTarball } from "./docker-root.ts";
import { lastLines, type CommandOptions, type CommandResult } from "./command.ts";
import type { TestEngine } from "./engine.ts";

/**
 * A remote Docker host: Debian 13 with sshd and a Docker engine of its own, in a container of the test engine. What a
 * nested engine cannot show is said in README.md beside this file.
 */
export interface RemoteHost {
  name: string;
  /** ssh://deploy@ADDRESS, reachable from inside the test engine. */
  url: string;
  address: string;
  knownHostsFile: string;
  /** What a program needs in its environment to log in: the agent that holds the only key. */
  env: { SSH_AUTH_SOCK: string };
  /** The container in the test engine: pause it or take its network away to make the host unreachable. */
  container: string;
  /** Runs a command in the host as root, not over ssh. */
  exec: (command: string, args: string[], options?: CommandOptions) => Promise<CommandResult>;
  /** Runs a shell command in the host over ssh, as user deploy. */
  ssh: (command: string, options?: CommandOptions) => Promise<CommandResult>;
  /** Runs the docker command against the host's engine over ssh. */
  docker: (args: string[], options?: CommandOptions) => Promise<CommandResult>;
  /** Copies images from the test engine to the host's engine. */
  loadImages: (names: string[]) => Promise<void>;
  /** Sends a signal to the host's dockerd, which is started again two seconds after its end. */
  signalDaemon: (signal: "TERM" | "KILL") => Promise<void>;
  /** Waits until the host's daemon answers. */
  daemonReady: () => Promise<void>;
  /** Takes the power away and gives it back: all that runs there ends at once, and the host starts anew. */
  reboot: () => Promise<void>;
  /** Leaves no room on the disk where Docker keeps everything, and gives it back. */
  fillDisk: () => Promise<void>;
  freeDisk: () => Promise<void>;
  stop: () => Promise<void>;
}

/** Several hosts run side by side; give them one agent where one program has to reach them all. */
export async function startRemoteHost(engine: TestEngine, name: string, agent?: SshAgent): Promise<RemoteHost> {
  const inside = (command: string, args: string[], options?: CommandOptions) =>
    engine.exec(command, args, options).then((result) => {
      if (result.code === 0) return result.stdout.trim();
      throw new Error(
        `${command} ${args.join(" ")}: exit ${result.code}\n${lastLines(result.stdout + result.stderr, 20)}`,
      );
    });
  await requirePrograms("remote test hosts", { ssh: "openssh-client", "ssh-agent": "openssh-client" });
  const image = await provideImage(inside);
  const container = `remote-host-${name}`;
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-remote-host-"));
  const disk = join(directory, "disk");
  const keys = agent ?? (await startSshAgent());
  const stop = async () => {
    await engine.exec("docker", ["rm", "--force", "--volumes", container]);
    await engine.exec("umount", [disk]);
    if (!agent) await keys.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await provideNetwork(inside);
    // In memory, because its size can be changed at any time; on a disk it would be the machine's disk that gets full.
    mkdirSync(disk);
    await inside("mount", ["-t", "tmpfs", "-o", "mode=0711", "none", disk]);
    await inside("docker", [
      ...["run", "--detach", "--name", container, "--hostname", name, "--network", network],
      ...[
        "--env",
        `AUTHORIZED_KEY=${keys.publicKey}`,
        "--env",
        `CGROUP_PARENT=/bulkhead-test-${engine.id}/${container}`,
      ],
      ...availableCapabilities().flatMap((capability) => ["--cap-add", capability]),
      ...["seccomp", "apparmor", "systempaths"].flatMap((option) => ["--security-opt", `${option}=unconfined`]),
      ...["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
      ...(existsSync("/lib/modules") ? ["--volume", "/lib/modules:/lib/modules:ro"] : []),
      ...["--volume", `${disk}:/var/lib/docker`, "--tmpfs", "/run", image, START],
    ]);
    const address = await inside("docker", [
      ...["inspect", "--format", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container],
    ]);
    await waitUntilReady(engine, container);

    // The host key comes over the engine's own socket: no first contact has to be trusted.
    const hostKey = await inside("docker", ["exec", container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);
    const knownHostsFile = join(directory, "known_hosts");
    writeFileSync(knownHostsFile, `${address} ${hostKey.split(" ").slice(0, 2).join(" ")}\n`);
    const sshOptions = [
      ...["-o", `UserKnownHostsFile=${knownHostsFile}`, "-o", "GlobalKnownHostsFile=/dev/null"],
      ...["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"],
    ];
    // docker -H ssh://… offers no ssh options: it finds this ssh first on its PATH.
    const shim = join(directory, "bin", "ssh");
    mkdirSync(dirname(shim));
    const sshProgram = (await run("sh", ["-c", "command -v ssh"])).trim();
    writeFileSync(shim, `#!/bin/sh\nexec ${sshProgram} ${sshOptions.join(" ")} "$@"\n`, { mode: 0o755 });

    const env = { SSH_AUTH_SOCK: keys.socket };
    const login = `deploy@${address}`;
    const url = `ssh://${login}`;
    return {
      name,
      url,
      address,
      knownHostsFile,
      env,
      container,
      exec: (command, args, options) => engine.exec("docker", ["exec", "-i", container, command, ...args], options),
      ssh: (command, options = {}) =>
        engine.exec("ssh", [...sshOptions, login, command], { ...options, env: { ...env, ...options.env } }),
      docker: (args, options = {}) =>
        engine.exec("docker", args, {
          ...options,
          env: { ...env, DOCKER_HOST: url, PATH: `${dirname(shim)}:${process.env.PATH}`, ...options.env },
        }),
      loadImages: async (names) => {
        const script = 'host=$1; shift; docker save "$@" | docker exec -i "$host" docker load';
        await inside("bash", ["-o", "pipefail", "-c", script, "load", container, ...names], { timeoutMs: 300_000 });
      },
      signalDaemon: async (signal) =>
        void (await inside("docker", ["exec", container, "pkill", `-${signal}`, "-x", "dockerd"])),
      daemonReady: () => waitUntilReady(engine, container),
      reboot: async () => {
        await inside("docker", ["restart", "--time", "0", container]);
      },
      fillDisk: async () => {
        const used = (await inside("df", ["--block-size=1", "--output=used", disk])).split("\n")[1]!;
        // What is written meanwhile needs room too, or the disk is smaller than what is on it.
        await inside("mount", ["-o", `remount,size=${Number(used) + 16 * 1024 ** 2}`, disk]);
        const { stderr } = await engine.exec("dd", ["if=/dev/zero", `of=${join(disk, "ballast")}`]);
        if (!stderr.includes("No space left on device")) throw new Error(`${disk} is not full: ${stderr}`);
      },
      freeDisk: async () => {
        await inside("rm", ["--force", join(disk, "ballast")]);
        await inside("mount", ["-o", "remount,size=50%", disk]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface SshAgent {
  socket: string;
  publicKey: string;
  stop: () => Promise<void>;
}

/** An agent with a key made for this run; the key itself is on no disk afterwards. */
export async function startSshAgent(): Promise<SshAgent> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-ssh-agent-"));
  const socket = join(directory, "agent.sock");
  const agent: ChildProcess = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  const stop = async () => {
    if (agent.exitCode === null && agent.signalCode === null) {
      const ended = new Promise((resolve) => agent.once("exit", resolve));
      agent.kill();
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    for (const started = Date.now(); !existsSync(socket); await sleep(20)) {
      if (agent.exitCode !== null || Date.now() - started > 10_000) throw new Error("ssh-agent did not start");
    }
    const key = join(directory, "key");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "bulkhead-test", "-f", key]);
    await run("ssh-add", ["-q", key], { env: { SSH_AUTH_SOCK: socket } });
    const publicKey = readFileSync(`${key}.pub`, "utf8").trim();
    rmSync(key);
    rmSync(`${key}.pub`);
    return { socket, publicKey, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Inside = (command: string, args: string[], options?: CommandOptions) => Promise<string>;

const network = "remote-hosts";

async function provideNetwork(inside: Inside): Promise<void> {
  const names = await inside("docker", ["network", "ls", "--format", "{{.Name}}"]);
  if (!names.split("\n").includes(network)) await inside("docker", ["network", "create", network]);
}

/** What the host's container runs. */
const START = `set -e
install -d -m 0700 -o deploy -g deploy /home/deploy/.ssh
echo "$AUTHORIZED_KEY" >/home/deploy/.ssh/authorized_keys
chown deploy:deploy /home/deploy/.ssh/authorized_keys
chmod 0600 /home/deploy/.ssh/authorized_keys
ssh-keygen -A
mkdir -p /run/sshd
/usr/sbin/sshd
# As systemd does with Restart=always: what ends is started again, until the host itself is told to stop.
trap 'stopping=1; kill $dockerd; wait' TERM
while [ -z "$stopping" ]; do
  dockerd --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent="$CGROUP_PARENT" &
  dockerd=$!
  wait $dockerd || true
  sleep 2
done
`;

/** The host's image, made once in each engine. */
async function provideImage(inside: Inside): Promise<string> {
  const image = `bulkhead-test/remote-host:${dockerRootKey}`;
  if ((await inside("docker", ["image", "ls", "--quiet", image])) !== "") return image;
  const change = ["--change", 'ENTRYPOINT ["docker-init", "--", "/bin/sh", "-c"]'];
  await inside("docker", ["import", ...change, await dockerRootTarball(), image], { timeoutMs: 300_000 });
  return image;
}

async function waitUntilReady(engine: TestEngine, container: string): Promise<void> {
  const patienceMs = 60_000;
  for (const started = Date.now(); ; await sleep(250)) {
    const check = await runInHost(engine, container, "docker version && ss -Hltn 'sport = 22' | grep -q .");
    if (check.code === 0) return;
    if (Date.now() - started < patienceMs) continue;
    const log = await engine.exec("docker", ["logs", "--tail", "20", container]);
    throw new Error(`${container} is not ready after ${patienceMs / 1000} s:\n${log.stdout}${log.stderr}`);
  }
}

const runInHost = (engine: TestEngine, container: string, script: string) =>
  engine.exec("docker", ["exec", container, "sh", "-c", script]);

/** What this machine itself may do: a container cannot get more, and asking for more fails. */
function availableCapabilities(): string[] {
  const bounding = /^CapBnd:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return capabilities.filter((_, bit) => (BigInt(`0x${bounding}`) >> BigInt(bit)) & 1n);
}

// In the kernel's order (linux/capability.h); the three newest are unknown to older engines, and an engine needs none.
const capabilities = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
`
  .trim()
  .split(/\s+/);
