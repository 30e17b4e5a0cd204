import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../../components/docker-engine/client.ts";
import { runCommand } from "./command.ts";
import type { ContainerInspect } from "./reach.ts";

export interface ProbeOptions {
  /** The container whose posture it has, limits and all. */
  like: ContainerInspect;
  /** Any with python3. */
  image: string;
  /** Networks by name, and nothing else. */
  networks: string[];
  /** A Python program; it prints its result as JSON. */
  program: string;
  /** sys.argv[1], as JSON. */
  input?: unknown;
  /** A name server to ask through Docker's. */
  dns?: string;
}

export interface Probe {
  id: string;
  /** Address by network. */
  addresses: Record<string, string>;
  remove: () => Promise<void>;
}

/** A neighbour: another container with exactly the posture of one of the stack, on networks of the test's choice. */
export async function startProbe(engine: Engine, options: ProbeOptions): Promise<Probe> {
  const { like, image, networks, program, input = null, dns } = options;
  const [first, ...others] = networks;
  const { Id: id } = await engine.post<{ Id: string }>("/containers/create", {
    Image: image,
    Entrypoint: ["python3", "-c", program, JSON.stringify(input)],
    Cmd: [],
    User: like.Config.User,
    Labels: { "bulkhead.test": "probe" },
    HostConfig: {
      ...like.HostConfig,
      Binds: [],
      Mounts: [],
      PortBindings: {},
      RestartPolicy: { Name: "no" },
      NetworkMode: first,
      ...(dns ? { Dns: [dns], DnsOptions: ["timeout:1", "attempts:1"] } : {}),
    },
  });
  const remove = () => engine.delete(`/containers/${id}?force=1&v=1`);
  try {
    for (const network of others) await engine.post(`/networks/${network}/connect`, { Container: id });
    await engine.post(`/containers/${id}/start`);
    const { NetworkSettings } = await engine.get<ContainerInspect>(`/containers/${id}/json`);
    const addresses = Object.entries(NetworkSettings.Networks).map(([name, { IPAddress }]) => [name, IPAddress]);
    return { id, addresses: Object.fromEntries(addresses) as Record<string, string>, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

export interface ProbeResult<T> {
  /** What it printed; undefined if it did not come to that. */
  result: T | undefined;
  state: ContainerInspect["State"];
}

/** Runs a probe to its end. */
export async function runProbe<T>(engine: Engine, options: ProbeOptions): Promise<ProbeResult<T>> {
  const probe = await startProbe(engine, options);
  try {
    for (const started = Date.now(); ; await sleep(100)) {
      const { State: state } = await engine.get<ContainerInspect>(`/containers/${probe.id}/json`);
      if (!state.Running) {
        const { stdout, stderr } = await logsOf(probe.id);
        const printed = stdout.trim();
        // Why it came to nothing, for whoever reads the log of the test.
        if (printed === "") console.error(stderr);
        return { state, result: printed === "" ? undefined : (JSON.parse(printed) as T) };
      }
      if (Date.now() - started > 60_000) throw new Error("the probe did not end within 60 s");
    }
  } finally {
    await probe.remove();
  }
}

/** A container's log so far. */
export async function logsOf(container: string): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await runCommand("docker", ["logs", container]);
  if (code !== 0) throw new Error(`docker logs ${container}: ${stderr}`);
  return { stdout, stderr };
}
