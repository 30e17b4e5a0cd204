import { ofEach } from "./inputs.ts";
import type { Row } from "./rule.ts";
import { argumentLooksSecret, looksSecret } from "./secrets.ts";

/** A container, whoever makes it: docker.Container, or the tasks of a Swarm service. Each field is read when asked for. */
export interface Workload {
  readonly image: string | undefined;
  /** `service` is to run always, `job` to its end, and `courier` never: it only carries files. */
  readonly kind: "service" | "job" | "courier";
  readonly user: string | undefined;
  readonly readOnly: boolean | undefined;
  readonly privileged: boolean | undefined;
  readonly capabilities: { drops?: readonly string[]; adds?: readonly string[] };
  readonly securityOpts: readonly string[];
  /** Each in the unit of its own kind; that there is one is what counts. */
  readonly memory: number | undefined;
  readonly memorySwap: number | undefined;
  readonly cpus: number | undefined;
  readonly healthTests: readonly string[] | undefined;
  /** Whether Docker's own init is process 1. */
  readonly init: boolean | undefined;
  /** File systems in memory from which programs run. */
  readonly executableTmpfs: readonly string[];
  readonly restart: string | undefined;
  readonly log: { driver: string | undefined; options: Record<string, string> | undefined };
  /** From SIGTERM to SIGKILL, as Docker or Swarm knows it. */
  readonly grace: number | string | undefined;
  /** Paths of the host. */
  readonly hostPaths: readonly string[];
  readonly networkModes: readonly string[];
  readonly isOnOwnNetwork: boolean;
  readonly pidMode: string | undefined;
  readonly ipcMode: string | undefined;
  readonly userNamespace: string | undefined;
  readonly devices: readonly string[];
  readonly ports: readonly { address: string; port: number | undefined; protocol?: string }[];
  readonly publishesAll: boolean;
  readonly env: readonly string[];
  readonly labels: readonly { label: string; value: string }[];
  readonly arguments: readonly string[];
  label(name: string): string | undefined;
}

/** The rules of every container. What Swarm or the provider does not have is left out for services: see services.ts. */
export const workloadRows: Row<Workload>[] = [
  {
    name: "privileged",
    severity: "mandatory",
    why: "Root in a privileged container is root on the host (CIS 5.5, OWASP 3, NSA/CISA: no privileged containers).",
    cure: "leave privileged out",
    faults: ({ privileged }) => (privileged ? ["is privileged"] : []),
  },
  {
    name: "capabilities",
    severity: "mandatory",
    why: "Docker's default capabilities are more than any service needs (CIS 5.4, OWASP 3).",
    cure: "drop ALL and add none",
    faults: ({ capabilities: { drops, adds } }) => [
      ...(ofEach(drops, (drop) => [drop.toUpperCase()]).includes("ALL") ? [] : ["keeps Docker's default capabilities"]),
      ...ofEach(adds, (add) => [{ what: `has the capability ${add}`, part: add.replace(/^CAP_/, "") }]),
    ],
  },
  {
    name: "no-new-privileges",
    severity: "mandatory",
    why: "A setuid program in the image makes root of any user (CIS 5.26, OWASP 4, NSA/CISA: no privilege escalation).",
    cure: 'give securityOpts "no-new-privileges:true"',
    faults: ({ securityOpts }) =>
      ofEach(securityOpts, (option) => [/^no-new-privileges([:=]true)?$/.test(option)]).includes(true)
        ? []
        : ["can gain new privileges"],
  },
  {
    name: "kernel-profiles",
    severity: "mandatory",
    why: "The default profiles of seccomp and AppArmor keep a container from what breaks out of it (CIS 5.2 and 5.22, OWASP 6).",
    cure: "leave Docker's default profile on",
    faults: ({ securityOpts }) =>
      ofEach(securityOpts, (option) =>
        /[:=](unconfined|disable)$/.test(option) ? [{ what: `runs with ${option}`, part: option }] : [],
      ),
  },
  {
    name: "read-only-root",
    severity: "mandatory",
    why: "What cannot write to its own files cannot keep an intruder's (CIS 5.13, OWASP 8, NSA/CISA: immutable file systems).",
    cure: "set readOnly, with tmpfs and volumes for what has to be written",
    faults: ({ readOnly }) => (readOnly ? [] : ["has a writable root"]),
  },
  {
    name: "tmpfs",
    severity: "mandatory",
    why: "What an intruder has written can be run from there (CIS 5.13, NSA/CISA: immutable file systems).",
    cure: "leave exec out of its options",
    faults: ({ executableTmpfs }) =>
      ofEach(executableTmpfs, (path) => [
        { what: `runs programs from the file system in memory at ${path}`, part: path },
      ]),
  },
  {
    name: "init",
    severity: "advisory",
    why: "A program that is process 1 gets no default signals, and leaves the processes that it inherits (CIS 5.28: pids).",
    cure: "set init, unless the image has an init of its own",
    faults: ({ kind, init }) => (kind !== "service" || init ? [] : ["has no init"]),
  },
  {
    name: "user",
    severity: "mandatory",
    why: "Root in a container is root to the kernel (CIS 4.1, OWASP 2, NSA/CISA: non-root containers).",
    cure: 'name a user that is not root, like "1000:1000"',
    faults: ({ user }) => {
      if (!user) return ["runs as the user of its image, which may be root"];
      return /^(0+|root)(:|$)/.test(user) ? [`runs as ${user}`] : [];
    },
  },
  {
    name: "memory",
    severity: "mandatory",
    why: "Without a limit one container takes its neighbours' memory (CIS 5.11, OWASP 7, NSA/CISA: resource policies).",
    cure: "set a memory limit",
    faults: ({ memory }) => (memory && memory > 0 ? [] : ["has no memory limit"]),
  },
  {
    name: "swap",
    severity: "mandatory",
    why: "Swap beyond the limit makes the whole host slow before anything is killed (CIS 5.11, OWASP 7).",
    cure: "set memorySwap to the same as memory",
    faults: ({ memory, memorySwap }) =>
      !memory || memorySwap === memory
        ? []
        : [memorySwap ? `has memory ${memory} and with swap ${memorySwap}` : "may use as much swap again as memory"],
  },
  {
    name: "cpus",
    severity: "mandatory",
    why: "Without a limit one container takes its neighbours' processors (CIS 5.12, OWASP 7).",
    cure: "set cpus (of a container) or limits.nanoCpus (of a service)",
    faults: ({ cpus }) => (cpus && cpus > 0 ? [] : ["has no CPU limit"]),
  },
  {
    name: "pids",
    severity: "advisory",
    why: "A fork bomb takes the host's last process (CIS 5.29, OWASP 7). The provider has no field for it, so a label says it.",
    cure: "limit its processes in Docker (docker update --pids-limit) and say the limit in the label bulkhead.pids",
    faults: (workload) =>
      /^[1-9]\d*$/.test(workload.label("bulkhead.pids") ?? "") ? [] : ["does not say how many processes it may have"],
  },
  {
    name: "health",
    severity: "mandatory",
    why: "What hangs without ending is seen by nobody (CIS 5.27).",
    cure: 'give it a health check, like ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]',
    faults: ({ kind, healthTests }) =>
      kind !== "service" || (healthTests && healthTests.length > 1 && healthTests[0] !== "NONE")
        ? []
        : ["has no health check"],
  },
  {
    name: "restart",
    severity: "mandatory",
    why: "What crashes, or was there before the host's reboot, has to come back (CIS 5.15).",
    cure: "set restart to always, or mustRun to false if it is a job",
    faults: ({ kind, restart }) => {
      if (kind !== "service" || (restart && !["no", "none"].includes(restart))) return [];
      return ["is not started again after a crash or a reboot"];
    },
  },
  {
    name: "image-digest",
    severity: "mandatory",
    why: "A tag can be moved to other content; a digest cannot (CIS 4.2, OWASP 13).",
    cure: "give name:tag@sha256:<64 hex digits>",
    faults: ({ image = "" }) => (isPinned(image) ? [] : [`has the image ${image}, which is not pinned`]),
  },
  {
    name: "log-rotation",
    severity: "mandatory",
    why: "Logs that grow for ever fill the host's disk, and then everything stops (OWASP 7).",
    cure: 'set logDriver "json-file" with logOpts max-size and max-file, or logDriver "local"',
    faults: ({ kind, log: { driver, options = {} } }) => {
      if (kind === "courier" || (driver !== undefined && driver !== "json-file")) return [];
      if (driver === undefined) return ["does not say how its logs are kept"];
      const { "max-size": size, "max-file": files } = options ?? {};
      return size && files ? [] : ["has logs that grow for ever"];
    },
  },
  {
    name: "docker-socket",
    severity: "mandatory",
    why: "Whoever talks to Docker owns the host, also by a read-only mount (CIS 5.32, OWASP 1).",
    cure: "take the mount away, and give it what it needs of Docker in another way",
    faults: ({ hostPaths }) =>
      ofEach(hostPaths, (path) => (ENGINE_SOCKET.test(path) ? [{ what: `mounts ${path}`, part: path }] : [])),
  },
  {
    name: "host-path",
    severity: "mandatory",
    why: "A folder of the host is a way out of the container (CIS 5.6, OWASP 8, NSA/CISA: no hostPath).",
    cure: "use a named volume",
    faults: ({ hostPaths }) =>
      ofEach(hostPaths, (path) =>
        ENGINE_SOCKET.test(path) ? [] : [{ what: `mounts ${path} of the host`, part: path }],
      ),
  },
  {
    name: "host-network",
    severity: "mandatory",
    why: "In the host's network it reaches whatever listens on the host alone (CIS 5.10, NSA/CISA: no hostNetwork).",
    cure: "put it on a network of its own",
    faults: ({ networkModes }) =>
      ofEach(networkModes, (mode) =>
        mode === "host" || mode.startsWith("container:") ? [`is in the network of ${ownerOf(mode)}`] : [],
      ),
  },
  {
    name: "host-pid",
    severity: "mandatory",
    why: "It would see the host's processes, with their arguments and environments (CIS 5.16, NSA/CISA: no hostPID).",
    cure: "leave pidMode out",
    faults: ({ pidMode }) => (pidMode ? [`sees the processes of ${ownerOf(pidMode)}`] : []),
  },
  {
    name: "host-ipc",
    severity: "mandatory",
    why: "It would read the shared memory of others (CIS 5.17, NSA/CISA: no hostIPC).",
    cure: 'set ipcMode to "private"',
    faults: ({ ipcMode }) =>
      ipcMode && !["private", "none"].includes(ipcMode) ? [`shares memory with ${ownerOf(ipcMode)}`] : [],
  },
  {
    name: "host-users",
    severity: "mandatory",
    why: "An engine that maps root to a plain user would not do so for it (CIS 5.31, OWASP 2).",
    cure: "leave usernsMode out",
    faults: ({ userNamespace }) => (userNamespace === "host" ? ["has the users of the host"] : []),
  },
  {
    name: "devices",
    severity: "mandatory",
    why: "A device of the host can be read, and written, past every file's owner (CIS 5.18).",
    cure: "take the device away",
    faults: ({ devices }) => ofEach(devices, (device) => [{ what: `has the device ${device}`, part: device }]),
  },
  {
    name: "published-ports",
    severity: "mandatory",
    why: "Each published port is a way in past the front door, and past the host's firewall (CIS 5.9, OWASP 5a).",
    cure: 'say in the label bulkhead.publishes what it may publish, like "203.0.113.10:443" or "203.0.113.10:443/udp", or publish nothing',
    faults: (workload) => [
      ...(workload.publishesAll ? ["publishes every port of its image"] : []),
      ...ofEach(workload.ports, (published) =>
        declaredPorts(workload).some((declared) => allows(declared, published))
          ? []
          : [{ what: `publishes ${called(published)}${placeOf(published)}`, part: published.port?.toString() }],
      ),
    ],
  },
  {
    name: "bind-address",
    severity: "mandatory",
    why: "A port on every address is also on those that nobody thought of, past the host's firewall (CIS 5.14, OWASP 5a).",
    cure: "give ip an address of the host, or say 0.0.0.0:<port> in the label bulkhead.publishes",
    faults: (workload) =>
      ofEach(workload.ports, (published) =>
        isEveryAddress(published.address) &&
        !declaredPorts(workload).some(
          (declared) => declared.address === published.address && allows(declared, published),
        )
          ? [{ what: `publishes ${called(published)} on every address of the host`, part: String(published.port) }]
          : [],
      ),
  },
  {
    name: "default-bridge",
    severity: "mandatory",
    why: "On the default bridge everybody reaches everybody, by address (CIS 5.30, OWASP 5).",
    cure: 'give it networksAdvanced, or networkMode "none"',
    faults: ({ isOnOwnNetwork, networkModes }) =>
      !isOnOwnNetwork && networkModes.some((mode) => ["bridge", "default", ""].includes(mode))
        ? ["is on Docker's default bridge"]
        : [],
  },
  {
    name: "secret-env",
    severity: "mandatory",
    why: "The environment is in docker inspect, in crash reports and in every child process (CIS 4.10, OWASP 12).",
    cure: "hand it over as a file and name the file, like DB_PASSWORD_FILE",
    faults: ({ env }) =>
      ofEach(env, (setting) => {
        const name = setting.split("=", 1)[0]!;
        return looksSecret(name, setting.slice(name.length + 1))
          ? [{ what: `seems to have a secret in its setting ${name}`, part: name }]
          : [];
      }),
  },
  {
    name: "secret-label",
    severity: "mandatory",
    why: "Labels are read by everybody who may list containers (CIS 4.10, OWASP 12).",
    cure: "hand it over as a file",
    faults: ({ labels }) =>
      ofEach(labels, ({ label, value }) =>
        looksSecret(label, value) ? [{ what: `seems to have a secret in its label ${label}`, part: label }] : [],
      ),
  },
  {
    name: "secret-argument",
    severity: "mandatory",
    why: "Arguments are in every list of processes of the host (CIS 4.10, OWASP 12).",
    cure: "hand it over as a file",
    // Never the argument itself.
    faults: ({ arguments: given }) =>
      ofEach(given, (argument, index) =>
        argumentLooksSecret(argument, index > 0 ? given[index - 1] : undefined)
          ? [{ what: `seems to have a secret in argument ${index + 1} of its command`, part: String(index + 1) }]
          : [],
      ),
  },
  {
    name: "grace",
    severity: "mandatory",
    why: "Killed without time to end, it loses requests and half-written data.",
    cure: "set destroyGraceSeconds (of a container) or stopGracePeriod (of a service)",
    faults: ({ kind, grace }) =>
      kind === "courier" || (grace && grace !== "0s") ? [] : ["is killed without time to end"],
  },
];

const ENGINE_SOCKET = /(docker|containerd|podman|crio)\.sock$|^\/(var\/)?run\/?$|^\/$/;

/** An id is that of an image that was built on the host; the tag of a stand-in of Bulkhead is the key of its recipe. */
export function isPinned(image: string): boolean {
  return /(^|@)sha256:[0-9a-f]{64}$/.test(image) || /^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/.test(image);
}

type Published = Workload["ports"][number];

interface Declared {
  /** None: whatever the host has. */
  address: string;
  port: string;
  protocol: string;
}

function declaredPorts(workload: Workload): Declared[] {
  const words = workload.label("bulkhead.publishes")?.split(/[\s,]+/) ?? [];
  return words.map((word) => {
    const [place = "", protocol = "tcp"] = word.split("/");
    const at = place.lastIndexOf(":");
    return { address: place.slice(0, Math.max(at, 0)).replace(/^\[|\]$/g, ""), port: place.slice(at + 1), protocol };
  });
}

/** Of a port on every address another rule asks for the word. */
function allows(declared: Declared, { address, port, protocol = "tcp" }: Published): boolean {
  const isThere = ["", address].includes(declared.address) || [declared.address, address].some(isEveryAddress);
  return declared.port === String(port) && declared.protocol === protocol && isThere;
}

function isEveryAddress(address: string): boolean {
  return ["0.0.0.0", "::"].includes(address);
}

function called({ port, protocol = "tcp" }: Published): string {
  return `the ${protocol === "tcp" ? "" : `${protocol.toUpperCase()} `}port ${port ?? "that Docker chooses"}`;
}

function placeOf({ address }: Published): string {
  return isEveryAddress(address) ? "" : ` of ${address}`;
}

function ownerOf(mode: string): string {
  return mode.startsWith("container:") ? `the container ${mode.slice("container:".length)}` : "the host";
}
