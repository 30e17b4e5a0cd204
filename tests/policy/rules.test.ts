import { describe, expect, test } from "vitest";
import { resourceRules, stackRules } from "../../policy/rules.ts";
import { NOT_IN_SWARM } from "../../policy/services.ts";
import { workloadRows } from "../../policy/workloads.ts";
import type { Resource } from "../../policy/rule.ts";
import { compliantStack, guardedRoute, labelList, violationsIn } from "./compliant.ts";

test("the compliant stack keeps every rule", () => {
  expect(violationsIn(compliantStack())).toEqual([]);
});

test("the compliant stack has a resource for every rule", () => {
  const types = new Set(compliantStack().map(({ type }) => type));
  expect(resourceRules.filter(({ type }) => !types.has(type))).toEqual([]);
});

/** A property broken: where it is, what it becomes, and every message that comes of it. */
interface Broken {
  rule: string;
  /** The resource. */
  of: string;
  /** Path of the property, and its value. */
  set: Record<string, unknown>;
  says: string;
  /** What other rules say of the same property. */
  also?: string[];
}

const RETAINED = { "bulkhead.data": "true", "bulkhead.retained": "true" };
const SOCKET = "/var/run/docker.sock";
const HEALTH = '["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]';
const SPEC = "taskSpec.containerSpec";
const NO_CAPABILITY = "drop ALL and add none";
const NOT_ROOT = 'name a user that is not root, like "1000:1000"';
const LIMIT_CPUS = "set cpus (of a container) or limits.nanoCpus (of a service)";
const AS_A_FILE = "hand it over as a file and name the file, like DB_PASSWORD_FILE";
const FROM_DOCKER = "take the mount away, and give it what it needs of Docker in another way";
const GRACE = "set destroyGraceSeconds (of a container) or stopGracePeriod (of a service)";
const RESTART = "set restart to always, or mustRun to false if it is a job";
const LOGS = 'set logDriver "json-file" with logOpts max-size and max-file, or logDriver "local"';
const PIDS = "limit its processes in Docker (docker update --pids-limit) and say the limit in the label bulkhead.pids";
const PINNED = "give name:tag@sha256:<64 hex digits>";
const PUBLISHES =
  'say in the label bulkhead.publishes what it may publish, like "203.0.113.10:443" or "203.0.113.10:443/udp", or publish nothing';
const TEMPORARY = "set readOnly, with tmpfs and volumes for what has to be written";
const PRESIGNED = "leave it out, and hand out presigned URLs";
const EXCEPTIONS =
  'give bulkhead.exceptions a list like [{"rule": "container-user", "why": "…", "until": "2027-01-31"}]';
const ZONE = "make ssl strict, min_tls_version 1.2 or newer, and always_use_https on";
const ENTRY_POINT =
  "give Traefik's entry point http.tls and a middleware whose name says rate-limit, so that every route has both";
const GUARD =
  "name smaller ranges, leave trustForwardHeader false, and let a router of less priority answer 503 for the same rule";
const COMPARTMENT = "take it off that network, and name what it reaches in its uses";
const APART =
  "let one container read the data, on networks with internal: true alone, and another one send it, without the volume";
const EGRESS = "give the network internal: true, and the program egress: true if it has to reach the internet";

const exceptions = (list: unknown) => labelList({ "bulkhead.pids": "64", "bulkhead.exceptions": JSON.stringify(list) });

/** The route file with something changed in it. */
function routeWith(change: (http: ReturnType<typeof guardedRoute>["http"]) => unknown): Record<string, unknown> {
  const content = guardedRoute();
  change(content.http);
  return { envs: [`ROUTE=${JSON.stringify(content)}`] };
}

const broken: Broken[] = [
  {
    rule: "container-route-upstream",
    of: "route",
    set: routeWith(({ serversTransports }) => (serversTransports.api.insecureSkipVerify = true)),
    says:
      "route: takes any certificate of api: give upstreamTls a caCertificatePem, and the serverName that the " +
      "certificate is for",
  },
  {
    rule: "container-route-encoded-slashes",
    of: "route",
    set: routeWith(({ middlewares }) => (middlewares["api-requests"].plugin.bulkhead.refusedPaths = "%5C|/%2F")),
    says:
      "route: lets clients ask for /admin with encoded slashes: " +
      "leave its exception out, or say there why the service needs them: { encodedSlashes: true, why }",
    also: [
      "container-route-encoded-slashes: route: lets clients ask for /member with encoded slashes: " +
        "leave its exception out, or say there why the service needs them: { encodedSlashes: true, why }",
    ],
  },
  {
    rule: "container-route-auth",
    of: "route",
    set: routeWith(({ middlewares }) => middlewares["api-auth"].basicAuth.users.push("ann:$2y$05$x")),
    says: "route: has the users of api-auth in its environment: give the users in a file, as basicAuth of a route does",
  },
  {
    rule: "container-route-guard",
    of: "route",
    set: routeWith(({ middlewares }) => middlewares["api-allow"].ipAllowList.sourceRange.push("0.0.0.0/0")),
    says: `route: lets every address pass in api-allow: ${GUARD}`,
  },
  {
    rule: "container-route-guard",
    of: "route",
    set: routeWith(({ middlewares }) => (middlewares["api-route-2-auth"].forwardAuth.trustForwardHeader = true)),
    says: `route: believes what clients say of themselves in api-route-2-auth: ${GUARD}`,
  },
  {
    rule: "container-route-guard",
    of: "route",
    set: routeWith(({ routers }) => Reflect.deleteProperty(routers, "api-route-2-closed")),
    says: `route: leaves the requests of api-route-2 to other routes where the edge cannot ask who may pass: ${GUARD}`,
  },
  {
    rule: "container-privileged",
    of: "web",
    set: { privileged: true },
    says: "web: is privileged: leave privileged out",
  },
  {
    rule: "container-capabilities",
    of: "web",
    set: { capabilities: undefined },
    says: `web: keeps Docker's default capabilities: ${NO_CAPABILITY}`,
  },
  {
    rule: "container-capabilities",
    of: "web",
    set: { "capabilities.adds": ["CAP_NET_ADMIN"] },
    says: `web: has the capability CAP_NET_ADMIN: ${NO_CAPABILITY}`,
  },
  {
    rule: "container-no-new-privileges",
    of: "web",
    set: { securityOpts: [] },
    says: 'web: can gain new privileges: give securityOpts "no-new-privileges:true"',
  },
  {
    rule: "container-no-new-privileges",
    of: "web",
    set: { securityOpts: ["no-new-privileges:false"] },
    says: 'web: can gain new privileges: give securityOpts "no-new-privileges:true"',
  },
  {
    rule: "container-kernel-profiles",
    of: "web",
    set: { securityOpts: ["no-new-privileges", "seccomp=unconfined"] },
    says: "web: runs with seccomp=unconfined: leave Docker's default profile on",
  },
  {
    rule: "container-read-only-root",
    of: "web",
    set: { readOnly: false },
    says: `web: has a writable root: ${TEMPORARY}`,
  },
  { rule: "container-user", of: "web", set: { user: "root" }, says: `web: runs as root: ${NOT_ROOT}` },
  { rule: "container-user", of: "web", set: { user: "0:1000" }, says: `web: runs as 0:1000: ${NOT_ROOT}` },
  {
    rule: "container-user",
    of: "web",
    set: { user: undefined },
    says: `web: runs as the user of its image, which may be root: ${NOT_ROOT}`,
  },
  {
    rule: "container-memory",
    of: "web",
    set: { memory: undefined },
    says: "web: has no memory limit: set a memory limit",
  },
  {
    rule: "container-swap",
    of: "web",
    set: { memorySwap: undefined },
    says: "web: may use as much swap again as memory: set memorySwap to the same as memory",
  },
  {
    rule: "container-swap",
    of: "web",
    set: { memorySwap: 256 },
    says: "web: has memory 128 and with swap 256: set memorySwap to the same as memory",
  },
  { rule: "container-cpus", of: "web", set: { cpus: undefined }, says: `web: has no CPU limit: ${LIMIT_CPUS}` },
  {
    rule: "container-pids",
    of: "web",
    set: { labels: [] },
    says: `web: does not say how many processes it may have: ${PIDS}`,
  },
  {
    rule: "container-health",
    of: "web",
    set: { healthcheck: undefined },
    says: `web: has no health check: give it a health check, like ${HEALTH}`,
  },
  {
    rule: "container-health",
    of: "web",
    set: { "healthcheck.tests": ["NONE"] },
    says: `web: has no health check: give it a health check, like ${HEALTH}`,
  },
  {
    rule: "container-tmpfs",
    of: "web",
    set: { tmpfs: { "/tmp": "rw,exec,nosuid,size=16m" } },
    says: "web: runs programs from the file system in memory at /tmp: leave exec out of its options",
  },
  {
    rule: "container-init",
    of: "web",
    set: { init: false },
    says: "web: has no init: set init, unless the image has an init of its own",
  },
  {
    rule: "container-restart",
    of: "web",
    set: { restart: "no" },
    says: `web: is not started again after a crash or a reboot: ${RESTART}`,
  },
  {
    rule: "container-image-digest",
    of: "web",
    set: { image: "nginx:1.29" },
    says: `web: has the image nginx:1.29, which is not pinned: ${PINNED}`,
  },
  {
    rule: "container-log-rotation",
    of: "web",
    set: { logDriver: undefined },
    says: `web: does not say how its logs are kept: ${LOGS}`,
  },
  {
    rule: "container-log-rotation",
    of: "web",
    set: { "logOpts.max-size": undefined },
    says: `web: has logs that grow for ever: ${LOGS}`,
  },
  {
    rule: "container-docker-socket",
    of: "web",
    set: { volumes: [{ hostPath: SOCKET, containerPath: SOCKET, readOnly: true }] },
    says: `web: mounts ${SOCKET}: ${FROM_DOCKER}`,
  },
  {
    rule: "container-docker-socket",
    of: "web",
    set: { mounts: [{ type: "bind", source: "/run", target: "/host" }] },
    says: `web: mounts /run: ${FROM_DOCKER}`,
  },
  {
    rule: "container-host-path",
    of: "web",
    set: { volumes: [{ hostPath: "/etc", containerPath: "/host" }] },
    says: "web: mounts /etc of the host: use a named volume",
  },
  {
    rule: "container-host-network",
    of: "web",
    set: { networkMode: "host" },
    says: "web: is in the network of the host: put it on a network of its own",
  },
  {
    rule: "container-host-network",
    of: "web",
    set: { networkMode: "container:vpn" },
    says: "web: is in the network of the container vpn: put it on a network of its own",
  },
  {
    rule: "container-host-pid",
    of: "web",
    set: { pidMode: "host" },
    says: "web: sees the processes of the host: leave pidMode out",
  },
  {
    rule: "container-host-ipc",
    of: "web",
    set: { ipcMode: "host" },
    says: 'web: shares memory with the host: set ipcMode to "private"',
  },
  {
    rule: "container-host-users",
    of: "web",
    set: { usernsMode: "host" },
    says: "web: has the users of the host: leave usernsMode out",
  },
  {
    rule: "container-devices",
    of: "web",
    set: { devices: [{ hostPath: "/dev/sda" }] },
    says: "web: has the device /dev/sda: take the device away",
  },
  {
    rule: "container-devices",
    of: "web",
    set: { gpus: "all" },
    says: "web: has the device gpus all: take the device away",
  },
  {
    rule: "container-published-ports",
    of: "web",
    set: { ports: [{ ip: "127.0.0.1", external: 8080, internal: 80 }] },
    says: `web: publishes the port 8080 of 127.0.0.1: ${PUBLISHES}`,
  },
  {
    rule: "container-published-ports",
    of: "door",
    set: { "ports.0.ip": "198.51.100.1" },
    says: `door: publishes the port 443 of 198.51.100.1: ${PUBLISHES}`,
  },
  {
    rule: "container-published-ports",
    of: "door",
    set: { "ports.0.protocol": "udp" },
    says: `door: publishes the UDP port 443 of 203.0.113.10: ${PUBLISHES}`,
  },
  {
    rule: "container-published-ports",
    of: "web",
    set: { publishAllPorts: true },
    says: `web: publishes every port of its image: ${PUBLISHES}`,
  },
  {
    rule: "container-bind-address",
    of: "door",
    set: { "ports.0.ip": "0.0.0.0" },
    says:
      "door: publishes the port 443 on every address of the host: " +
      "give ip an address of the host, or say 0.0.0.0:<port> in the label bulkhead.publishes",
  },
  {
    rule: "container-default-bridge",
    of: "web",
    set: { networksAdvanced: [] },
    says: `web: is on Docker's default bridge: give it networksAdvanced, or networkMode "none"`,
  },
  {
    rule: "container-secret-env",
    of: "web",
    set: { envs: ["DB_PASSWORD=hunter2"] },
    says: `web: seems to have a secret in its setting DB_PASSWORD: ${AS_A_FILE}`,
  },
  {
    rule: "container-secret-env",
    of: "web",
    set: { envs: ["PGPASSWORD=hunter2"] },
    says: `web: seems to have a secret in its setting PGPASSWORD: ${AS_A_FILE}`,
  },
  {
    rule: "container-secret-env",
    of: "web",
    set: { envs: ["REDISCLI_AUTH=hunter2"] },
    says: `web: seems to have a secret in its setting REDISCLI_AUTH: ${AS_A_FILE}`,
  },
  {
    rule: "container-secret-env",
    of: "web",
    set: { envs: ["DATABASE=postgres://app:hunter2@database/app"] },
    says: `web: seems to have a secret in its setting DATABASE: ${AS_A_FILE}`,
  },
  {
    rule: "container-secret-label",
    of: "web",
    set: { labels: labelList({ "bulkhead.pids": "64", "app.api-key": "0123456789" }) },
    says: "web: seems to have a secret in its label app.api-key: hand it over as a file",
  },
  {
    rule: "container-secret-argument",
    of: "web",
    set: { command: ["--requirepass", "hunter2"] },
    says: "web: seems to have a secret in argument 3 of its command: hand it over as a file",
  },
  {
    rule: "container-secret-argument",
    of: "web",
    set: { entrypoints: ["sh", "-c", "exec app --api-key=hunter2"] },
    says: "web: seems to have a secret in argument 3 of its command: hand it over as a file",
  },
  {
    rule: "container-grace",
    of: "web",
    set: { destroyGraceSeconds: undefined },
    says: `web: is killed without time to end: ${GRACE}`,
  },

  {
    rule: "service-capabilities",
    of: "swarmed",
    set: { [`${SPEC}.capDrops`]: undefined },
    says: `swarmed: keeps Docker's default capabilities: ${NO_CAPABILITY}`,
  },
  {
    rule: "service-read-only-root",
    of: "swarmed",
    set: { [`${SPEC}.readOnly`]: undefined },
    says: `swarmed: has a writable root: ${TEMPORARY}`,
  },
  { rule: "service-user", of: "swarmed", set: { [`${SPEC}.user`]: "0" }, says: `swarmed: runs as 0: ${NOT_ROOT}` },
  {
    rule: "service-memory",
    of: "swarmed",
    set: { "taskSpec.resources.limits.memoryBytes": undefined },
    says: "swarmed: has no memory limit: set a memory limit",
  },
  {
    rule: "service-cpus",
    of: "swarmed",
    set: { "taskSpec.resources.limits.nanoCpus": undefined },
    says: `swarmed: has no CPU limit: ${LIMIT_CPUS}`,
  },
  {
    rule: "service-pids",
    of: "swarmed",
    set: { [`${SPEC}.labels`]: [] },
    says: `swarmed: does not say how many processes it may have: ${PIDS}`,
  },
  {
    rule: "service-health",
    of: "swarmed",
    set: { [`${SPEC}.healthcheck`]: undefined },
    says: `swarmed: has no health check: give it a health check, like ${HEALTH}`,
  },
  {
    rule: "service-restart",
    of: "swarmed",
    set: { "taskSpec.restartPolicy.condition": "none" },
    says: `swarmed: is not started again after a crash or a reboot: ${RESTART}`,
  },
  {
    rule: "service-image-digest",
    of: "swarmed",
    set: { [`${SPEC}.image`]: "nginx" },
    says: `swarmed: has the image nginx, which is not pinned: ${PINNED}`,
  },
  {
    rule: "service-log-rotation",
    of: "swarmed",
    set: { "taskSpec.logDriver": undefined },
    says: `swarmed: does not say how its logs are kept: ${LOGS}`,
  },
  {
    rule: "service-docker-socket",
    of: "swarmed",
    set: { [`${SPEC}.mounts`]: [{ type: "bind", source: SOCKET, target: SOCKET }] },
    says: `swarmed: mounts ${SOCKET}: ${FROM_DOCKER}`,
  },
  {
    rule: "service-host-path",
    of: "swarmed",
    set: { [`${SPEC}.mounts`]: [{ type: "bind", source: "/srv", target: "/srv" }] },
    says: "swarmed: mounts /srv of the host: use a named volume",
  },
  {
    rule: "service-host-network",
    of: "swarmed",
    set: { "taskSpec.networksAdvanceds": [{ name: "host" }] },
    says: "swarmed: is in the network of the host: put it on a network of its own",
  },
  {
    rule: "service-published-ports",
    of: "swarmed",
    set: { "endpointSpec.ports.0.publishedPort": 9090 },
    says: `swarmed: publishes the port 9090: ${PUBLISHES}`,
  },
  {
    rule: "service-secret-env",
    of: "swarmed",
    set: { [`${SPEC}.env`]: { GITHUB: `ghp_${"a".repeat(36)}` } },
    says: `swarmed: seems to have a secret in its setting GITHUB: ${AS_A_FILE}`,
  },
  {
    rule: "service-secret-label",
    of: "swarmed",
    set: { [`${SPEC}.labels`]: labelList({ "bulkhead.pids": "64", token: "abc" }) },
    says: "swarmed: seems to have a secret in its label token: hand it over as a file",
  },
  {
    rule: "service-secret-argument",
    of: "swarmed",
    set: { [`${SPEC}.args`]: ["--password=hunter2"] },
    says: "swarmed: seems to have a secret in argument 2 of its command: hand it over as a file",
  },
  {
    rule: "service-grace",
    of: "swarmed",
    set: { [`${SPEC}.stopGracePeriod`]: "0s" },
    says: `swarmed: is killed without time to end: ${GRACE}`,
  },

  {
    rule: "network-attachable",
    of: "swarm",
    set: { attachable: true },
    says: "swarm: can be joined from elsewhere: leave attachable out",
  },
  {
    rule: "network-driver",
    of: "data",
    set: { driver: "macvlan" },
    says: 'data: has the driver macvlan: use the driver "bridge", or "overlay" in a swarm',
  },
  {
    rule: "network-encrypted",
    of: "swarm",
    set: { options: undefined },
    says: 'swarm: is an overlay without encryption: give options {"encrypted": "true"}',
  },
  {
    rule: "volume-host-path",
    of: "files",
    set: { driverOpts: { type: "none", device: "/etc", o: "bind" } },
    says: "files: is /etc of the host: leave driverOpts out",
  },
  {
    rule: "volume-data-protected",
    of: "rows",
    set: { "opts.protect": false },
    says:
      "rows: holds data and is not protected: " +
      'set protect, or retainOnDelete and the label bulkhead.retained: "true", which says so',
  },
  {
    rule: "image-digest",
    of: "pulled",
    set: { name: "nginx:latest" },
    says: `pulled: pulls nginx:latest, which is not pinned: ${PINNED}`,
  },
  {
    rule: "image-secret-argument",
    of: "built",
    set: { "build.buildArgs": { NPM_TOKEN: "abc" } },
    says:
      "built: seems to have a secret in its build argument NPM_TOKEN: " +
      "build without it, and hand it to the container as a file",
  },
  {
    rule: "engine-encrypted",
    of: "docker",
    set: { host: "tcp://203.0.113.10:2375" },
    says: "docker: talks to its engine in clear: reach it over ssh://",
  },

  {
    rule: "bucket-public-address",
    of: "bucket-address",
    set: { enabled: true },
    says: `bucket-address: makes the bucket files public: ${PRESIGNED}`,
  },
  {
    rule: "bucket-public-domain",
    of: "bucket-domain",
    set: { enabled: true },
    says: `bucket-domain: makes the bucket files public at files.example.com: ${PRESIGNED}`,
  },
  {
    rule: "bucket-cors",
    of: "bucket-cors",
    set: { "rules.0.allowed.origins": ["*"] },
    says: "bucket-cors: lets every origin use the bucket files: name the origins",
  },
  {
    rule: "bucket-protected",
    of: "bucket",
    set: { "opts.protect": false },
    says: "bucket: holds data and is not protected: set protect",
  },
  ...["account", "user"].flatMap((kind): Broken[] => [
    {
      rule: `${kind}-token-scope`,
      of: `${kind}-token`,
      set: { "policies.0.resources": '{"com.cloudflare.api.account.zone.*": "*"}' },
      says: `${kind}-token: may act on com.cloudflare.api.account.zone.*: name one bucket or one zone`,
    },
    {
      rule: `${kind}-token-scope`,
      of: `${kind}-token`,
      set: { "policies.0.resources": { "com.cloudflare.api.account.abc": "*" } },
      says: `${kind}-token: may act on com.cloudflare.api.account.abc: name one bucket or one zone`,
    },
    {
      rule: `${kind}-token-scope`,
      of: `${kind}-token`,
      set: {
        "policies.0.resources": { "com.cloudflare.api.account.abc": { "com.cloudflare.api.account.zone.*": "*" } },
      },
      says: `${kind}-token: may act on com.cloudflare.api.account.zone.*: name one bucket or one zone`,
    },
    {
      rule: `${kind}-token-expiry`,
      of: `${kind}-token`,
      set: { expiresOn: undefined },
      says: `${kind}-token: does not expire: give it expiresOn, and a new one before that`,
    },
  ]),
  {
    rule: "dns-proxied",
    of: "tunnel-record",
    set: { comment: "of reach-prod" },
    says:
      "tunnel-record: leads to tunnels.example.com past Cloudflare: " +
      'set proxied, or say why not in the comment: "not proxied: <why>"',
  },
  {
    rule: "dns-proxied",
    of: "tunnel-record",
    set: { comment: "not proxied: " },
    says:
      "tunnel-record: leads to tunnels.example.com past Cloudflare: " +
      'set proxied, or say why not in the comment: "not proxied: <why>"',
  },
  { rule: "zone-setting", of: "ssl", set: { value: "full" }, says: `ssl: sets ssl to full: ${ZONE}` },
  {
    rule: "zone-setting",
    of: "min_tls_version",
    set: { value: "1.0" },
    says: `min_tls_version: sets min_tls_version to 1.0: ${ZONE}`,
  },
  {
    rule: "zone-setting",
    of: "always_use_https",
    set: { value: "off" },
    says: `always_use_https: sets always_use_https to off: ${ZONE}`,
  },

  ...["web", "swarmed", "data", "files"].flatMap((of): Broken[] => {
    const kind = { web: "container", swarmed: "service", data: "network", files: "volume" }[of]!;
    return [
      {
        rule: `${kind}-exceptions`,
        of,
        set: { labels: exceptions("root") },
        says: `${of}: its exceptions are no list in JSON: ${EXCEPTIONS}`,
        also: of === "swarmed" ? [`service-published-ports: swarmed: publishes the port 8080: ${PUBLISHES}`] : [],
      },
      {
        rule: `${kind}-exception-of-nothing`,
        of,
        set: { labels: exceptions([{ rule: "container-nonsense", why: "it is so" }]) },
        says: `${of}: excepts container-nonsense, which is no rule for it: take the exception away`,
        also: of === "swarmed" ? [`service-published-ports: swarmed: publishes the port 8080: ${PUBLISHES}`] : [],
      },
    ];
  }),

  {
    rule: "stack-public-entry-point",
    of: "edge",
    set: { "command.1": "--entryPoints.websecure.http.tls=false" },
    says: `edge: serves the public entry point websecure without TLS: ${ENTRY_POINT}`,
  },
  {
    rule: "stack-public-entry-point",
    of: "edge",
    set: { "command.2": "--entryPoints.websecure.http.middlewares=headers@file" },
    says: `edge: serves the public entry point websecure without a rate limit: ${ENTRY_POINT}`,
  },
  {
    rule: "stack-public-entry-point",
    of: "edge",
    set: { labels: labelList({ "bulkhead.pids": "64", "bulkhead.role": "edge" }) },
    says: `edge: serves the public entry point http without TLS: ${ENTRY_POINT}`,
  },
  {
    // What it answers redirects with needs no TLS, and a limit all the same.
    rule: "stack-public-entry-point",
    of: "edge",
    set: { "command.5": "--entryPoints.http.http.middlewares=headers@file" },
    says: `edge: serves the public entry point http without a rate limit: ${ENTRY_POINT}`,
  },
  {
    rule: "stack-compartment",
    of: "mail",
    set: { networksAdvanced: [{ name: "api-compartment" }] },
    says: `mail: is on the network api-compartment, which is for api alone: ${COMPARTMENT}`,
  },
  {
    rule: "stack-compartment",
    of: "report",
    set: { networksAdvanced: [{ name: "mail-egress" }] },
    says: `report: is on the network mail-egress, which is for mail alone: ${COMPARTMENT}`,
  },
  {
    rule: "stack-egress",
    of: "mail",
    set: { networksAdvanced: [{ name: "web" }] },
    says: `mail: reaches the internet by the network web, and does not say so: ${EGRESS}`,
  },
  {
    rule: "stack-compartment",
    of: "backup",
    set: { networksAdvanced: [{ name: "api-compartment" }] },
    says: `backup: is on the network api-compartment, which is for api alone: ${COMPARTMENT}`,
  },
  {
    rule: "stack-compartment",
    of: "edge",
    set: { networksAdvanced: [{ name: "api-egress" }] },
    says: `edge: is on the network api-egress, which is for api alone: ${COMPARTMENT}`,
  },
  {
    rule: "stack-egress",
    of: "api",
    set: { networksAdvanced: [{ name: "web" }] },
    says: `api: reaches the internet by the network web, and does not say so: ${EGRESS}`,
  },
  {
    rule: "stack-egress",
    of: "api-compartment",
    set: { internal: false },
    says: `api: reaches the internet by the network api-compartment, and does not say so: ${EGRESS}`,
  },
  {
    rule: "stack-database-internal",
    of: "data",
    set: { internal: false },
    says:
      "database: is a database and on the network data, which is not one of the stack's that is internal: " +
      "publish no port, and put it on networks with internal: true alone",
  },
  {
    rule: "stack-database-internal",
    of: "database",
    set: { ports: [{ ip: "127.0.0.1", external: 5432, internal: 5432 }] },
    says:
      "database: is a database and publishes the port 5432: " +
      "publish no port, and put it on networks with internal: true alone",
    also: [`container-published-ports: database: publishes the port 5432 of 127.0.0.1: ${PUBLISHES}`],
  },
  {
    rule: "stack-data-in-backup",
    of: "backup",
    set: { labels: labelList({ "bulkhead.pids": "64", "bulkhead.backs-up": "others" }) },
    says:
      "rows: holds data and is in no backup: " +
      "name it in the label bulkhead.backs-up of the container that backs it up, or except it if it can be made again",
  },
  {
    rule: "stack-backup-apart",
    of: "backup",
    set: { networksAdvanced: [{ name: "web" }] },
    says: `backup: reads data for a backup, and has a way out by the network web: ${APART}`,
  },
  {
    rule: "stack-backup-apart",
    of: "shipper",
    set: { mounts: [{ type: "volume", source: "rows", target: "/rows", readOnly: true }] },
    says: `shipper: sends backups, and mounts the volume rows, which holds data: ${APART}`,
  },
  {
    rule: "stack-backup-apart",
    of: "shipper",
    set: { volumes: [{ volumeName: "rows", containerPath: "/rows", readOnly: true }] },
    says: `shipper: sends backups, and mounts the volume rows, which holds data: ${APART}`,
  },
  {
    rule: "stack-zone-settings",
    of: "shop-ssl",
    set: { zoneId: "zone-3" },
    says:
      "shop-record: is served without a word on ssl: " +
      "set ssl, min_tls_version and always_use_https of its zone in the same stack",
  },
  {
    rule: "stack-zone-settings",
    of: "min_tls_version",
    set: { zoneId: "zone-3" },
    says:
      "record: is served without a word on min_tls_version: " +
      "set ssl, min_tls_version and always_use_https of its zone in the same stack",
  },
];

/** The compliant stack with other properties of one resource. */
function stackWith(name: string, set: Record<string, unknown>): Resource[] {
  const stack = compliantStack();
  const resource = stack.find((other) => other.name === name)!;
  for (const [path, value] of Object.entries(set)) {
    const keys = path.startsWith("opts.") ? path.split(".") : ["props", ...path.split(".")];
    const last = keys.pop()!;
    const parent = keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], resource);
    (parent as Record<string, unknown>)[last] = value;
  }
  return stack;
}

describe("a rule speaks of one broken property, and no other rule does", () => {
  test.each(broken.map((row) => [row.rule, JSON.stringify(row.set), row] as const))("%s: %s", (_, __, row) => {
    const { rule, of, set, says, also = [] } = row;
    const stack = stackWith(of, set);
    expect(violationsIn(stack).sort()).toEqual([`${rule}: ${says}`, ...also].sort());
  });
});

test("every rule has such a test", () => {
  const tested = new Set(broken.map(({ rule }) => rule));
  const names = [...resourceRules, ...stackRules].map(({ name }) => name);
  expect(names.filter((name) => !tested.has(name))).toEqual([]);
  expect([...tested].filter((name) => !names.includes(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
});

test("every rule says why and how, each in one sentence", () => {
  for (const { name, why, cure } of [...resourceRules, ...stackRules]) {
    expect(why, name).toMatch(/^[A-Z].*\.$/);
    expect(cure, name).toMatch(/^[a-z].*[^.]$/);
  }
});

test("no message holds the secret that it speaks of", () => {
  expect(broken.filter(({ says }) => /hunter2|ghp_/.test(says))).toEqual([]);
});

test("what Swarm has not are rules of containers", () => {
  const rows = workloadRows.map(({ name }) => name);
  expect(Object.keys(NOT_IN_SWARM).filter((name) => !rows.includes(name))).toEqual([]);
});

describe("no rule speaks of", () => {
  test.each<[string, string, Record<string, unknown>]>([
    ["an image that was built on the host", "web", { image: `sha256:${"0".repeat(64)}` }],
    ["the stand-in of an image", "web", { image: "bulkhead.local/node:0123456789abcdef" }],
    ["a stop by hand that holds", "web", { restart: "unless-stopped" }],
    ["logs that go elsewhere", "web", { logDriver: "journald", logOpts: undefined }],
    ["a container without a network", "web", { networksAdvanced: [], networkMode: "none" }],
    ["the short word for no new privileges", "web", { securityOpts: ["no-new-privileges"] }],
    [
      "a setting that only sounds like a secret",
      "web",
      { envs: ["MONKEY=1", "TOKEN_PATH=x", "URL=https://a.b/c:d", "TOKEN=/run/token", "API_KEY=$FILE"] },
    ],
    ["a secret that a script reads from a file", "web", { command: ["app --password=$(cat /run/secrets/p)"] }],
    [
      "a replica of a program",
      "api",
      { "labels.1.value": "api-2", "labels.3": { label: "bulkhead.for", value: "api" } },
    ],
    ["a network by its id", "database", { networksAdvanced: [{ name: "data-id" }] }],
    ["a redirect to HTTPS", "edge", { "command.1": "--entryPoints.websecure.http.redirections.entryPoint.to=other" }],
    ["TLS by a resolver", "edge", { "command.1": "--entryPoints.websecure.http.tls.certResolver=acme" }],
    [
      "a port on every address that is declared so",
      "door",
      {
        "ports.0.ip": "::",
        labels: labelList({ "bulkhead.pids": "64", "bulkhead.publishes": "[::]:443 203.0.113.10:80" }),
      },
    ],
    [
      "a UDP port that is declared",
      "door",
      {
        "ports.0.protocol": "udp",
        labels: labelList({ "bulkhead.pids": "64", "bulkhead.publishes": "203.0.113.10:443/udp 203.0.113.10:80" }),
      },
    ],
    ["an overlay that is encrypted by a word alone", "swarm", { options: { encrypted: "" } }],
    ["a volume on another host", "files", { driverOpts: { type: "nfs", o: "addr=192.0.2.1", device: ":/files" } }],
    ["data that is retained", "rows", { "opts.protect": false, labels: labelList(RETAINED) }],
    ["an engine over TCP with certificates", "docker", { host: "tcp://192.0.2.1:2376", certPath: "certificates" }],
    ["a record that leads no client", "tunnel-record", { comment: undefined, name: "_acme-challenge.example.com" }],
    ["a record of text", "tunnel-record", { comment: undefined, type: "TXT" }],
    [
      "what a token may not do",
      "account-token",
      { "policies.1": { effect: "deny", resources: '{"com.cloudflare.api.account.*": "*"}' } },
    ],
    [
      "one zone of an account",
      "account-token",
      { "policies.0.resources": { "com.cloudflare.api.account.a": { "com.cloudflare.api.account.zone.z": "*" } } },
    ],
  ])("%s", (_, of, set) => {
    expect(violationsIn(stackWith(of, set))).toEqual([]);
  });
});
