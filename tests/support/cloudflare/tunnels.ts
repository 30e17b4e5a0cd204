import { randomUUID } from "node:crypto";
import { z } from "zod";
import { ApiError, bodyOf, notFound, now, paged, type Call, type Route } from "./api.ts";

interface Tunnel {
  id: string;
  name: string;
  secret: string;
  created_at: string;
  deleted_at: string | null;
  /** Connections that its connectors have to Cloudflare's edge now. */
  connections: number;
  config: { version: number; config: unknown; created_at: string };
}

const tunnelBody = z.strictObject({
  name: z.string().min(1),
  config_src: z.enum(["cloudflare", "local"]).optional(),
  tunnel_secret: z.string().optional(),
});
const originRequest = z.strictObject({
  caPool: z.string().optional(),
  connectTimeout: z.number().optional(),
  http2Origin: z.boolean().optional(),
  httpHostHeader: z.string().optional(),
  keepAliveConnections: z.number().optional(),
  keepAliveTimeout: z.number().optional(),
  noTLSVerify: z.boolean().optional(),
  originServerName: z.string().optional(),
  tcpKeepAlive: z.number().optional(),
  tlsTimeout: z.number().optional(),
});
const configBody = z.strictObject({
  config: z.strictObject({
    ingress: z.array(
      z.strictObject({
        hostname: z.string().optional(),
        path: z.string().optional(),
        service: z.string().min(1),
        originRequest: originRequest.optional(),
      }),
    ),
    originRequest: originRequest.optional(),
  }),
  source: z.enum(["cloudflare", "local"]).optional(),
});

/** Tunnels that are configured through the API, each with its token. */
export class Tunnels {
  readonly all = new Map<string, Tunnel>();
  readonly routes: Route[];
  readonly #account: string;

  constructor(account: string) {
    this.#account = account;
    const path = "/accounts/:account/cfd_tunnel";
    const read = { permission: "Cloudflare Tunnel", level: "Read" } as const;
    const write = { permission: "Cloudflare Tunnel", level: "Write" } as const;
    this.routes = [
      {
        method: "GET",
        path,
        needs: read,
        handle: (call) => {
          const { result, info } = paged([...this.all.values()], call);
          return { result: result.map((tunnel) => this.#shown(tunnel)), info };
        },
      },
      {
        method: "POST",
        path,
        needs: write,
        handle: (call) => {
          const { name, tunnel_secret: secret = Buffer.from(randomUUID()).toString("base64") } = bodyOf(
            call,
            tunnelBody,
          );
          if ([...this.all.values()].some((tunnel) => tunnel.name === name && tunnel.deleted_at === null))
            throw new ApiError(409, 1013, "You already have a tunnel with this name.");
          const config = { version: 0, config: null, created_at: now() };
          const tunnel = {
            id: randomUUID(),
            name,
            secret,
            created_at: now(),
            deleted_at: null,
            connections: 0,
            config,
          };
          this.all.set(tunnel.id, tunnel);
          return { result: this.#shown(tunnel) };
        },
      },
      {
        method: "GET",
        path: `${path}/:tunnel`,
        needs: read,
        handle: (call) => ({ result: this.#shown(this.#one(call)) }),
      },
      {
        method: "PATCH",
        path: `${path}/:tunnel`,
        needs: write,
        handle: (call) => {
          const tunnel = this.#one(call);
          const { name, tunnel_secret } = bodyOf(call, tunnelBody.partial());
          Object.assign(tunnel, name && { name }, tunnel_secret && { secret: tunnel_secret });
          return { result: this.#shown(tunnel) };
        },
      },
      {
        method: "DELETE",
        path: `${path}/:tunnel`,
        needs: write,
        handle: (call) => {
          const tunnel = this.#one(call);
          if (tunnel.connections > 0)
            throw new ApiError(400, 1022, "Cannot delete tunnel because it has active connections");
          this.all.delete(tunnel.id);
          return { result: { ...this.#shown(tunnel), deleted_at: now() } };
        },
      },
      {
        method: "GET",
        path: `${path}/:tunnel/configurations`,
        needs: read,
        handle: (call) => ({ result: this.#config(this.#one(call)) }),
      },
      {
        method: "PUT",
        path: `${path}/:tunnel/configurations`,
        needs: write,
        handle: (call) => {
          const tunnel = this.#one(call);
          const { config } = bodyOf(call, configBody);
          const last = config.ingress.at(-1);
          if (!last || last.hostname !== undefined || last.path !== undefined)
            throw new ApiError(
              400,
              1056,
              "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)",
            );
          tunnel.config = { version: tunnel.config.version + 1, config, created_at: now() };
          return { result: this.#config(tunnel) };
        },
      },
      {
        method: "GET",
        path: `${path}/:tunnel/token`,
        needs: write,
        handle: (call) => ({ result: this.token(this.#one(call)) }),
      },
    ];
  }

  /** What cloudflared is started with. */
  token({ id, secret }: Tunnel): string {
    return Buffer.from(JSON.stringify({ a: this.#account, t: id, s: secret })).toString("base64");
  }

  #one({ params }: Call): Tunnel {
    const tunnel = this.all.get(params["tunnel"]!);
    if (!tunnel) throw notFound(1003, "Tunnel not found");
    return tunnel;
  }

  #shown({ id, name, created_at, deleted_at, connections }: Tunnel) {
    return {
      id,
      name,
      account_tag: this.#account,
      created_at,
      deleted_at,
      conns_active_at: connections > 0 ? created_at : null,
      conns_inactive_at: connections > 0 ? null : created_at,
      connections: [],
      status: connections > 0 ? "healthy" : "inactive",
      tun_type: "cfd_tunnel",
      remote_config: true,
      config_src: "cloudflare",
      metadata: {},
    };
  }

  #config({ id, config }: Tunnel) {
    return { tunnel_id: id, account_id: this.#account, source: "cloudflare", ...config };
  }
}
