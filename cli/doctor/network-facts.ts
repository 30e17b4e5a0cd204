// What is learned of a host's networks: those of Docker, and what a container of the stack sees from within.
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "../../components/docker-engine/client.ts";
import { runInContainer } from "../exec/run-in-container.ts";
import { labelFilter } from "../stack/containers.ts";

export interface NetworkFacts {
  networks: readonly DockerNetwork[];
  /** From which Docker takes the addresses of a network. */
  pools: readonly AddressPool[];
  /** From within the edge, which has a way out. Undefined where none runs. */
  inside?: InsideFacts;
}

export interface DockerNetwork {
  name: string;
  subnets: readonly string[];
  mtu?: number;
  /** Whose it is, of what Bulkhead makes. */
  stack?: string;
}

/** As Docker says it: networks of this size, in bits, out of this range. */
export interface AddressPool {
  Base: string;
  Size: number;
}

export interface InsideFacts {
  /** Undefined where the image has nothing to ask with. */
  resolverAnswers?: boolean;
  metadataAnswers: boolean;
}

/** Docker's own, where /etc/docker/daemon.json names none. */
const DEFAULT_POOLS: readonly AddressPool[] = [
  ...["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"].map((Base) => ({ Base, Size: 16 })),
  ...["172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14"].map((Base) => ({ Base, Size: 16 })),
  { Base: "192.168.0.0/16", Size: 20 },
];

export async function networkFacts(
  engine: Engine,
  { DefaultAddressPools }: { DefaultAddressPools?: readonly AddressPool[] | null },
  stackLabel: string,
  domain: string | undefined,
): Promise<NetworkFacts> {
  const [found, inside] = await Promise.all([
    engine.get<Described[]>("/networks"),
    insideFacts(engine, stackLabel, domain),
  ]);
  const networks = found.map(({ Name, IPAM, Options, Labels }) => ({
    name: Name,
    subnets: (IPAM.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []),
    mtu: Number(Options?.["com.docker.network.driver.mtu"]) || undefined,
    stack: Labels?.["bulkhead.stack"],
  }));
  return { networks, pools: DefaultAddressPools?.length ? DefaultAddressPools : DEFAULT_POOLS, inside };
}

interface Described {
  Name: string;
  IPAM: { Config: { Subnet?: string }[] | null };
  Options: Record<string, string> | null;
  Labels: Record<string, string> | null;
}

async function insideFacts(engine: Engine, stackLabel: string, domain = "docker.io"): Promise<InsideFacts | undefined> {
  const path = `/containers/json?filters=${labelFilter(stackLabel, ["bulkhead.role=edge"], { status: ["running"] })}`;
  const [edge] = await engine.get<{ Id: string }[]>(path);
  if (edge === undefined) return undefined;
  // A name of this machine alone is answered by the container itself.
  const name = domain.includes(".") ? domain : "docker.io";
  const [stdout, stderr] = [new PassThrough(), new PassThrough().resume()];
  const ran = runInContainer(engine, edge.Id, ["sh", "-c", LOOK, "sh", name], {
    ...{ stdin: Readable.from([]), stdout, stderr },
  }).then(() => stdout.end());
  const stop = new AbortController();
  const late = delay(PATIENCE_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  const said = await Promise.race([ran.then(() => text(stdout)).catch(() => undefined), late]);
  stop.abort();
  return said === undefined ? undefined : insideOf(said);
}

/** What the script below printed. */
export function insideOf(said: string): InsideFacts {
  const [, dns] = /^dns (.*)$/m.exec(said) ?? [];
  const [, metadata = ""] = /^metadata (.*)$/m.exec(said) ?? [];
  // That there is no such name is an answer.
  const answered = dns !== undefined && /NXDOMAIN|Name:/.test(dns);
  return {
    ...(dns !== undefined && { resolverAnswers: answered }),
    // Whatever it answers, it is there. GNU's wget ends with 6 when it is to log in, with 7 and 8 when it is refused.
    metadataAnswers: /^[0678] |server returned error|HTTP\/1/.test(metadata),
  };
}

const LOOK = `
if command -v nslookup >/dev/null; then printf 'dns %s\\n' "$(timeout 8 nslookup "$1" 2>&1 | tr '\\n' ' ')"; fi
said=$(timeout 4 wget -T 2 -O /dev/null http://169.254.169.254/ 2>&1); code=$?
printf 'metadata %s %s\\n' "$code" "$(printf %s "$said" | tr '\\n' ' ')"
`;

const PATIENCE_MS = 20_000;
