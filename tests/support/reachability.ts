// Who reaches whom, tried from within the network of a container: also of one whose image has neither shell nor client.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Engine } from "../../components/docker-engine/client.ts";
import { run } from "../../toolchain/steps.ts";
import { runCommand } from "./command.ts";
import { startOutsideWorld } from "./outside-world.ts";
import type { ContainerInspect } from "./reach.ts";

/** URLs by a name. */
export type Places = Record<string, string>;

/** Containers by the name that the program gave them. */
export type Containers = Record<string, ContainerInspect>;

/** Ports that a container listens on at more than its loopback addresses, as the kernel has them. */
export function listeningPorts({ State }: ContainerInspect): number[] {
  const LISTENS = "0A";
  const ports = ["tcp", "tcp6"].flatMap((kind) =>
    readFileSync(`/proc/${State.Pid}/net/${kind}`, "utf8")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === LISTENS && !/^([0-9A-F]*7F|0{24}01000000):/.test(local!))
      .map(([, local]) => parseInt(local!.split(":")[1]!, 16)),
  );
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** `NAME on NETWORK:PORT` for all that a container listens on. */
export function placesOf(name: string, container: ContainerInspect): Places {
  const ports = listeningPorts(container);
  const places = addressesOf(container).flatMap(([network, address]) =>
    ports.map((port) => [`${name} on ${network}:${port}`, `http://${address}:${port}/`]),
  );
  return Object.fromEntries(places) as Places;
}

/** What the edge has beside what it serves to clients: each is asked for, as a port of it is open to its neighbours. */
export function placesOfEdge(edge: ContainerInspect, services: Containers): Places {
  const places: Places = {};
  const [release] = Object.values(services);
  for (const [network, address] of addressesOf(edge)) {
    for (const name of Object.keys(services))
      places[`edge ${name} on ${network}`] = `http://${address}:8081/services/${name}/`;
    places[`edge TCP port on ${network}`] = `http://${address}:2222/`;
    places[`edge release on ${network}`] = `http://${address}:8082/release/${release!.Name.slice(1)}/`;
    places[`edge management on ${network}`] = `http://${address}:8082/api/http/routers`;
    places[`edge ping on ${network}`] = `http://${address}:8080/api/rawdata`;
  }
  return places;
}

/** The internet, a cloud's metadata, and what the host itself listens on, for as long as something is done. */
export async function withPlacesBeyond<T>(engine: Engine, act: (places: Places) => Promise<T>): Promise<T> {
  const HOST_PORT = 18_099;
  const world = await startOutsideWorld();
  // The host has no address on a compartment. What it sends there leaves it, and whoever answers out there is no container.
  for (const range of PRIVATE) await run("ip", ["route", "replace", "unreachable", range]);
  const onHost = createServer((_, response) => response.end("host")).listen(HOST_PORT, "0.0.0.0");
  try {
    const networks = await engine.get<{ IPAM: { Config: { Gateway?: string }[] | null } }[]>("/networks");
    const gateways = networks.flatMap(({ IPAM }) => (IPAM.Config ?? []).flatMap(({ Gateway }) => Gateway ?? []));
    return await act({
      internet: `http://${world.address}:8080/`,
      metadata: `http://${world.metadataAddress}:8080/`,
      ...Object.fromEntries(
        [...new Set(gateways)].map((gateway) => [`host ${gateway}`, `http://${gateway}:${HOST_PORT}/`]),
      ),
    });
  } finally {
    onHost.close();
    for (const range of PRIVATE) await run("ip", ["route", "delete", "unreachable", range]);
    await world.stop();
  }
}

const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/** Names of the places that answer a container. A refusal by the edge (403, 404) is none. */
export async function reachedFrom({ Name, State }: ContainerInspect, places: Places): Promise<string[]> {
  const net = `--net=/proc/${State.Pid}/ns/net`;
  const command = [net, process.execPath, "--eval", ASK, JSON.stringify(places)];
  const { code, stdout, stderr } = await runCommand("nsenter", command);
  if (code !== 0) throw new Error(`from within ${Name}: ${stderr}`);
  return JSON.parse(stdout) as string[];
}

const ASK = `
const ask = async ([name, url]) => {
  // Not all is HTTP: that it answers at all is what counts.
  const [host, port] = [new URL(url).hostname, Number(new URL(url).port)];
  const open = await new Promise((resolve) => {
    const socket = require("node:net").connect({ host, port, timeout: 2000 }, () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false)).on("timeout", () => (socket.destroy(), resolve(false)));
  });
  if (!open) return [];
  if (!name.startsWith("edge ")) return [name];
  const status = await fetch(url, { signal: AbortSignal.timeout(3000) }).then(({ status }) => status, () => 0);
  return [0, 403, 404].includes(status) ? [] : [name];
};
const places = Object.entries(JSON.parse(process.argv[1]));
Promise.all(places.map(ask)).then((found) => console.log(JSON.stringify(found.flat().sort())));
`;

function addressesOf({ NetworkSettings }: ContainerInspect): [network: string, address: string][] {
  return Object.entries(NetworkSettings.Networks)
    .map(([network, { IPAddress }]): [string, string] => [network, IPAddress])
    .filter(([, address]) => address !== "");
}
