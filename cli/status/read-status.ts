// What `bulkhead status` knows of a stack. It looks, and changes nothing.
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "../../components/docker-engine/client.ts";
import type { ContainerState } from "../audit/host-state.ts";
import { dataUse, type DataUse } from "../doctor/data-use.ts";
import { collectHostFacts, type EngineFacts, type ShellFacts } from "../doctor/host-facts.ts";
import { lookFromOutside } from "../doctor/outside.ts";
import type { Seen } from "../doctor/outside-verdict.ts";
import { servicesIn } from "../doctor/published.ts";
import { servedCertificate, type ServedCertificate } from "../doctor/served-certificate.ts";
import { listContainers, nameOf, serves } from "../stack/containers.ts";
import { platformKeys } from "../stack/platform-keys.ts";
import { stackLabel } from "../stack/program.ts";
import type { Release } from "../stack/release.ts";
import { releases } from "../stack/releases.ts";
import { committedFile, readStackFile, type Host } from "../stack/stack.ts";
import type { State } from "../stack/state-files.ts";
import { stateOf, type SeenState, type StateHolder } from "./state.ts";

export interface Status {
  stack: string;
  /** Absent: of a program without an edge. */
  domain?: string;
  now: Date;
  containers: readonly ServingContainer[];
  /** Promised by the state, and not on the host. */
  missing: readonly string[];
  seen: readonly Seen[];
  certificate?: ServedCertificate;
  /** Of each further domain and alias. */
  further?: readonly { name: string; certificate?: ServedCertificate }[];
  engine: EngineFacts;
  shell?: ShellFacts;
  /** Undefined where Docker takes too long to tell. */
  data?: readonly DataUse[];
  /** The newest that is recorded. */
  release?: Release;
  /** Undefined where it cannot be read from here. */
  state?: { updatedAt?: string; pending: number; holders: readonly StateHolder[] };
  /** Why the state cannot be read from here. */
  stateProblem?: string;
}

export interface ServingContainer {
  name: string;
  role: string;
  id: string;
  image: string;
  state: ContainerState["State"] & { StartedAt: string; FinishedAt?: string; OOMKilled?: boolean };
  restarts: number;
  memoryLimitMb: number;
  cpuLimit: number;
  /** Of one that runs. */
  memoryMb?: number;
  cpus?: number;
}

/** What does not change from one look to the next within a minute, and what is counted from look to look. */
export interface Memory {
  cpu: Map<string, CpuSample>;
  shell?: { at: number; facts: Promise<ShellFacts | undefined>; data: Promise<DataUse[] | undefined> };
  /** As Pulumi has given it. */
  state?: { at: number; seen: Promise<SeenState> };
}

interface CpuSample {
  /** Nanoseconds of CPU that it has had. */
  used: number;
  /** Milliseconds, by the host's clock. */
  at: number;
}

export async function readStatus(engine: Engine, host: Host, stack: string, memory: Memory): Promise<Status> {
  const { config = {} } = await readStackFile(committedFile(stack));
  const keys = ["domain", "domains", "aliases"] as const;
  const { domain, domains = [], aliases = [] } = await platformKeys(config, keys);
  const isFirst = memory.cpu.size === 0;
  const [containers, info, state] = await Promise.all([
    servingContainers(engine, stack, memory),
    engine.get<EngineFacts>("/info"),
    stateOf(stack, host, memory),
  ]);
  if (memory.shell === undefined || Date.now() - memory.shell.at > 60_000)
    memory.shell = {
      at: Date.now(),
      facts: shellFacts(engine, info),
      data: dataUse(engine, stackLabel(stack)).catch(() => undefined),
    };
  const services = servicesIn(state.state?.deployment.resources);
  const certificateOf = async (name: string) => ({
    name,
    certificate: await servedCertificate(engine, stackLabel(stack), name),
  });
  const [seen, certificate, further, known, shell, data] = await Promise.all([
    lookFromOutside(engine, stack, services),
    domain === undefined ? undefined : servedCertificate(engine, stackLabel(stack), domain),
    Promise.all([...domains, ...aliases].map(({ name }) => certificateOf(name))),
    releases({ name: stack, engine, env: {} }),
    memory.shell.facts,
    memory.shell.data,
    // CPU is what was used between two looks.
    isFirst ? delay(CPU_WINDOW_MS) : undefined,
  ]);
  return {
    ...{
      stack,
      ...(domain !== undefined && { domain }),
      now: new Date(),
      seen,
      certificate,
      further,
      engine: info,
      shell,
      data,
    },
    containers: isFirst ? await servingContainers(engine, stack, memory) : containers,
    missing: missing(state.state, containers),
    release: known[0],
    ...(state.problem === undefined
      ? {
          state: {
            updatedAt: state.state?.deployment.manifest?.time,
            pending: (state.state?.deployment.pending_operations ?? []).length,
            holders: state.holders,
          },
        }
      : { stateProblem: state.problem }),
  };
}

const CPU_WINDOW_MS = 500;

/** How many updates wait is left out where apt takes too long to say so. */
async function shellFacts(engine: Engine, info: EngineFacts): Promise<ShellFacts | undefined> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), UPDATES_MS);
  const all = collectHostFacts(engine, info, { signal: stop.signal }).catch(() => undefined);
  const quick = await collectHostFacts(engine, info, { updates: false }).catch(() => undefined);
  const facts = await all;
  clearTimeout(timer);
  // One that was stopped has no more than what came before.
  return stop.signal.aborted ? quick : facts;
}

const UPDATES_MS = 3_000;

interface Stats {
  read: string;
  cpu_stats: { cpu_usage: { total_usage: number } };
  memory_stats: { usage?: number; stats?: { inactive_file?: number; total_inactive_file?: number } };
}

async function servingContainers(engine: Engine, stack: string, { cpu }: Memory): Promise<ServingContainer[]> {
  const listed = (await listContainers(engine, stack)).filter(serves);
  const found = await Promise.all(
    listed.map(async (container): Promise<ServingContainer[]> => {
      const { Id } = container;
      const inspected = await engine.find<ContainerState>(`/containers/${Id}/json`);
      if (inspected === undefined) return [];
      const { HostConfig, RestartCount, Config } = inspected;
      const state = inspected.State as ServingContainer["state"];
      const runs = state.Status === "running";
      const stats = runs ? await engine.find<Stats>(`/containers/${Id}/stats?stream=0&one-shot=1`) : undefined;
      return [
        {
          ...{
            id: Id,
            name: nameOf(container),
            role: container.Labels["bulkhead.role"]!,
            image: Config.Image,
            state,
            restarts: RestartCount,
          },
          memoryLimitMb: HostConfig.Memory / 2 ** 20,
          cpuLimit: HostConfig.NanoCpus / 1e9,
          ...(stats && { memoryMb: memoryOf(stats), cpus: cpusOf(cpu, Id, stats) }),
        },
      ];
    }),
  );
  return found.flat().sort((one, other) => one.name.localeCompare(other.name));
}

/** As `docker stats` has it: what the kernel can take back at once is not counted. */
function memoryOf({ memory_stats: { usage = 0, stats = {} } }: Stats): number {
  return (usage - (stats.inactive_file ?? stats.total_inactive_file ?? 0)) / 2 ** 20;
}

function cpusOf(samples: Memory["cpu"], id: string, { read, cpu_stats }: Stats): number | undefined {
  const now = { used: cpu_stats.cpu_usage.total_usage, at: new Date(read).getTime() };
  const before = samples.get(id);
  samples.set(id, now);
  return before === undefined || now.at <= before.at
    ? undefined
    : Math.max(0, (now.used - before.used) / 1e6 / (now.at - before.at));
}

/** Services of the state that have no container. */
function missing(state: State | undefined, containers: readonly ServingContainer[]): string[] {
  const promised = (state?.deployment.resources ?? []).filter(
    ({ type, inputs, delete: toDelete }) =>
      type === "docker:index/container:Container" && inputs?.restart === "always" && !toDelete,
  );
  return promised
    .filter(({ id }) => !containers.some((container) => container.id === id))
    .map(({ urn = "" }) => urn.slice(urn.lastIndexOf("::") + 2));
}
