import { resourceRules, stackRules } from "../../policy/rules.ts";
import type { Resource } from "../../policy/rule.ts";
import { stackViolations, violations } from "../../policy/violations.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

/** What the edge reads of a service that speaks TLS, behind a list, a password, and a service that is asked. */
export function guardedRoute() {
  const rule = (path: string) => `Host(\`example.com\`) && PathPrefix(\`${path}\`)`;
  const router = (path: string, middlewares: string[]) => ({
    ...{ rule: rule(path), middlewares: ["api-requests", ...middlewares] },
  });
  const closed = (path: string, middleware: string) => ({ rule: rule(path), middlewares: [middleware] });
  return {
    http: {
      routers: {
        api: router("/admin", ["api-allow", "api-auth"]),
        "api-unsized": { ...router("/admin", ["api-auth"]), rule: `${rule("/admin")} && !Method(\`GET\`)` },
        "api-closed": closed("/admin", "api-closed"),
        "api-route-2": router("/member", ["api-route-2-auth"]),
        "api-route-2-closed": closed("/member", "api-route-2-closed"),
      },
      middlewares: {
        "api-requests": { plugin: { bulkhead: { kind: "limits", refusedPaths: "%5C|%2F" } } },
        "api-allow": { ipAllowList: { sourceRange: ["192.0.2.0/24"] } },
        "api-auth": { basicAuth: { usersFile: "/routes/api-route.1.beside.api", users: [] as string[] } },
        "api-route-2-auth": { forwardAuth: { address: "http://127.0.0.1:8081/auth/gate/", trustForwardHeader: false } },
      },
      serversTransports: { api: { serverName: "api", insecureSkipVerify: false } },
    },
  };
}

/**
 * A stack in which every rule is kept: a front door, a Traefik, a service in its compartment, a database with its backup, a
 * Swarm service, Cloudflare.
 */
export function compliantStack(): Resource[] {
  const container = (name: string, props: object = {}, labels: Record<string, string> = {}) =>
    resource("docker:index/container:Container", name, {
      image: `example.com/${name}:1.0@${DIGEST}`,
      user: "1000:1000",
      readOnly: true,
      privileged: false,
      capabilities: { drops: ["ALL"], adds: [] },
      securityOpts: ["no-new-privileges:true"],
      memory: 128,
      memorySwap: 128,
      cpus: "0.5",
      healthcheck: { tests: ["CMD", "true"] },
      init: true,
      tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=16m" },
      restart: "always",
      mustRun: true,
      start: true,
      logDriver: "json-file",
      logOpts: { "max-size": "10m", "max-file": "3" },
      destroyGraceSeconds: 10,
      networkMode: "bridge",
      networksAdvanced: [{ name: "web" }],
      ipcMode: "private",
      envs: ["LOG_LEVEL=info", "DB_PASSWORD_FILE=/run/secrets/db_password", "API_TOKEN="],
      labels: labelList({ "bulkhead.pids": "64", ...labels }),
      entrypoints: ["/bin/app"],
      command: ["--listen=:8080", "--token", "/run/secrets/token"],
      volumes: [{ volumeName: "files", containerPath: "/files", readOnly: true }],
      mounts: [{ type: "volume", source: "files", target: "/more" }],
      ports: [],
      ...props,
    });
  return [
    resource("pulumi:providers:docker", "docker", { host: "ssh://deploy@203.0.113.10" }),
    resource("docker:index/network:Network", "web-network", { name: "web", driver: "bridge" }),
    ...["compartment", "egress"].map((role) =>
      resource("docker:index/network:Network", `api-${role}`, {
        ...{ name: `api-${role}`, driver: "bridge", internal: role === "compartment" },
        labels: labelList({ "bulkhead.for": "api", "bulkhead.role": role }),
      }),
    ),
    resource("docker:index/network:Network", "mail-egress", {
      ...{ name: "mail-egress", driver: "bridge", internal: false },
      labels: labelList({ "bulkhead.for": "mail", "bulkhead.role": "egress" }),
    }),
    resource("docker:index/network:Network", "inner", { name: "inner", driver: "bridge", internal: true }),
    resource("docker:index/network:Network", "data", { name: "data", id: "data-id", internal: true }),
    resource("docker:index/network:Network", "swarm", {
      name: "swarm",
      driver: "overlay",
      options: { encrypted: "true" },
    }),
    resource("docker:index/volume:Volume", "files", { name: "files" }),
    resource(
      "docker:index/volume:Volume",
      "rows",
      { name: "rows", labels: labelList({ "bulkhead.data": "true" }) },
      true,
    ),
    resource("docker:index/remoteImage:RemoteImage", "pulled", { name: `nginx:1.29@${DIGEST}` }),
    resource("docker:index/remoteImage:RemoteImage", "built", {
      name: "app",
      build: { context: "app", buildArgs: { VERSION: "1.0" } },
    }),
    container(
      "door",
      {
        ports: [
          { ip: "203.0.113.10", external: 443, internal: 8443, protocol: "tcp" },
          { ip: "203.0.113.10", external: 80, internal: 8080, protocol: "tcp" },
        ],
      },
      { "bulkhead.publishes": "203.0.113.10:443 203.0.113.10:80" },
    ),
    container(
      "edge",
      {
        command: [
          "--entryPoints.websecure.address=:8443",
          "--entryPoints.websecure.http.tls=true",
          "--entryPoints.websecure.http.middlewares=headers@file,rate-limit@file",
          "--entryPoints.inner.address=:8081",
          "--entryPoints.http.address=:8080",
          "--entryPoints.http.http.middlewares=rate-limit@file",
        ],
        networksAdvanced: [{ name: "web" }, { name: "api-compartment" }],
      },
      {
        "bulkhead.role": "edge",
        "bulkhead.exceptions": JSON.stringify([
          { entryPoint: "http", without: "TLS", why: "it answers nothing but redirects to https" },
        ]),
      },
    ),
    container(
      "api",
      { networksAdvanced: [{ name: "api-compartment" }, { name: "api-egress" }] },
      { "bulkhead.role": "service", "bulkhead.name": "api" },
    ),
    container(
      "mail",
      { networksAdvanced: [{ name: "inner" }, { name: "mail-egress" }] },
      { "bulkhead.role": "worker", "bulkhead.name": "mail" },
    ),
    container(
      "report",
      { networksAdvanced: [{ name: "inner" }] },
      { "bulkhead.role": "scheduled-job", "bulkhead.name": "report" },
    ),
    container("web"),
    container("job", { mustRun: false, restart: "no", healthcheck: undefined }),
    container("route", {
      ...{ mustRun: false, restart: "no", healthcheck: undefined },
      envs: [`ROUTE=${JSON.stringify(guardedRoute())}`],
    }),
    container("courier", { start: false, mustRun: false, restart: "no", logDriver: undefined }),
    container("database", { image: `postgres:18.1@${DIGEST}`, networksAdvanced: [{ name: "data" }] }),
    container(
      "backup",
      { networksAdvanced: [{ name: "inner" }] },
      { "bulkhead.backs-up": "rows", "bulkhead.backup": "receiver" },
    ),
    container("shipper", { networksAdvanced: [{ name: "inner" }] }, { "bulkhead.backup": "shipper" }),
    resource("docker:index/service:Service", "swarmed", {
      labels: labelList({ "bulkhead.publishes": "0.0.0.0:8080" }),
      endpointSpec: { ports: [{ publishedPort: 8080, targetPort: 8080 }] },
      taskSpec: {
        containerSpec: {
          image: `example.com/swarmed:1.0@${DIGEST}`,
          user: "1000:1000",
          readOnly: true,
          capDrops: ["ALL"],
          healthcheck: { tests: ["CMD", "true"] },
          stopGracePeriod: "10s",
          env: { LOG_LEVEL: "info", DB_PASSWORD_FILE: "/run/secrets/db_password" },
          labels: labelList({ "bulkhead.pids": "64" }),
          commands: ["/bin/app"],
          args: ["--listen=:8080"],
          mounts: [{ type: "volume", source: "files", target: "/files" }],
        },
        resources: { limits: { memoryBytes: 134217728, nanoCpus: 500000000 } },
        restartPolicy: { condition: "any" },
        logDriver: { name: "local" },
        networksAdvanceds: [{ name: "swarm" }],
      },
    }),
    resource("cloudflare:index/r2Bucket:R2Bucket", "bucket", { name: "files" }, true),
    resource("cloudflare:index/r2ManagedDomain:R2ManagedDomain", "bucket-address", {
      bucketName: "files",
      enabled: false,
    }),
    resource("cloudflare:index/r2CustomDomain:R2CustomDomain", "bucket-domain", {
      bucketName: "files",
      domain: "files.example.com",
      enabled: false,
    }),
    resource("cloudflare:index/r2BucketCors:R2BucketCors", "bucket-cors", {
      bucketName: "files",
      rules: [{ allowed: { methods: ["GET"], origins: ["https://example.com"] } }],
    }),
    ...Object.entries({ "account-token": "accountToken:AccountToken", "user-token": "apiToken:ApiToken" }).map(
      ([name, type]) =>
        resource(`cloudflare:index/${type}`, name, {
          expiresOn: "2027-01-31T00:00:00Z",
          policies: [{ effect: "allow", resources: JSON.stringify({ "com.cloudflare.api.account.zone.abc": "*" }) }],
        }),
    ),
    resource("cloudflare:index/dnsRecord:DnsRecord", "record", {
      zoneId: "zone-1",
      name: "example.com",
      type: "A",
      proxied: true,
    }),
    resource("cloudflare:index/dnsRecord:DnsRecord", "tunnel-record", {
      zoneId: "zone-1",
      name: "tunnels.example.com",
      type: "A",
      proxied: false,
      comment: "of reach-prod, not proxied: tunnels are TCP",
    }),
    resource("cloudflare:index/dnsRecord:DnsRecord", "shop-record", {
      ...{ zoneId: "zone-2", name: "shop.example.net", type: "A", proxied: true },
    }),
    // Of a domain in another zone the stack says the same.
    ...["zone-1", "zone-2"].flatMap((zoneId, index) =>
      Object.entries({ ssl: "strict", min_tls_version: "1.2", always_use_https: "on", brotli: "on" }).map(
        ([settingId, value]) =>
          resource("cloudflare:index/zoneSetting:ZoneSetting", ["", "shop-"][index] + settingId, {
            ...{ zoneId, settingId, value },
          }),
      ),
    ),
  ];
}

/** Every violation in a stack, as `rule: message`. */
export function violationsIn(resources: readonly Resource[], today?: Date): string[] {
  return [
    ...resourceRules.flatMap((rule) =>
      resources
        .filter(({ type }) => type === rule.type)
        .flatMap((each) => violations(rule, each, today).map((message) => `${rule.name}: ${message}`)),
    ),
    ...stackRules.flatMap((rule) =>
      stackViolations(rule, resources, today).map(({ message }) => `${rule.name}: ${message}`),
    ),
  ];
}

export function labelList(labels: Record<string, string>): { label: string; value: string }[] {
  return Object.entries(labels).map(([label, value]) => ({ label, value }));
}

export function resource(type: string, name: string, props: object, protect = false): Resource {
  return {
    type,
    name,
    urn: `urn:pulumi:test::program::${type}::${name}`,
    props: props as Record<string, unknown>,
    opts: { protect },
  };
}
