import type * as pulumi from "@pulumi/pulumi";
import type { Route } from "./route.ts";
import { RouteClaims } from "./route-claims.ts";
import { TcpClaims } from "./tcp-claims.ts";
import type { TcpRoute } from "./tcp-route.ts";

/** What has routes of its own at an edge. */
export interface Served extends pulumi.Resource {
  /** Name of the file with its routes. */
  readonly routeFile: string;
  readonly container: { name: pulumi.Output<string>; image: pulumi.Output<string> };
  readonly url: string;
}

/** The services behind an edge, and what each has taken of it, as far as the program has come. */
export class Claims {
  /** All services, when the program has come to its end. */
  readonly complete: Promise<Served[]>;
  /** Public health paths, each with its host before it, which pass in maintenance. */
  readonly health: string[] = [];
  readonly #domain: string;
  readonly #routes = new RouteClaims();
  readonly #tcp: TcpClaims;
  readonly #services = new Map<string, Served>();
  #isComplete = false;
  #completed!: (services: Served[]) => void;

  /**
   * @param domain of routes that name no host
   * @param tcp names of the edge's TCP ports
   * @param isServed whether the edge serves a host
   */
  constructor(domain: string, tcp: string[], isServed: (host: string) => boolean) {
    this.#domain = domain;
    this.#tcp = new TcpClaims(tcp, isServed);
    this.complete = new Promise((resolve) => (this.#completed = resolve));
  }

  /**
   * For a service with routes, before anything of it is made.
   *
   * @throws Error with every path that another route has, or hides.
   */
  takeRoutes(service: string, routes: Route | readonly Route[]): void {
    this.#routes.take(service, this.#domain, routes);
  }

  /** For a service whose health clients may ask for at this path. It passes in maintenance, unless it is a page. */
  takeHealth(host: string, path: string): void {
    if (!/(^|\/)$|\.html?$/.test(path)) this.health.push(`${host}${path}`);
  }

  /**
   * For a service to which TCP ports lead, before anything of it is made.
   *
   * @throws Error with every port that the edge does not have, or that another service has.
   */
  takeTcp(service: string, ports: Readonly<Record<string, number | TcpRoute>>): void {
    this.#tcp.take(service, ports);
  }

  /** @throws Error if a TCP port leads to no service: it would be open for nothing. */
  refuseIdleTcp(): void {
    this.#tcp.refuseIdle();
  }

  /** @throws Error if the program has come to its end before. */
  refuseLate(name: string): void {
    if (this.#isComplete)
      throw new Error(`${name}: comes after stackOutputs(), which would take its route away: put it before that`);
  }

  /** For a service that is behind this edge from now on. */
  register(service: Served, name: string): void {
    this.refuseLate(name);
    this.#services.set(name, service);
  }

  /** All services that have registered, by name; no more may come. */
  end(): ReadonlyMap<string, Served> {
    this.#isComplete = true;
    this.#completed([...this.#services.values()]);
    return this.#services;
  }
}
