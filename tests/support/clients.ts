import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { startLoad, type Load, type LoadOptions, type LoadResult } from "./load.ts";
import type { Reach } from "./reach.ts";
import { SOAK } from "./soak.ts";
import { greetTunnel } from "./streams.ts";

/**
 * What they ask. Each rate is that of all connections together; more than this costs the update too much on two cores.
 * `make test` takes a third of each: clients at the full rate took most of the processor, also from the test beside them.
 */
const REQUESTS: Record<string, Omit<LoadOptions, "url" | "seconds"> & { path: string; requestsPerSecond: number }> = {
  "GET of the API over HTTP/1.1": {
    ...{ path: "/api/status", connections: 8, requestsPerSecond: 120 },
    release: { field: "release" },
  },
  "GET of the frontend over HTTP/2": {
    ...{ path: "/health", connections: 4, requestsPerSecond: 200, protocol: "http/2" },
    release: { field: "release" },
  },
  "POST to the API over HTTP/1.1": { path: "/api/echo", connections: 4, requestsPerSecond: 90, method: "POST" },
  "POST to the API over HTTP/2": {
    ...{ path: "/api/echo", connections: 4, requestsPerSecond: 90, method: "POST", protocol: "http/2" },
  },
  "page over HTTP/2": { path: "/", connections: 2, requestsPerSecond: 20, protocol: "http/2" },
};
const ratesTaken = SOAK ? 1 : 1 / 3;

/** Clients of a stack that ask without a pause, through TLS and through the tunnel port. */
export interface Clients {
  /** Does something, and expects that no client sees it fail, and that all are served when it is done. */
  during: <T>(what: string, act: () => Promise<T>) => Promise<T>;
  /** Goes on until they have asked this often, in all, and ends. */
  finish: (requests: number) => Promise<Served>;
  /** Ends at once. */
  stop: () => Promise<void>;
}

export interface Served {
  requests: number;
  failed: number;
  /** Releases of the API and of the frontend that answered. */
  releases: { api: string[]; frontend: string[] };
  /** Ids of the POSTs that were answered, and of those that were not. */
  acknowledgedIds: string[];
  unacknowledgedIds: string[];
  /** The releases that tunnels came to, one after the other: one that comes again is there again. */
  tunnelReleases: string[];
}

/** @param ca what they trust, for a test in which the certificate changes. */
export async function startClients(reach: Reach, ca = reach.ca): Promise<Clients> {
  const { address, tcpPort } = reach;
  const loads = Object.entries(REQUESTS).map(([name, { path, requestsPerSecond, ...options }]): [string, Load] => [
    name,
    startLoad({
      ...{ url: reach.url + path, address, ca, seconds: 3_600, ...options },
      requestsPerSecond: requestsPerSecond * ratesTaken,
    }),
  ]);
  const tunnels = openTunnels(address, tcpPort);

  const total = () => {
    const all = loads.map(([, load]) => load.progress());
    return {
      requests: all.reduce((sum, { requests }) => sum + requests, 0),
      failed: all.reduce((sum, { failed }) => sum + failed, 0),
      tunnels: tunnels.opened,
      failures: [
        ...loads.flatMap(([name, load]) => load.progress().failures.map((failure) => ({ name, ...failure }))),
        ...tunnels.failures.map((reason) => ({ name: "tunnel", reason })),
      ],
    };
  };
  const allServed = async () => {
    const opened = tunnels.opened + 2;
    await Promise.all(loads.map(([, load]) => load.advance(10)));
    while (tunnels.opened < opened && tunnels.failures.length === 0) await sleep(50);
  };
  const stop = async () => {
    tunnels.stop();
    return Promise.all(loads.map(async ([name, load]): Promise<[string, LoadResult]> => [name, await load.stop()]));
  };

  try {
    await allServed();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    during: async (what, act) => {
      const before = total();
      const started = performance.now();
      const result = await act();
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      await allServed();
      const { requests, failed, ...after } = total();
      const figures = { requests: requests - before.requests, failed: failed - before.failed };
      console.log(JSON.stringify({ rollout: what, ...figures, tunnels: after.tunnels - before.tunnels, seconds }));
      // As text: a list of objects is cut short in what a failed test says.
      expect(JSON.stringify(after.failures.slice(before.failures.length)), what).toBe("[]");
      expect(figures.failed, what).toBe(0);
      return result;
    },
    finish: async (requests) => {
      while (total().requests < requests) await Promise.race(loads.map(([, load]) => load.advance(100)));
      const results = await stop();
      for (const [name, { requests, failed, latencyMs, connectionsOpened }] of results) {
        const [p50, p99, max] = [latencyMs.p50, latencyMs.p99, latencyMs.max].map(Math.round);
        console.log(JSON.stringify({ clients: name, requests, failed, connectionsOpened, p50, p99, max }));
      }
      const result = new Map(results);
      const releasesOf = (name: string) => Object.keys(result.get(name)!.byRelease);
      return {
        requests: results.reduce((sum, [, load]) => sum + load.requests, 0),
        failed: results.reduce((sum, [, load]) => sum + load.failed, 0),
        releases: {
          api: releasesOf("GET of the API over HTTP/1.1"),
          frontend: releasesOf("GET of the frontend over HTTP/2"),
        },
        acknowledgedIds: results.flatMap(([, load]) => load.acknowledgedIds),
        unacknowledgedIds: results.flatMap(([, load]) => load.unacknowledgedIds),
        tunnelReleases: tunnels.releases,
      };
    },
    stop: async () => void (await stop()),
  };
}

/** One short tunnel after the other. */
function openTunnels(host: string, port: number) {
  let stopped = false;
  const tunnels = { opened: 0, failures: [] as string[], releases: [] as string[], stop: () => void (stopped = true) };
  void (async () => {
    while (!stopped) {
      try {
        const { release } = await greetTunnel(host, port, "anybody there?");
        if (tunnels.releases.at(-1) !== release) tunnels.releases.push(release);
        tunnels.opened++;
      } catch (error) {
        tunnels.failures.push((error as Error).message);
      }
      await sleep(100);
    }
  })();
  return tunnels;
}
