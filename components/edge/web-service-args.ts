import type { Health } from "../host/health.ts";
import type { ReleaseArgs, ReplicatedArgs } from "../host/release.ts";
import type { Proxy } from "./proxy.ts";
import type { Route } from "./route.ts";
import type { TcpRoute } from "./tcp-route.ts";
import type { UpstreamTls } from "./upstream-tls.ts";

export interface WebServiceArgs extends ReleaseArgs, ReplicatedArgs {
  edge: Proxy;
  /** Port in the container that speaks HTTP. */
  port: number;
  /**
   * How Docker sees that it works, in the container. An image without a shell takes a program of its own here, or the
   * exception `noHealthCommand`.
   *
   * @default `httpHealth(port, healthPath)` for protocol "http"; others have none, and have to give one
   */
  health?: Health;
  /**
   * Health checks in a row without an answer after which its processes are ended, so that Docker starts it again: with
   * 10 a process that hangs is back within 140 s, or 55 s before Docker 25. Less would end services of a host that is only
   * busy. It needs /bin/sh in the image. 0: never.
   * @default 10
   */
  reviveAfterHangs?: number;
  /** Path that answers 2xx when it can serve: asked through the edge before a release gets a request. */
  healthPath: string;
  /** Seconds that one answer on the health path may take when a release is tried, at most 10. @default 5 */
  healthTimeoutSeconds?: number;
  /** What the edge sends here. */
  routes: Route | readonly Route[];
  /**
   * What the port speaks: HTTP/1.1; HTTP/2 without TLS, such as gRPC; or TLS of its own. WebSockets need "http" or "https".
   * @default "http"
   */
  protocol?: "http" | "h2c" | "https";
  /** How the edge knows a service of protocol "https". @default by its name, and by the authorities that everybody knows */
  upstreamTls?: UpstreamTls;
  /** The largest request body in MiB: what is larger is answered 413. Nothing of it is held. @default the edge's */
  maxBodyMb?: number;
  /** Seconds that the first byte of an answer may take: what takes longer is answered 504. @default 60 */
  responseTimeoutSeconds?: number;
  /** TCP ports of the edge that lead here, by name: the port in the container, or more of it. @default {} */
  tcp?: Record<string, number | TcpRoute>;
  /** UDP is refused: the error says why. */
  udp?: never;
  /**
   * The replica that answered a client first answers it from then on, by a cookie, for as long as that replica is there: a
   * release begins anew. @default each request goes to the next replica
   */
  sticky?: Sticky;
}

/** A cookie that the edge sets. It is always Secure and HttpOnly, and says nothing of the client. */
export interface Sticky {
  /** @default "bulkhead-SERVICE" */
  cookie?: string;
  /** @default "lax" */
  sameSite?: "strict" | "lax" | "none";
}
