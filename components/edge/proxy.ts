import * as docker from "@pulumi/docker/volume.js";
import * as pulumi from "@pulumi/pulumi";
import { maintenanceOf } from "../settings/maintenance.ts";
import { AcmeVolume } from "./acme-volume.ts";
import { Courier } from "../host/file-volume.ts";
import type { Container } from "../host/container.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { Claims, type Served } from "./claims.ts";
import type { ProxyArgs } from "./proxy-args.ts";
import { EDGE_ALIAS, edgeContainer, edgeSecrets, TRAEFIK_UID } from "./edge-container.ts";
import { EDGE_PLUGIN } from "./edge-plugin.ts";
import { edgeCapacity } from "./edge-capacity.ts";
import { Compartments } from "./compartments.ts";
import { dnsProviderSettings } from "./dns-provider.ts";
import { domainSecrets, middlewaresOf, namesLabel } from "./domain-settings.ts";
import { edgeSettings, ofOneClient, type EdgeSettings } from "./edge-settings.ts";
import { traefikArguments } from "./traefik-arguments.ts";
import { FrontDoor } from "./front-door.ts";
import { domainOf, type Alias, type Domain, type ProgramSubnets } from "./hosts.ts";
import { pagesIn, statusesOf } from "./pages.ts";
import { subnetsOf, type Gate, type Networks, type Reachable } from "../host/networks.ts";
import type { ClientCriteria } from "./route.ts";
import type { ForwardAuth } from "./route-auth.ts";
import { pathsBeside, RouteFile } from "./route-file.ts";
import { SecretFiles } from "../host/secret.ts";

/**
 * The edge: Traefik without Docker's socket, without a capability, behind a door that holds the ports. It serves what
 * lies in a volume of route files, which the services' cutover jobs write.
 */
export class Proxy extends pulumi.ComponentResource implements Gate {
  readonly host: DockerHost;
  readonly networks: Networks;
  readonly domain: string;
  /** Every name that a route may be for: the domain and the further ones, wildcards like *.example.com among them. */
  readonly hosts: readonly string[];
  readonly url: string;
  readonly maxBodyMb: number;
  /** What a StaticSite is built from, if the stack says so. */
  readonly siteServer: string | undefined;
  /** Name of the file with its own settings and routes. */
  readonly routeFile: string;
  /** Settings that every service's cutover job needs. */
  readonly routeFiles: {
    host: DockerHost;
    doorNetwork: pulumi.Output<string>;
    routesVolume: pulumi.Output<string>;
  };
  readonly containers: { edge: Container; door: FrontDoor };
  /** What a CA issued, for a VolumeBackup. @default none, where certificates are files */
  readonly certificates: AcmeVolume | undefined;
  readonly #domains: readonly Domain[];
  readonly #aliases: readonly Alias[];
  readonly #port: string;
  readonly #limits: { domain: string; domains: readonly Domain[]; requestsPerSecond: number; burst: number };
  readonly #compartments: Compartments;
  /** What the services behind it have taken of it. */
  readonly claims: Claims;
  /** The middleware with the pages for services that do not answer. */
  readonly errorPages: readonly string[];
  /** How it tells clients apart. */
  readonly clients: ClientCriteria;
  /** What a route needs before it can be switched. */
  readonly ready: pulumi.Resource[];

  constructor(name: string, args: ProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:Proxy", name, {}, { providers: [args.networks.host.provider], ...opts });
    const { networks, images, domain, address, httpsPort, certificates, tcp = {} } = args;
    const { host } = networks;
    this.host = host;
    this.networks = networks;
    this.claims = new Claims(domain, Object.keys(tcp), (host) => this.domainOf(host) !== undefined);
    this.#compartments = new Compartments(networks, EDGE_ALIAS, this.claims.complete);
    this.domain = domain;
    this.#domains = [{ name: domain }, ...(args.domains ?? [])];
    this.#aliases = args.aliases ?? [];
    this.hosts = this.#domains.map(({ name }) => name);
    this.maxBodyMb = args.maxBodyMb ?? 10;
    this.siteServer = images.nginx;
    this.#port = httpsPort === 443 || networks.tunnel ? "" : `:${httpsPort}`;
    this.url = this.urlOf(domain);

    const routes = new docker.Volume(
      `${name}-routes-2`,
      { name: host.named("routes-2"), labels: host.labels() },
      { parent: this, deleteBeforeReplace: true },
    );
    this.routeFiles = { host, doorNetwork: networks.door.name, routesVolume: routes.name };

    this.certificates =
      certificates.kind === "acme"
        ? new AcmeVolume(name, { host, uid: TRAEFIK_UID, complete: this.claims.complete }, { parent: this })
        : undefined;
    const provider =
      certificates.kind === "acme" ? dnsProviderSettings(certificates, args.dnsApiToken!, args.dnsApiUrl) : undefined;
    const secrets = new SecretFiles(
      `${name}-secrets`,
      {
        ...{ host, readerUid: TRAEFIK_UID },
        secrets: { ...edgeSecrets(certificates, provider?.secrets), ...domainSecrets(args.domains) },
      },
      { parent: this },
    );
    const plugin = new Courier(
      `${name}-plugin`,
      { host, files: EDGE_PLUGIN, readerUid: TRAEFIK_UID },
      { parent: this },
    );
    const clientsThrough = networks.tunnel ? subnetsOf(networks.tunnel) : args.clientsThrough;
    const doorSubnets = subnetsOf(networks.door);
    const isForwarded = clientsThrough !== undefined;
    this.clients = { isForwarded, ofOneClient: ofOneClient(isForwarded, (args.sharedAddresses ?? []).length > 0) };
    const { requestsPerSecond, burst, connectionsPerClient = 100, sharedAddresses = [], keepAliveSeconds = 60 } = args;
    const { memoryMb = 512, idleSeconds = 86400, maxHeaderKb = 32 } = args;
    const { connections, requests } = edgeCapacity(memoryMb);
    const limits = {
      ...{ requestsPerSecond, burst, connectionsPerClient, sharedAddresses, keepAliveSeconds, requests, maxHeaderKb },
    };
    const { domains = [], aliases = [], httpRedirect = false, httpPort = 80 } = args;
    this.#limits = { domain, domains, requestsPerSecond, burst };
    const names = { domain, domains, aliases, portInUrls: this.#port, httpRedirect };
    const maintenance = maintenanceOf(args.maintenance);
    const pages = pagesIn(name, args.pages);
    this.errorPages = statusesOf(Object.keys(pages)).length > 0 ? ["pages"] : [];
    const settled = pulumi.output(clientsThrough).apply((known): EdgeSettings => ({
      ...{ certificates, ...names, ...limits, tcp: Object.keys(tcp), ...(maintenance && { maintenance }) },
      clientsThrough: known,
    }));
    const edge = edgeContainer(
      name,
      {
        ...{ networks, compartments: this.#compartments, image: images.traefik, memoryMb, keepAliveSeconds },
        ...{ routes, plugin, secrets, acme: this.certificates, provider, tcp: Object.keys(tcp), httpRedirect },
        command: pulumi.all([doorSubnets, settled]).apply(([subnets, settings]) => traefikArguments(subnets, settings)),
      },
      this,
    );
    this.routeFile = `${name}-settings`;
    // An edge has its HOSTNAME when it has been made, and no sooner.
    const issuer = certificates.kind === "acme" && domains.length + aliases.length > 0 ? edge.hostname : undefined;
    const settings = new RouteFile(
      this.routeFile,
      {
        ...this.routeFiles,
        worksFor: name,
        content: pulumi
          .all([
            ...([edge.nameAtBeginning, doorSubnets, settled, this.#compartments.all(), issuer] as const),
            pathsBeside(host, this.routeFile, pages),
          ])
          .apply(([release, subnets, settings, networks, issuer, paths]) =>
            edgeSettings(
              settings,
              release,
              subnets,
              networks.flatMap((network) => network.subnets),
              issuer,
              paths,
              this.claims.health,
            ),
          ),
        beside: pages,
        asks: 4 + 2 * (domains.length + aliases.length),
        labels: namesLabel({ domains, aliases }),
        release: edge.nameAtBeginning,
      },
      { parent: this },
    );
    const routed: Promise<pulumi.Resource[]> = this.claims.complete.then((services) => [settings, ...services]);
    const door = new FrontDoor(
      `${name}-door`,
      {
        networks,
        image: images.haproxy,
        ports: networks.tunnel
          ? undefined
          : { address, https: httpsPort, tcp, ...(httpRedirect && { http: httpPort }) },
        httpsFrom: clientsThrough,
        connections,
        connectionsPerClient,
        sharedAddresses,
        idleSeconds,
      },
      // Last of all: a door that is replaced leads to an edge that has every route. It may be an edge of another generation,
      // which shares neither name nor routes with the one before.
      { parent: this, dependsOn: routed },
    );
    this.ready = [edge, settings];
    this.containers = { edge, door };
    this.registerOutputs({ url: this.url });
  }

  /** Where clients find a host. */
  urlOf(host: string): string {
    return `https://${host}${this.#port}`;
  }

  /** The domain of a host, or of a wildcard, with what is its own. Undefined: the edge does not serve it. */
  domainOf(host: string): Domain | undefined {
    return domainOf(this.#domains, host);
  }

  /** What is wrong with a host of a route. Undefined: the edge serves it. */
  hostProblem(host: string): string | undefined {
    const alias = this.#aliases.find(({ name }) => name === host);
    if (alias !== undefined)
      return `${host} redirects to ${alias.to}: give another, or take it out of aliases in the stack file`;
    return this.domainOf(host) === undefined
      ? `${host} is not served by the edge (${this.hosts.join(", ")}): add it to domains in the stack file`
      : undefined;
  }

  /** Names of middlewares that every route of a host needs, before its own: the limits of its domain. */
  middlewaresOf(host: string): string[] {
    return middlewaresOf(this.domainOf(host)!, this.#limits);
  }

  /**
   * For a program, before anything of it is made: its network with the edge. Its name is known when every edge that runs is
   * on it, also one that a newer is about to replace: a cutover asks both.
   */
  compartment(program: string, uses: readonly Reachable[]): pulumi.Output<string> {
    this.claims.refuseLate(program);
    return this.#compartments.add(program, uses);
  }

  /**
   * Who comes to a service from within. Known when the program has come to its end.
   *
   * @param of.tcp whether TCP ports of the edge lead to it
   */
  programSubnets(service: string, of: { tcp: boolean }): pulumi.Output<ProgramSubnets> {
    return this.#compartments.subnetsTo(service, of);
  }

  /**
   * For a service that says who may pass on the routes of another.
   *
   * @throws Error if it is behind another edge, which this one does not reach.
   */
  takeAuth(at: string, { to }: ForwardAuth): void {
    if (to.through !== this)
      throw new Error(`${at}.forwardAuth.to: ${to.name} is not behind the same edge: give a WebService that is`);
    this.#compartments.addAuthenticator(to.name);
  }

  /** All services that have registered, by name; no more may come. */
  endOfServices(): ReadonlyMap<string, Served> {
    this.certificates?.refuseIdleRestore();
    return this.claims.end();
  }
}
