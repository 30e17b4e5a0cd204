import { fields, listed, OWN, REFRESH, REPLACE, splitOnce } from "./container-fields.ts";
import { daemonSettings } from "../../components/docker-engine/daemon-settings.ts";
import { dockerChecks } from "../doctor/docker-checks.ts";
import { serverFindings } from "./database-state.ts";
import { timesStarted, type ContainerState, type HostState } from "./host-state.ts";
import type { Finding } from "./finding.ts";
import type { ExpectedState, ExpectedContainer } from "./expected-state.ts";

/** All that differs. Values that may be secret are never in it. */
export function findings(promised: ExpectedState, host: HostState, stackLabel: string): Finding[] {
  return [
    ...promised.containers.flatMap((container) => ofContainer(container, host)),
    ...ofNetworks(promised, host),
    ...ofVolumes(promised, host),
    ...promised.containers.flatMap((container) => ofFiles(container, host)),
    ...ofRoutes(promised, host),
    ...serverFindings(promised, host.servers),
    ...foreignContainers(promised, host, stackLabel),
    ...ofDaemon(promised, host),
  ];
}

/** Couriers and jobs that are gone from the host: they had done their work, and nothing is missed. */
export function prunedOf({ containers }: ExpectedState, host: HostState): string[] {
  const there = new Set(host.containers.map(({ Id }) => Id));
  return containers.filter(({ id, inputs }) => inputs.restart !== "always" && !there.has(id)).map(({ name }) => name);
}

/** Services that Docker has started again, by what it says of them: healthy now, perhaps, and not well. */
export function restartedOf({ containers }: ExpectedState, host: HostState): string[] {
  return containers.flatMap(({ id, name, hostName }) => {
    const count = host.containers.find(({ Id }) => Id === id)?.RestartCount ?? 0;
    return count > 0 ? [`${name} (${hostName}): ${timesStarted(count)} by Docker`] : [];
  });
}

const UNMANAGED =
  "The stack knows nothing of it. Find out whose it is (a run that is at work makes containers too); whoever knows that\n" +
  "nothing needs it can `docker rm --force` it.";
const NETWORK =
  "Find out who made it. The stack's own services may be on it: with a new one they are rolled, so do this at a quiet time.\n" +
  "`docker network rm` it once nothing is on it, `pulumi refresh`, and `bulkhead up`.";
const ANEW =
  "Somebody removed it, and it was made anew without what was in it. Of data: end who writes there, and `bulkhead restore` it.\n" +
  "Of anything else `pulumi up --replace` of it makes it as the stack says, and rolls its readers.";
const VOLUME = "Somebody made it anew. `pulumi up --replace` of it makes it as the stack says, and rolls its readers.";

function ofContainer(container: ExpectedContainer, host: HostState): Finding[] {
  const { name, id, inputs, hostName } = container;
  const found = host.containers.find(({ Id }) => Id === id);
  if (found === undefined) {
    // A job that has ended is not missed: `docker system prune` takes those, and what they did stays done.
    if (inputs.restart !== "always") return [];
    const other = host.containers.find(({ Name }) => Name === `/${hostName}`);
    if (other === undefined)
      return [{ resource: name, field: "container", promised: "there", found: "gone", cure: REFRESH }];
    return [
      { resource: name, field: "container", promised: id.slice(0, 12), found: other.Id.slice(0, 12), cure: REPLACE },
      ...differences(container, other, host, REPLACE),
    ];
  }
  return differences(container, found, host);
}

function differences(container: ExpectedContainer, found: ContainerState, host: HostState, cure?: string): Finding[] {
  return Object.entries(fields).flatMap(([field, { promise, read, cure: own }]) => {
    const wanted = promise(container, host);
    if (wanted === undefined) return [];
    const is = read(found, container, host);
    if (is === wanted) return [];
    return [{ resource: container.name, field, promised: wanted, found: is, cure: cure ?? own ?? OWN }];
  });
}

function ofNetworks({ networks, containers }: ExpectedState, host: HostState): Finding[] {
  const used = containers
    .filter(({ inputs }) => inputs.restart === "always")
    .flatMap(({ inputs }) => (inputs.networksAdvanced ?? []).map(({ name }) => name));
  return networks.flatMap(({ name, id, inputs }): Finding[] => {
    const found = host.networks.find(({ Id }) => Id === id);
    if (found === undefined) {
      // One that nothing is to be on is not missed: `docker network prune` takes those.
      if (inputs.name !== undefined && !used.includes(inputs.name)) return [];
      return [{ resource: name, field: "network", promised: "there", found: "gone, or made by hand", cure: NETWORK }];
    }
    const promised = listed({ driver: inputs.driver, internal: inputs.internal ?? false, ipv6: false });
    const is = listed({ driver: found.Driver, internal: found.Internal, ipv6: found.EnableIPv6 });
    return promised === is ? [] : [{ resource: name, field: "settings", promised, found: is, cure: NETWORK }];
  });
}

function ofVolumes({ volumes }: ExpectedState, host: HostState): Finding[] {
  return volumes.flatMap(({ name, id, stackLabel }): Finding[] => {
    const found = host.volumes.find(({ Name }) => Name === id);
    if (found === undefined)
      return [{ resource: name, field: "volume", promised: "there", found: "gone", cure: REFRESH }];
    // With options a volume can be a folder of the host.
    const is = listed({ driver: found.Driver, ...found.Options });
    if (is !== "driver=local")
      return [{ resource: name, field: "settings", promised: "driver=local", found: is, cure: VOLUME }];
    // Docker makes one that is missing when a container starts, without a label: what was in it is gone.
    return stackLabel === undefined || found.Labels?.["bulkhead.stack"] === stackLabel
      ? []
      : [
          {
            resource: name,
            field: "volume",
            promised: "of the stack",
            found: "made anew, not by the stack",
            cure: ANEW,
          },
        ];
  });
}

/** What couriers carried: contents are compared, and never shown. */
function ofFiles({ name, inputs }: ExpectedContainer, { carried }: HostState): Finding[] {
  const files = carried[name];
  if (files === undefined) return [];
  const cure = `Somebody changed it. If it is a secret, rotate it: \`pulumi up --replace\` of its volume rolls the reader.`;
  const wanted = new Map((inputs.uploads ?? []).map((upload) => [upload.file.replace(/.*\//, ""), upload] as const));
  const found = new Map(files.map((file) => [file.name, file] as const));
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((file): Finding[] => {
    const [upload, is] = [wanted.get(file), found.get(file)];
    const field = `file ${file}`;
    if (upload === undefined) return [{ resource: name, field, promised: "none", found: "there", cure }];
    if (is === undefined) return [{ resource: name, field, promised: "there", found: "gone", cure }];
    const promised = `${upload.permissions}, ${upload.owner}:${upload.group}`;
    const rights = `${is.mode.toString(8).padStart(4, "0")}, ${is.uid}:${is.gid}`;
    return [
      ...(rights === promised ? [] : [{ resource: name, field, promised, found: rights, cure }]),
      ...(is.content.equals(Buffer.from(upload.content ?? ""))
        ? []
        : [{ resource: name, field, promised: "its content", found: "another content", cure }]),
    ];
  });
}

/** What the edge serves is what the jobs wrote. */
function ofRoutes({ containers }: ExpectedState, { routes }: HostState): Finding[] {
  if (routes === undefined) return [];
  const wanted = new Map<string, string>(
    containers.flatMap(({ inputs }) => {
      const env = Object.fromEntries((inputs.envs ?? []).map((entry) => splitOnce(entry)));
      return env["ROUTE_FILE"] === undefined ? [] : [[`${env["ROUTE_FILE"]}.yml`, env["ROUTE"]!] as const];
    }),
  );
  const found = new Map(
    routes.filter(({ name }) => name.endsWith(".yml")).map(({ name, content }) => [name, content.toString()]),
  );
  const cure =
    "`pulumi up --replace` of the job that writes it (its name ends in -job); one that nobody writes: delete it.";
  // Those that nobody wrote, which a failed update may leave, no route names.
  const beside = filesBeside(containers);
  for (const { name, content } of routes) if (beside.has(name)) found.set(name, content.toString());
  for (const [name, content] of beside) wanted.set(name, content);
  return [...new Set([...wanted.keys(), ...found.keys()])].flatMap((file): Finding[] => {
    const [promised, is] = [wanted.get(file), found.get(file)];
    if (promised === is) return [];
    return [
      {
        ...{ resource: "edge", field: `route ${file}`, cure },
        promised: promised === undefined ? "none" : "as deployed",
        found: is === undefined ? "gone" : promised === undefined ? "there" : "another",
      },
    ];
  });
}

/** What lies beside the route files, as couriers carried it to the jobs that write them: by its name there. */
function filesBeside(containers: ExpectedState["containers"]): Map<string, string> {
  return new Map(
    containers.flatMap(({ inputs: { envs = [], volumes = [] } }) => {
      const { ROUTE_FILE, BESIDE } = Object.fromEntries(envs.map((entry) => splitOnce(entry))) as Record<
        string,
        string
      >;
      const volume = volumes.find(({ containerPath }) => containerPath === "/beside")?.volumeName;
      const courier = containers.find(
        ({ inputs }) => inputs.uploads?.length && inputs.volumes?.some(({ volumeName }) => volumeName === volume),
      );
      if (ROUTE_FILE === undefined || BESIDE === undefined || courier === undefined) return [];
      return courier.inputs.uploads!.map(
        ({ file, content = "" }) => [`${ROUTE_FILE}.${BESIDE}.beside.${file.replace(/.*\//, "")}`, content] as const,
      );
    }),
  );
}

/** Containers that the stack did not make, and that are in its compartments all the same. */
function foreignContainers(
  { containers, leaving, networks, volumes }: ExpectedState,
  host: HostState,
  stackLabel: string,
): Finding[] {
  const own = new Set([...containers.map(({ id }) => id), ...leaving]);
  const names = new Set(containers.map(({ hostName }) => `/${hostName}`));
  return host.containers
    .filter(({ Id, Name }) => !own.has(Id) && !names.has(Name))
    .flatMap((container): Finding[] => {
      const resource = container.Name.slice(1);
      const joined = networks.filter(({ id }) =>
        Object.values(container.NetworkSettings.Networks).some(({ NetworkID }) => NetworkID === id),
      );
      const mounted = volumes.filter(({ id }) => container.Mounts.some(({ Name }) => Name === id));
      const labelled = container.Config.Labels?.["bulkhead.stack"] === stackLabel;
      const finding = (field: string, found: string) => ({ resource, field, promised: "none", found, cure: UNMANAGED });
      return [
        ...joined.map(({ name }) => finding("unmanaged container on a network", name)),
        ...mounted.map(({ name }) => finding("unmanaged container with a volume", name)),
        ...(labelled ? [finding("unmanaged container with the stack's label", stackLabel)] : []),
      ];
    });
}

/** What its settings were when the stack was last deployed; and what no host of a stack can have been meant to be. */
function ofDaemon({ daemon }: ExpectedState, { engine }: HostState): Finding[] {
  const now = daemonSettings(engine);
  const resource = daemon?.name ?? "host";
  const judged = new Map(Object.entries(dockerChecks).map(([check, judge]) => [check, judge({ engine })] as const));
  const changed = Object.entries(daemon?.settings ?? {}).flatMap(([field, promised]): Finding[] => {
    const found = now[field];
    if (found === undefined || found === promised) return [];
    const cure = judged.get(field)?.cure.join("\n") || SETTING;
    return [{ resource, field, promised, found, cure }];
  });
  const unfit = [...judged].flatMap(([field, { verdict, found, cure }]): Finding[] =>
    verdict === "bad" && !changed.some((finding) => finding.field === field)
      ? [{ resource, field, promised: "fit for a stack", found, cure: cure.join("\n") }]
      : [],
  );
  return [...changed, ...unfit];
}

const SETTING =
  "Find out who changed it: /etc/docker/daemon.json, or the command line in `systemctl cat docker`. Put it back, and restart\n" +
  "Docker. If it is meant to be so, `bulkhead up` takes it as it is.";
