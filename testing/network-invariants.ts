// Who reaches whom.
import type { NetworkArgs } from "@pulumi/docker/network.js";
import type * as pulumi from "@pulumi/pulumi";
import { complaintsOf, isWithin, isOwn, componentsOf, networksOf, programsOf, type Invariants } from "./recorded.ts";
import { containers, label, ofType, type Recording } from "./recorder.ts";

export const networkInvariants: Invariants = {
  "no container is on the default bridge or in another's network": (recording) => {
    const networks = ofType<{ name: string }>(recording, "docker:index/network:Network").map(
      (network) => network.inputs.name,
    );
    return complaintsOf(containers(recording), ({ inputs: { networkMode, networksAdvanced = [] } }) => [
      ...networksAdvanced
        .filter(({ name }) => !networks.includes(name))
        .map(({ name }) => `is on the network ${name}, which is not the stack's`),
      ...(networksAdvanced.length === 0
        ? networkMode === "none"
          ? []
          : [`has no network and the mode ${networkMode}`]
        : networkMode === undefined || networksAdvanced.some(({ name }) => name === networkMode)
          ? []
          : [`has the network mode ${networkMode}`]),
    ]);
  },

  "only the door publishes ports, and each is bound to an address": (recording) =>
    complaintsOf(containers(recording), (container) => [
      ...(container.inputs.ports ?? []).flatMap(({ ip, external }) => [
        ...(isWithin(recording, container, "FrontDoor") ? [] : [`publishes ${external} and is not the door`]),
        ...(ip ? [] : [`publishes ${external} on no address`]),
      ]),
      // The policies believe it.
      ...(label(container, "bulkhead.publishes") === undefined || isWithin(recording, container, "FrontDoor")
        ? []
        : ["may publish ports and is not the door"]),
    ]),

  "only the door, the edge and cutover jobs are on the door's network": (recording) =>
    complaintsOf(containers(recording), (container) =>
      networksOf(recording, container).includes("door") &&
      !isWithin(recording, container, "FrontDoor", "RouteFile") &&
      !isOwn(recording, container, "Proxy")
        ? ["is on the network door, whose members are believed what they say of a client's address"]
        : [],
    ),

  "the edge reaches no network but door, proxy and those with programs, and the door none but door and tunnel": (
    recording,
  ) =>
    complaintsOf(containers(recording), (container) => {
      const withPrograms = programsOf(recording).map((name) => `${name}-edge`);
      const ofEdge = isOwn(recording, container, "Proxy") ? ["door", "proxy", ...withPrograms] : ["door", "proxy"];
      const allowed = isWithin(recording, container, "FrontDoor") ? ["door", "tunnel"] : ofEdge;
      return isWithin(recording, container, "Proxy", "RouteFile")
        ? networksOf(recording, container)
            .filter((network) => !allowed.includes(network))
            .map((network) => `is on the network ${network}`)
        : [];
    }),

  "only the door and a connector are on the tunnel's network, and the connector on no other": (recording) =>
    complaintsOf(containers(recording), (container) => {
      const networks = networksOf(recording, container);
      const others = networks.filter((network) => network !== "tunnel");
      if (isOwn(recording, container, "Tunnel")) return others.map((network) => `is on the network ${network}`);
      return networks.includes("tunnel") && !isWithin(recording, container, "FrontDoor")
        ? ["is on the network tunnel, whose members are believed whose request it is"]
        : [];
    }),

  "a program's networks are for it, its job and the edge alone, and proxy is the edge's": (recording) =>
    complaintsOf(containers(recording), (container) => {
      const names = programsOf(recording);
      const allowed = (network: string) => {
        const service = names.find((name) => network === `${name}-edge` || network === `${name}-egress`);
        if (service === undefined) return network !== "proxy" || isOwn(recording, container, "Proxy");
        const isEdge = isOwn(recording, container, "Proxy") && network.endsWith("-edge");
        return isEdge || container.name === service || label(container, "bulkhead.for") === service;
      };
      return networksOf(recording, container)
        .filter((network) => !allowed(network))
        .map((network) => `is on the network ${network}, which is another's`);
    }),

  "a database is on networks of databases alone, and ends before another one starts": (recording) => {
    const names = databasesOf(recording);
    const pools = componentsOf(recording, "PgBouncer");
    return complaintsOf(containers(recording), (container) => {
      if (!names.includes(container.name)) return [];
      return [
        ...networksOf(recording, container)
          .filter((network) => !names.includes(network))
          .map((network) => `is on the network ${network}`),
        ...(label(container, "bulkhead.rollout") === "stop-first" || pools.includes(container.name)
          ? []
          : ["starts beside the one before it"]),
      ];
    });
  },

  "no network has a way out but door, proxy, tunnel and those named egress": (recording) =>
    complaintsOf(ofType<pulumi.Unwrap<NetworkArgs>>(recording, "docker:index/network:Network"), ({ inputs }) => {
      const internal = !/^(door|proxy|tunnel|.+-egress)$/.test(
        (inputs.name ?? "").replace(`${recording.stackName}-`, ""),
      );
      return [
        ...(inputs.internal === internal ? [] : [`has internal: ${inputs.internal}`]),
        ...(inputs.driver === "bridge" ? [] : [`has the driver ${inputs.driver}`]),
        ...(inputs.attachable || inputs.ingress ? ["can be joined from elsewhere"] : []),
      ];
    }),
};

/** The names of all that keeps data or stands before it, each with a network of that name. */
function databasesOf(recording: Recording): string[] {
  return ["Postgres", "PgBouncer", "Redis"].flatMap((kind) => componentsOf(recording, kind));
}
