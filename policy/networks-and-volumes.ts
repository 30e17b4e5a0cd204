import type { NetworkArgs } from "@pulumi/docker/network.js";
import type { ProviderArgs } from "@pulumi/docker/provider.js";
import type { RemoteImageArgs } from "@pulumi/docker/remoteImage.js";
import type { VolumeArgs } from "@pulumi/docker/volume.js";
import type { Unwrap } from "@pulumi/pulumi";
import { labelOf } from "./inputs.ts";
import { isPinned } from "./workloads.ts";
import type { Rule } from "./rule.ts";
import { looksSecret } from "./secrets.ts";

export const NETWORK = "docker:index/network:Network";
export const VOLUME = "docker:index/volume:Volume";
export const IMAGE = "docker:index/remoteImage:RemoteImage";
export const PROVIDER = "pulumi:providers:docker";

/** Whether a volume holds data that nobody can make again. */
export function holdsData(props: object): boolean {
  return labelOf(props, "bulkhead.data") === "true";
}

const networkRules: Rule<Unwrap<NetworkArgs>>[] = [
  {
    name: "network-attachable",
    type: NETWORK,
    severity: "mandatory",
    why: "Any container could join it by hand, past what is written here (OWASP 5, NSA/CISA: network separation).",
    cure: "leave attachable out",
    faults: ({ attachable }) => (attachable ? ["can be joined from elsewhere"] : []),
  },
  {
    name: "network-driver",
    type: NETWORK,
    severity: "mandatory",
    why: "With macvlan, ipvlan or host its containers stand in the host's own network (CIS 5.10, OWASP 5).",
    cure: 'use the driver "bridge", or "overlay" in a swarm',
    faults: ({ driver }) =>
      driver && !["bridge", "overlay", "internal", "nat"].includes(driver) ? [`has the driver ${driver}`] : [],
  },
  {
    name: "network-encrypted",
    type: NETWORK,
    severity: "mandatory",
    why: "An overlay carries everything between hosts in clear (CIS 7.3).",
    cure: 'give options {"encrypted": "true"}',
    faults: ({ driver, options }) =>
      driver === "overlay" && !["", "true"].includes(options?.["encrypted"] ?? "false")
        ? ["is an overlay without encryption"]
        : [],
  },
];

const volumeRules: Rule<Unwrap<VolumeArgs>>[] = [
  {
    name: "volume-host-path",
    type: VOLUME,
    severity: "mandatory",
    why: "A volume that is a folder or a disk of the host is a way out of the container (CIS 5.6, OWASP 8).",
    cure: "leave driverOpts out",
    faults: ({ driverOpts }) => {
      const { type, o = "", device = "" } = driverOpts ?? {};
      const isHost = type === "none" || /(^|,)r?bind(,|$)/.test(o) || (device.startsWith("/") && type !== "tmpfs");
      return isHost ? [{ what: `is ${device || "a path"} of the host`, part: device }] : [];
    },
  },
  {
    name: "volume-data-protected",
    type: VOLUME,
    severity: "mandatory",
    why: "One mistake in a program, and an update deletes the data.",
    // Of retainOnDelete Pulumi tells policies nothing.
    cure: 'set protect, or retainOnDelete and the label bulkhead.retained: "true", which says so',
    faults: (props, { opts }) =>
      !holdsData(props) || opts.protect || labelOf(props, "bulkhead.retained") === "true"
        ? []
        : ["holds data and is not protected"],
  },
];

const imageRules: Rule<Unwrap<RemoteImageArgs>>[] = [
  {
    name: "image-digest",
    type: IMAGE,
    severity: "mandatory",
    why: "A tag can be moved to other content; a digest cannot (CIS 4.2, OWASP 13).",
    cure: "give name:tag@sha256:<64 hex digits>",
    faults: ({ name, build }) => (build || isPinned(name) ? [] : [`pulls ${name}, which is not pinned`]),
  },
  {
    name: "image-secret-argument",
    type: IMAGE,
    severity: "mandatory",
    why: "The arguments of a build stay in the image's history (CIS 4.10, OWASP 12).",
    cure: "build without it, and hand it to the container as a file",
    faults: ({ build }) =>
      Object.entries(build?.buildArgs ?? {}).flatMap(([name, value]) =>
        looksSecret(name, value) ? [{ what: `seems to have a secret in its build argument ${name}`, part: name }] : [],
      ),
  },
];

const providerRules: Rule<Unwrap<ProviderArgs>>[] = [
  {
    name: "engine-encrypted",
    type: PROVIDER,
    severity: "mandatory",
    why: "An engine on a plain TCP port takes orders from everybody who reaches it (CIS 2.7, OWASP 1).",
    cure: "reach it over ssh://",
    faults: ({ host, certPath, certMaterial }) =>
      host && /^(tcp|http):/.test(host) && !certPath && !certMaterial ? ["talks to its engine in clear"] : [],
  },
];

export const networkAndVolumeRules = [...networkRules, ...volumeRules, ...imageRules, ...providerRules] as Rule[];
