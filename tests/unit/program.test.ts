import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as docker from "@pulumi/docker/container.js";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import { invariants } from "../../testing/invariants.ts";
import { s3Key } from "../../testing/secret-invariants.ts";
import {
  container,
  hex,
  label,
  record,
  type ContainerInputs,
  type Recorded,
  type Recording,
} from "../../testing/recorder.ts";
import {
  constructionsInApply,
  containerConstructions,
  programSource,
  projectDirectory,
  unresolvedImports,
  type Source,
} from "./source.ts";
import { decrypted, readStack, recordStack, stacks, TEST_SECRET, withTunnel } from "./stacks.ts";

test("the repository's stacks are found", () => {
  expect(stacks).toEqual(expect.arrayContaining(["local", "prod"]));
});

test("a stack's secrets are those of the test, and its other values text", () => {
  const given = {
    "reach:a": "text",
    "reach:b": { secure: "v1:x" },
    "reach:c": { deep: [{ secure: "v1:y" }], n: 1 },
    "reach:d": 2,
  };
  expect(decrypted(given)).toEqual({
    config: {
      "reach:a": "text",
      "reach:b": TEST_SECRET,
      "reach:c": `{"deep":["${TEST_SECRET}"],"n":1}`,
      "reach:d": "2",
    },
    secretKeys: ["reach:b", "reach:c"],
  });
});

describe.each(stacks)("the program in the stack %s", (stack) => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await recordStack(stack);
  });

  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(recording)).toEqual([]);
  });

  test("a courier carries each secret of the stack", () => {
    const carried = recording.resources.flatMap(({ inputs }) =>
      ((inputs["uploads"] ?? []) as { content: string }[]).map(({ content }) => content),
    );
    // The key of fingerprints stays with Pulumi, and so does the token with which it works at Cloudflare.
    const pulumisOwn = [hex("generated host-fingerprint-key", 32)];
    if ("reach:cloudflare" in readStack(stack).config) pulumisOwn.push(TEST_SECRET);
    const secrets = recording.secrets.filter((secret) => !pulumisOwn.includes(secret));
    expect(secrets.length).toBe(recording.secrets.length - pulumisOwn.length);
    expect(secrets.length).toBeGreaterThan(1);
    // A token for a bucket goes to its reader as the key that is made of it.
    expect(secrets.filter((secret) => !carried.includes(secret) && !carried.includes(s3Key(secret)))).toEqual([]);
  });

  test("says where it is to be found", () => {
    const { edge, domain } = Object.fromEntries(
      Object.entries(readStack(stack).config).map(([key, value]) => [key.replace("reach:", ""), value]),
    ) as { domain: string; edge: { httpsPort?: number } };
    const url = edge.httpsPort === undefined ? `https://${domain}` : `https://${domain}:${edge.httpsPort}`;
    expect(recording.outputs).toMatchObject({
      url,
      services: {
        backend: { container: `reach-${stack}-backend-${hex("backend", 7)}`, url: `${url}/api` },
        frontend: { container: `reach-${stack}-frontend-${hex("frontend", 7)}`, url: `${url}/` },
        edge: { container: `reach-${stack}-edge-${hex("edge", 7)}` },
        door: { container: `reach-${stack}-edge-door-${hex("edge-door", 7)}` },
      },
    });
  });
});

describe("the program in a stack with a tunnel", () => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await recordStack("prod", withTunnel);
  });

  test.each(Object.entries(invariants))("%s", (_, complaintsOf) => {
    expect(complaintsOf(recording)).toEqual([]);
  });

  test("says where it is to be found", () => {
    expect(recording.outputs).toMatchObject({ url: "https://reach.example.com" });
  });

  test("names no CA beside the CNAME record, which none may be", async () => {
    const named = ({ resources }: Recording) =>
      resources.filter(({ inputs }) => inputs["type"] === "CAA").map(({ inputs }) => inputs["name"]);
    expect(named(recording)).toEqual([]);
    expect(named(await recordStack("prod"))).toEqual(["reach.example.com", "reach.example.com"]);
    // There they would bind all names of the zone.
    const atTheTop = await recordStack("prod", (given) => ({ ...given, "reach:domain": "example.com" }));
    expect(named(atTheTop)).toEqual([]);
  });

  test("leads its name there when the tunnel is open", () => {
    const [dns] = recording.resources.filter(({ type }) => type === "bulkhead:index:Dns");
    expect(dns!.options.dependencies).toContain(container(recording, "tunnel").urn);
  });
});

test("a service that hangs is left alone where its stack says so", async () => {
  const alone = { "reach:backend": { reviveAfterHangs: 0 }, "reach:frontend": { reviveAfterHangs: 9 } };
  const recording = await recordStack("prod", (given) => ({ ...given, ...alone }));
  const tests = (name: string) => container(recording, name).inputs.healthcheck!.tests!;
  expect(tests("backend")).toEqual(["CMD", "bash", "health.sh"]);
  expect(tests("frontend").slice(4)).toEqual(["health", "9", "bash", "health.sh"]);
});

describe("an invariant complains of one broken property", () => {
  let sound: Recording;
  let tunneled: Recording;
  beforeAll(async () => {
    sound = await recordStack("prod");
    tunneled = await recordStack("prod", withTunnel);
  });

  type Container = Recorded<ContainerInputs>;
  interface Row {
    invariant: string;
    breaks: string;
    /** @default what is open to clients */
    with?: "tunnel";
    /** A container and what becomes of it, or the whole recording. */
    in?: string;
    by: (container: Container, recording: Recording) => void;
    complaint: string | string[];
  }
  const resource = ({ resources }: Recording, name: string) => resources.filter((other) => other.name === name).at(-1)!;
  const RECORD = "dns-reach.example.com-203.0.113.10";
  const setRules = (recording: Recording, rules: object[]) =>
    (resource(recording, "zone-cache").inputs["rules"] = rules);
  const firstRule = (recording: Recording) =>
    (resource(recording, "tunnel-config").inputs["config"] as { ingresses: Rule[] }).ingresses[0]!;
  interface Rule {
    service: string;
    originRequest: { noTlsVerify?: boolean; originServerName?: string };
  }
  const setLabel = ({ inputs }: Container, name: string, value: string) => {
    inputs.labels!.find((entry) => entry.label === name)!.value = value;
  };

  const secret = "a secret is only in a courier's upload or a provider, and marked as a secret there";
  const record = "no record shows the host's address without a reason";
  const strictTls = "a name at Cloudflare is served with strict TLS";
  const cache = "Cloudflare's caches hold nothing but static files";
  const bridge = "no container is on the default bridge or in another's network";
  const ports = "only the door publishes ports, and each is bound to an address";
  const limits = "memory is limited, with no swap beyond it";
  const cpu = "CPU time is limited";
  const pids = "processes are limited";
  const health = "health is checked and waited for";
  const capability = "a container has no capability but those with a reason";
  const privileges = "a container can gain no privileges";
  const root = "the root file system is read-only, or there is a reason";
  const user = "the user is not root, or there is a reason";
  const exception = "every exception is known and has a reason";
  const tmpfs = "every tmpfs has a size and runs nothing";
  const init = "an init reaps, stops take their time, and logs are rotated";
  const restart = "a service restarts always, and a job and a courier never";
  const replaced = "a container is made before the old one goes, unless it holds ports";
  const image = "every image is pinned";
  const mount = "nothing of the host is mounted";
  const volume = "a volume with data is retained, and no volume is elsewhere";
  const owner = "everything on the host says whose it is";
  const internal = "no network has a way out but door, proxy, tunnel and those named egress";
  const upload = "every uploaded file is for one reader alone";
  const compartment = "a program's networks are for it, its job and the edge alone, and proxy is the edge's";
  const reaches =
    "the edge reaches no network but door, proxy and those with programs, and the door none but door and tunnel";
  const tunnelNetwork = "only the door and a connector are on the tunnel's network, and the connector on no other";
  const tunnelAlone = "a stack with a tunnel publishes no port, and its names lead there alone";
  const tunnelEnd = "a tunnel leads to the door, whose certificate is checked, and nowhere else";

  const rows: Row[] = [
    {
      invariant: "a route that asks who may pass has no hash in it, and answers 503 where it cannot ask",
      breaks: "users in the route itself",
      in: "backend-route-job",
      by: ({ inputs }) => {
        const content = { http: { middlewares: { "backend-auth": { basicAuth: { users: ["ann:$2b$04$x"] } } } } };
        inputs.envs = [`ROUTE=${JSON.stringify(content)}`];
      },
      complaint: "backend-route-job: has users in backend-auth",
    },
    {
      invariant: secret,
      breaks: "in a provider, in clear",
      by: (_, recording) => (resource(recording, "cloudflare-provider").secretPaths = []),
      complaint: "cloudflare-provider: apiToken holds a secret and is not marked as one",
    },
    {
      invariant: secret,
      breaks: "in a DNS record",
      by: (_, recording) => (resource(recording, RECORD).inputs["comment"] = TEST_SECRET),
      complaint: `${RECORD}: comment holds a secret`,
    },
    {
      invariant: record,
      breaks: "a record that is not proxied",
      by: (_, recording) => (resource(recording, RECORD).inputs["proxied"] = false),
      complaint: `${RECORD}: has proxied: false and the comment of reach-prod`,
    },
    {
      invariant: strictTls,
      breaks: "an origin that is not checked",
      by: (_, recording) => (resource(recording, "zone-ssl").inputs["value"] = "full"),
      complaint: 'the zone has ssl: "full"',
    },
    {
      invariant: strictTls,
      breaks: "no word about old TLS",
      by: (_, recording) =>
        (recording.resources = recording.resources.filter(({ name }) => name !== "zone-min-tls-version")),
      complaint: "the zone has min_tls_version: undefined",
    },
    {
      invariant: cache,
      breaks: "a rule for everything",
      by: (_, recording) => setRules(recording, [{ expression: "true", actionParameters: { cache: true } }]),
      complaint: ["zone-cache: caches true", "zone-cache: has no rule for the rest"],
    },
    {
      invariant: "everything at Cloudflare goes through the stack's own account",
      breaks: "the token of the environment",
      by: (_, recording) => (resource(recording, RECORD).provider = ""),
      complaint: `${RECORD}: has no provider`,
    },
    {
      invariant: secret,
      breaks: "in the environment",
      by: ({ inputs }) => inputs.envs!.push(`TOKEN=${TEST_SECRET}`),
      complaint: "backend: envs.7 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in the environment, in base64",
      by: ({ inputs }) => inputs.envs!.push(`TOKEN=${btoa(TEST_SECRET)}`),
      complaint: "backend: envs.7 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in a label",
      by: ({ inputs }) => inputs.labels!.push({ label: "token", value: TEST_SECRET }),
      complaint: "backend: labels.4.value holds a secret",
    },
    {
      invariant: secret,
      breaks: "in the command",
      by: ({ inputs }) => (inputs.command = ["--token", TEST_SECRET]),
      complaint: "backend: command.1 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in the entry point",
      by: ({ inputs }) => (inputs.entrypoints = [`/${TEST_SECRET}`]),
      complaint: "backend: entrypoints.0 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in the health check",
      by: ({ inputs }) => inputs.healthcheck!.tests!.push(TEST_SECRET),
      complaint: "backend: healthcheck.tests.8 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in a name",
      by: ({ inputs }) => (inputs.name = `backend-${TEST_SECRET}`),
      complaint: "backend: name holds a secret",
    },
    {
      invariant: secret,
      breaks: "in the key of an option",
      by: ({ inputs }) => (inputs.tmpfs![`/${TEST_SECRET}`] = ""),
      complaint: `backend: tmpfs./${TEST_SECRET} holds a secret`,
    },
    {
      invariant: secret,
      breaks: "in a volume",
      by: (_, recording) => (resource(recording, "edge-routes-2").inputs["driverOpts"] = { token: TEST_SECRET }),
      complaint: "edge-routes-2: driverOpts.token holds a secret",
    },
    {
      invariant: secret,
      breaks: "in a network",
      by: (_, recording) => (resource(recording, "networks-web-2").inputs["name"] = TEST_SECRET),
      complaint: "networks-web-2: name holds a secret",
    },
    {
      invariant: secret,
      breaks: "in an image's build",
      by: (_, recording) =>
        (resource(recording, "backend-image").inputs["build"] = { buildArgs: { TOKEN: TEST_SECRET } }),
      complaint: "backend-image: build.buildArgs.TOKEN holds a secret",
    },
    {
      invariant: secret,
      breaks: "one line of a key",
      by: ({ inputs }, recording) => {
        recording.secrets.push("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n");
        inputs.envs!.push("KEY=MIGHAgEAMBMGByqGSM49");
      },
      complaint: "backend: envs.7 holds a secret",
    },
    {
      invariant: secret,
      breaks: "in what a component says of itself",
      by: (_, recording) => (recording.resources[0]!.outputs["token"] = TEST_SECRET),
      complaint: "reach-prod: the output token holds a secret",
    },
    {
      invariant: secret,
      breaks: "in what replaces a resource, which is kept in clear",
      by: (_, recording) =>
        (resource(recording, "edge-secrets-files").options.replacementTrigger = {
          value: TEST_SECRET,
          isSecret: false,
        }),
      complaint: "edge-secrets-files: the replacement trigger holds a secret",
    },
    {
      invariant: secret,
      breaks: "made of one",
      by: ({ secretPaths }) => secretPaths.push("envs.0"),
      complaint: "backend: envs.0 is made of a secret",
    },
    {
      invariant: secret,
      breaks: "in an upload in clear",
      in: "edge-secrets-courier",
      by: (courier) => (courier.secretPaths = []),
      complaint: "edge-secrets-courier: uploads.0.content holds a secret and is not marked as one",
    },
    {
      invariant: secret,
      breaks: "in an upload of what runs",
      in: "edge-secrets-courier",
      by: ({ inputs }) => (inputs.start = true),
      complaint: [
        "edge-secrets-courier: uploads.0.content holds a secret",
        "edge-secrets-courier: uploads.0.content is made of a secret",
      ],
    },
    {
      invariant: upload,
      breaks: "others may read it",
      in: "edge-secrets-courier",
      by: ({ inputs }) => (inputs.uploads![0]!.permissions = "0444"),
      complaint: "edge-secrets-courier: /bulkhead/cf_dns_api_token has the mode 0444",
    },
    {
      invariant: upload,
      breaks: "it belongs to root",
      in: "edge-secrets-courier",
      by: ({ inputs }) => Object.assign(inputs.uploads![0]!, { owner: "0", group: "0" }),
      complaint: "edge-secrets-courier: /bulkhead/cf_dns_api_token belongs to 0:0",
    },
    {
      invariant: bridge,
      breaks: "no network is named",
      by: ({ inputs }) => Object.assign(inputs, { networksAdvanced: [], networkMode: undefined }),
      complaint: "backend: has no network and the mode undefined",
    },
    ...["bridge", "host", "container:edge"].map((mode) => ({
      invariant: bridge,
      breaks: `the mode is ${mode}`,
      by: ({ inputs }: Container) => void (inputs.networkMode = mode),
      complaint: `backend: has the network mode ${mode}`,
    })),
    {
      invariant: bridge,
      breaks: "the mode is host and no network is named",
      by: ({ inputs }) => Object.assign(inputs, { networksAdvanced: [], networkMode: "host" }),
      complaint: "backend: has no network and the mode host",
    },
    {
      invariant: bridge,
      breaks: "the network is another stack's",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-local-web" }),
      complaint: "backend: is on the network reach-local-web, which is not the stack's",
    },
    {
      invariant: ports,
      breaks: "a service publishes a port",
      by: ({ inputs }) => inputs.ports!.push({ ip: "127.0.0.1", external: 8765, internal: 8765 }),
      complaint: "backend: publishes 8765 and is not the door",
    },
    {
      invariant: ports,
      breaks: "the door publishes on no address",
      in: "edge-door",
      by: ({ inputs }) => delete inputs.ports![1]!.ip,
      complaint: "edge-door: publishes 443 on no address",
    },
    {
      invariant: ports,
      breaks: "a service says that it may",
      by: ({ inputs }) => inputs.labels!.push({ label: "bulkhead.publishes", value: "127.0.0.1:8765" }),
      complaint: "backend: may publish ports and is not the door",
    },
    {
      invariant: "only the door, the edge and cutover jobs are on the door's network",
      breaks: "a service is there",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-door" }),
      complaint: "backend: is on the network door, whose members are believed what they say of a client's address",
    },
    {
      invariant: reaches,
      breaks: "the edge is on internal",
      in: "edge",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-internal" }),
      complaint: "edge: is on the network internal",
    },
    {
      invariant: reaches,
      breaks: "the door is on proxy",
      in: "edge-door",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-proxy" }),
      complaint: "edge-door: is on the network proxy",
    },
    {
      invariant: compartment,
      breaks: "a service is on another's network",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-frontend-edge" }),
      complaint: "backend: is on the network frontend-edge, which is another's",
    },
    {
      invariant: compartment,
      breaks: "a service is on proxy",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-proxy" }),
      complaint: "backend: is on the network proxy, which is another's",
    },
    {
      invariant: internal,
      breaks: "a service's network has a way out",
      by: (_, recording) => (resource(recording, "networks-backend-edge").inputs["internal"] = false),
      complaint: "networks-backend-edge: has internal: false",
    },
    {
      invariant: tunnelNetwork,
      breaks: "a service is there",
      with: "tunnel",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-tunnel" }),
      complaint: "backend: is on the network tunnel, whose members are believed whose request it is",
    },
    {
      invariant: tunnelNetwork,
      breaks: "the connector is on web",
      with: "tunnel",
      in: "tunnel",
      by: ({ inputs }) => inputs.networksAdvanced!.push({ name: "reach-prod-web" }),
      complaint: "tunnel: is on the network web",
    },
    {
      invariant: tunnelAlone,
      breaks: "a port is open besides",
      with: "tunnel",
      in: "edge-door",
      by: ({ inputs }) => (inputs.ports = [{ ip: "203.0.113.10", external: 443, internal: 8443 }]),
      complaint: "edge-door: publishes 443 beside the tunnel",
    },
    {
      invariant: tunnelAlone,
      breaks: "a name shows an address",
      with: "tunnel",
      by: (_, recording) => (resource(recording, "dns-reach.example.com-tunnel").inputs["content"] = "203.0.113.10"),
      complaint: "dns-reach.example.com-tunnel: leads to 203.0.113.10",
    },
    {
      invariant: tunnelEnd,
      breaks: "it leads to a service",
      with: "tunnel",
      by: (_, recording) => (firstRule(recording).service = "http://backend:8765"),
      complaint: "tunnel-config: leads to http://backend:8765",
    },
    {
      invariant: tunnelEnd,
      breaks: "any certificate will do",
      with: "tunnel",
      by: (_, recording) => (firstRule(recording).originRequest.noTlsVerify = true),
      complaint: "tunnel-config: checks no certificate",
    },
    {
      invariant: tunnelEnd,
      breaks: "a certificate of any name will do",
      with: "tunnel",
      by: (_, recording) => delete firstRule(recording).originRequest.originServerName,
      complaint: "tunnel-config: does not ask for the certificate of reach.example.com",
    },
    {
      invariant: secret,
      breaks: "the tunnel's token is an argument",
      with: "tunnel",
      in: "tunnel",
      by: ({ inputs }, { secrets }) => inputs.command!.push(secrets.at(-1)!),
      complaint: "tunnel: command.8 holds a secret",
    },
    {
      invariant: internal,
      breaks: "it has a way out",
      by: (_, recording) => (resource(recording, "networks-internal").inputs["internal"] = false),
      complaint: "networks-internal: has internal: false",
    },
    {
      invariant: internal,
      breaks: "another driver",
      by: (_, recording) => (resource(recording, "networks-web-2").inputs["driver"] = "host"),
      complaint: "networks-web-2: has the driver host",
    },
    {
      invariant: internal,
      breaks: "anything may join",
      by: (_, recording) => (resource(recording, "networks-web-2").inputs["attachable"] = true),
      complaint: "networks-web-2: can be joined from elsewhere",
    },
    {
      invariant: limits,
      breaks: "no limit",
      by: ({ inputs }) => Object.assign(inputs, { memory: undefined, memorySwap: undefined }),
      complaint: "backend: has the memory limit undefined",
    },
    {
      invariant: limits,
      breaks: "swap",
      by: ({ inputs }) => (inputs.memorySwap = 2048),
      complaint: "backend: has the memory limit 1024 and with swap 2048",
    },
    {
      invariant: cpu,
      breaks: "no limit",
      by: ({ inputs }) => delete inputs.cpus,
      complaint: "backend: has the CPU limit undefined",
    },
    {
      invariant: cpu,
      breaks: "a limit of 0",
      by: ({ inputs }) => (inputs.cpus = "0.0"),
      complaint: "backend: has the CPU limit 0.0",
    },
    {
      invariant: cpu,
      breaks: "a spelling that never settles",
      by: ({ inputs }) => (inputs.cpus = "2"),
      complaint: "backend: has the CPU limit 2",
    },
    {
      invariant: pids,
      breaks: "no limit",
      by: (backend) => setLabel(backend, "bulkhead.pids", "-1"),
      complaint: "backend: has the label bulkhead.pids: -1",
    },
    {
      invariant: health,
      breaks: "no check",
      by: ({ inputs }) => delete inputs.healthcheck,
      complaint: "backend: has the health check undefined",
    },
    {
      invariant: health,
      breaks: "a check that is none",
      by: ({ inputs }) => (inputs.healthcheck!.tests = ["NONE"]),
      complaint: 'backend: has the health check ["NONE"]',
    },
    {
      invariant: health,
      breaks: "no wait",
      by: ({ inputs }) => (inputs.wait = false),
      complaint: "backend: is not waited for",
    },
    {
      invariant: health,
      breaks: "no time to wait",
      by: ({ inputs }) => (inputs.waitTimeout = 0),
      complaint: "backend: is waited for 0 s",
    },
    {
      invariant: "a container that does not come up says why",
      breaks: "no hook",
      by: ({ options }) => (options.hooks.onError = []),
      complaint: "backend: fails without a word",
    },
    {
      invariant: "a hook runs once for a container",
      breaks: "one twice",
      by: ({ options }) => options.hooks.beforeCreate.push("host-watch"),
      complaint: "backend: has the hook host-watch more than once",
    },
    {
      invariant: capability,
      breaks: "all but one are dropped",
      by: ({ inputs }) => (inputs.capabilities!.drops = ["NET_RAW"]),
      complaint: "backend: drops NET_RAW",
    },
    {
      invariant: capability,
      breaks: "none is dropped",
      by: ({ inputs }) => delete inputs.capabilities,
      complaint: "backend: drops no capability",
    },
    {
      invariant: capability,
      breaks: "one without an exception",
      by: ({ inputs }) => inputs.capabilities!.adds!.push("SYS_ADMIN"),
      complaint: "backend: has SYS_ADMIN without an exception",
    },
    {
      invariant: capability,
      breaks: "an exception without it",
      in: "edge-acme-file",
      by: ({ inputs }) => (inputs.capabilities!.adds = []),
      complaint: "edge-acme-file: has an exception for CHOWN, which it has not",
    },
    {
      invariant: privileges,
      breaks: "new privileges",
      by: ({ inputs }) => (inputs.securityOpts = []),
      complaint: "backend: has the security options ",
    },
    {
      invariant: privileges,
      breaks: "another option",
      by: ({ inputs }) => inputs.securityOpts!.push("seccomp=unconfined"),
      complaint: "backend: has the security options no-new-privileges:true,seccomp=unconfined",
    },
    {
      invariant: privileges,
      breaks: "all privileges",
      by: ({ inputs }) => (inputs.privileged = true),
      complaint: "backend: has privileged: true",
    },
    {
      invariant: root,
      breaks: "writable",
      by: ({ inputs }) => (inputs.readOnly = false),
      complaint: "backend: has a writable root",
    },
    {
      invariant: root,
      breaks: "not said",
      by: ({ inputs }) => delete inputs.readOnly,
      complaint: "backend: has a writable root",
    },
    {
      invariant: root,
      breaks: "an exception that is not used",
      in: "edge-secrets-courier",
      by: ({ inputs }) => (inputs.readOnly = true),
      complaint: "edge-secrets-courier: has an exception for a writable root, and a read-only one",
    },
    ...["0:0", "00", "root", ""].map((name) => ({
      invariant: user,
      breaks: `"${name}"`,
      by: ({ inputs }: Container) => void (inputs.user = name),
      complaint: `backend: runs as the user "${name}"`,
    })),
    {
      invariant: user,
      breaks: "not said",
      by: ({ inputs }) => delete inputs.user,
      complaint: 'backend: runs as the user ""',
    },
    {
      invariant: user,
      breaks: "an exception that is not used",
      in: "backend-route-job",
      by: ({ inputs }) => (inputs.user = "1000:1000"),
      complaint: "backend-route-job: has an exception for root, and the user 1000:1000",
    },
    {
      invariant: exception,
      breaks: "no reason",
      in: "backend-route-job",
      by: (job) => setLabel(job, "bulkhead.exceptions", '[{"rootUser":true,"why":""}]'),
      complaint: 'backend-route-job: has the exception {"rootUser":true} without a reason',
    },
    {
      invariant: exception,
      breaks: "one that nobody knows",
      in: "backend-route-job",
      by: (job) => setLabel(job, "bulkhead.exceptions", '[{"hostNetwork":true,"why":"because it is so"}]'),
      complaint: 'backend-route-job: has the unknown exception {"hostNetwork":true}',
    },
    ...["noexec", "nosuid", "nodev", "size=16m"].map((option) => ({
      invariant: tmpfs,
      breaks: `no ${option}`,
      by: ({ inputs }: Container) => void (inputs.tmpfs!["/tmp"] = inputs.tmpfs!["/tmp"]!.replace(`,${option}`, "")),
      complaint: `backend: has the tmpfs /tmp without ${option.replace("=16m", "")}`,
    })),
    { invariant: init, breaks: "no init", by: ({ inputs }) => delete inputs.init, complaint: "backend: has no init" },
    {
      invariant: init,
      breaks: "no grace",
      by: ({ inputs }) => delete inputs.destroyGraceSeconds,
      complaint: "backend: is killed without grace",
    },
    {
      invariant: init,
      breaks: "another log driver",
      by: ({ inputs }) => (inputs.logDriver = "none"),
      complaint: "backend: logs to none",
    },
    {
      invariant: init,
      breaks: "logs that grow",
      by: ({ inputs }) => delete inputs.logOpts!["max-size"],
      complaint: 'backend: has the log options {"max-file":"3"}',
    },
    {
      invariant: restart,
      breaks: "a service that stays away",
      by: ({ inputs }) => (inputs.restart = "unless-stopped"),
      complaint: "backend: is a service and has restart: unless-stopped",
    },
    {
      invariant: restart,
      breaks: "a job that begins again",
      in: "backend-route-job",
      by: ({ inputs }) => (inputs.restart = "on-failure"),
      complaint: "backend-route-job: is a job and has restart: on-failure",
    },
    {
      invariant: restart,
      breaks: "a courier that may start",
      in: "edge-secrets-courier",
      by: ({ inputs }) => (inputs.restart = "always"),
      complaint: "edge-secrets-courier: is a courier and has restart: always",
    },
    {
      invariant: replaced,
      breaks: "deleted first",
      by: ({ options }) => (options.deleteBeforeReplace = true),
      complaint: "backend: has deleteBeforeReplace: true",
    },
    {
      invariant: replaced,
      breaks: "two that hold one port",
      in: "edge-door",
      by: ({ options }) => (options.deleteBeforeReplace = false),
      complaint: "edge-door: has deleteBeforeReplace: false",
    },
    {
      invariant: replaced,
      breaks: "a name that only one can have",
      by: ({ inputs }) => (inputs.name = "backend"),
      complaint: "backend: has the fixed name backend",
    },
    {
      invariant: replaced,
      breaks: "a change that is not made",
      by: ({ options }) => (options.replaceOnChanges = ["healthcheck", "init", "mounts", "#initerror"]),
      complaint: "backend: is not replaced for tmpfs, which the provider would take for an update and not make",
    },
    {
      invariant: "the kernel is told of the edge's buffers, and of nothing else",
      breaks: "buffers of another one",
      by: ({ inputs }) => (inputs.sysctls = { "net.ipv4.tcp_wmem": "4096 16384 4194304" }),
      complaint: "backend: sets net.ipv4.tcp_wmem",
    },
    {
      invariant: "the kernel is told of the edge's buffers, and of nothing else",
      breaks: "something else",
      in: "edge",
      by: ({ inputs }) => (inputs.sysctls = { ...inputs.sysctls, "net.ipv4.ip_forward": "1" }),
      complaint: "edge: sets net.ipv4.ip_forward",
    },
    {
      invariant: "a container has no setting that no invariant judges",
      breaks: "a new setting",
      by: ({ inputs }) => (inputs.pidMode = "host"),
      complaint: "backend: sets pidMode",
    },
    {
      invariant: image,
      breaks: "a tag alone",
      in: "edge",
      by: ({ inputs }) => (inputs.image = "traefik:v3.7"),
      complaint: "edge: has the image traefik:v3.7",
    },
    {
      invariant: image,
      breaks: "a stand-in without the key of its recipe",
      in: "edge",
      by: ({ inputs }) => (inputs.image = "bulkhead.local/traefik:latest"),
      complaint: "edge: has the image bulkhead.local/traefik:latest",
    },
    {
      invariant: image,
      breaks: "a base image by its tag",
      by: (_, recording) =>
        (resource(recording, "backend-image").inputs["build"] = {
          context: "apps/backend",
          buildArgs: { PYTHON_IMAGE: "python:3.12" },
        }),
      complaint: "backend-image: is built from python:3.12, without a digest",
    },
    {
      invariant: image,
      breaks: "a pull by tag",
      by: (_, recording) =>
        Object.assign(resource(recording, "backend-image").inputs, { build: undefined, name: "x:1" }),
      complaint: "backend-image: pulls x:1",
    },
    {
      invariant: mount,
      breaks: "a path of the host",
      by: ({ inputs }) =>
        inputs.volumes!.push({ ...inputs.volumes![0]!, hostPath: "/etc", containerPath: "/host", readOnly: true }),
      complaint: "backend: mounts /etc",
    },
    {
      invariant: mount,
      breaks: "Docker's socket, as the name of a volume",
      by: ({ inputs }) =>
        inputs.volumes!.push({ volumeName: "/var/run/docker.sock", containerPath: "/var/run/docker.sock" }),
      complaint: [
        "backend: mounts /var/run/docker.sock, which is no volume of the stack",
        "backend: has a mount at /var/run/docker.sock",
      ],
    },
    {
      invariant: mount,
      breaks: "another stack's volume",
      by: ({ inputs }) => (inputs.volumes![0]!.volumeName = "reach-local-routes"),
      complaint: "backend: mounts reach-local-routes, which is no volume of the stack",
    },
    {
      invariant:
        "a service writes to no volume but one with data, which is retained, and a scheduled job to its schedule",
      breaks: "writable secrets",
      by: ({ inputs }) => (inputs.volumes![0]!.readOnly = false),
      complaint: `backend: may write to reach-prod-backend-secrets-files-${hex("backend-secrets-files", 7)} at /run/secrets`,
    },
    {
      invariant: "a volume with data is mounted as it is, with nothing of an image copied into it",
      breaks: "a mount into which the image is copied",
      by: ({ inputs }, { stackName }) =>
        (inputs.mounts = [{ type: "volume", source: `${stackName}-acme`, target: "/acme", readOnly: true }]),
      complaint: "backend: mounts reach-prod-acme, into which Docker copies what the image has there",
    },
    {
      invariant: volume,
      breaks: "data that goes with the stack",
      by: (_, recording) => (resource(recording, "edge-acme").options.retainOnDelete = false),
      complaint: [
        "edge-acme: holds data and is deleted with the stack",
        "edge-acme: says that it is retained, and is deleted with the stack",
      ],
    },
    {
      invariant: volume,
      breaks: "a folder of the host behind it",
      by: (_, recording) =>
        (resource(recording, "edge-routes-2").inputs["driverOpts"] = { type: "none", o: "bind", device: "/etc" }),
      complaint: "edge-routes-2: has the driver of the options",
    },
    {
      invariant: owner,
      breaks: "no label",
      by: ({ inputs }) => (inputs.labels = []),
      complaint: "backend: has the label bulkhead.stack: undefined",
    },
    {
      invariant: owner,
      breaks: "a name that two stacks would have",
      by: (_, recording) => (resource(recording, "networks-web-2").inputs["name"] = "web"),
      complaint: "networks-web-2: has the name web, which another stack may have",
    },
    {
      invariant: "everything goes to the stack's own host",
      breaks: "the default provider",
      by: (backend) => (backend.provider = ""),
      complaint: "backend: has no provider",
    },
    {
      invariant: "a database is on networks of databases alone, and ends before another one starts",
      breaks: "a service for a database",
      by: (backend, { resources }) => {
        resources.push({ ...resources.find(({ urn }) => urn === backend.parent)!, type: "bulkhead:index:Postgres" });
        backend.inputs.networksAdvanced = [{ name: "reach-prod-web" }];
      },
      complaint: ["backend: is on the network web", "backend: starts beside the one before it"],
    },
    {
      invariant: "a child's name begins with its parent's",
      breaks: "a name of its own",
      by: (backend) => (backend.name = "api"),
      complaint: "api: is the child of backend",
    },
  ];

  test.each(rows)("$invariant: $breaks", ({ invariant, with: stack, in: name = "backend", by, complaint }) => {
    const whole = stack === "tunnel" ? tunneled : sound;
    const broken = { ...whole, resources: structuredClone(whole.resources), secrets: [...whole.secrets] };
    by(container(broken, name), broken);
    expect(invariants[invariant]!(broken)).toEqual([complaint].flat());
  });

  test("each of them", () => {
    const tried = new Set(rows.map(({ invariant }) => invariant));
    expect(Object.keys(invariants).filter((name) => !tried.has(name))).toEqual([]);
  });
});

describe("the source of the program", () => {
  const source = programSource();

  test("constructs docker.Container in one place", () => {
    expect(containerConstructions(source)).toEqual([
      expect.stringMatching(/^components\/host\/container\.ts: line \d+$/),
    ]);
  });

  test.each([
    'import * as docker from "@pulumi/docker/container.js";\nnew docker.Container("a", {});',
    'import * as other from "@pulumi/docker";\nnew other.Container("a", {});',
    'import { Container } from "@pulumi/docker/container.js";\nnew Container("a", {});',
  ])("a second place is seen: %s", (text) => {
    expect(containerConstructions({ "components/second.ts": text })).toEqual(["components/second.ts: line 2"]);
  });

  test("constructs no resource in an .apply", () => {
    expect(constructionsInApply(source)).toEqual([]);
  });

  test.each<[string, string]>([
    ["image.apply((id) => new docker.Container(id, {}));", "docker.Container"],
    ["pulumi.all([image]).apply(([id]) => { if (id) { return new Courier(id, {}); } });", "Courier"],
    ["image.apply(make);\nfunction make(id) { return new Courier(id, {}); }", "Courier"],
    [
      "const make = (id) => deeper(id);\nconst deeper = (id) => new Courier(id);\nimage.apply((id) => make(id));",
      "Courier",
    ],
  ])("one is seen: %s", (text, name) => {
    const head =
      'import * as docker from "@pulumi/docker/container.js";\nimport { Courier } from "./courier.ts";\nimport * as pulumi from "@pulumi/pulumi";\n';
    const broken: Source = { ...source, "components/second.ts": head + text };
    expect(constructionsInApply(broken)).toEqual([
      expect.stringMatching(
        new RegExp(`^components/second.ts: line \\d constructs ${name.split(".").at(-1)} in an \\.apply$`),
      ),
    ]);
  });

  test("an .apply may throw", () => {
    const text = 'import * as pulumi from "@pulumi/pulumi";\nid.apply(() => { throw new pulumi.RunError("no"); });';
    expect(constructionsInApply({ "components/second.ts": text })).toEqual([]);
  });

  test("finds everything that it imports", () => {
    const { dependencies } = JSON.parse(readFileSync(join(projectDirectory, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    expect(Object.keys(source).length).toBeGreaterThan(10);
    expect(unresolvedImports(source, dependencies)).toEqual([]);
  });

  test.each([
    ['import { x } from "./gone.ts";', "imports ./gone.ts, which is not there"],
    ['import { x } from "./courier";', "imports ./courier, which is not there"],
    ['import { x } from "fs";', "imports fs without node:"],
    ['import { x } from "vitest";', "imports vitest, which is not in the dependencies"],
    ['import { x } from "@pulumi/pulumi/gone.js";', "imports @pulumi/pulumi/gone.js, which is not there"],
    ['await import("vitest");', "imports vitest, which is not in the dependencies"],
  ])("sees that %s would not be found", (text, complaint) => {
    const path = "components/second.ts";
    expect(unresolvedImports({ ...source, [path]: text }, { "@pulumi/pulumi": "1" })).toContain(
      `${path}: ${complaint}`,
    );
  });

  test("has an index.ts of at most 120 lines", () => {
    expect(source["index.ts"]!.trimEnd().split("\n").length).toBeLessThanOrEqual(120);
  });
});

describe("the recorder", () => {
  class Component extends pulumi.ComponentResource {
    constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
      super("bulkhead:index:Test", name, {}, opts);
      this.registerOutputs({});
    }
  }
  const imageOf = (name: string, image: pulumi.Input<string>) => new docker.Container(name, { image });

  test("fails where the program throws", async () => {
    await expect(record(() => Promise.reject(new Error("early")))).rejects.toThrow("early");
  });

  test("fails where an .apply throws, also one that nobody waits for", async () => {
    const program = () => {
      pulumi.output(1).apply(() => {
        throw new Error("in an apply");
      });
    };
    await expect(record(program)).rejects.toThrow("in an apply");
  });

  test("fails where an .apply behind a resource throws", async () => {
    const program = () => {
      imageOf(
        "a",
        imageOf("b", "image").id.apply(() => Promise.reject(new Error("in an input"))),
      );
    };
    await expect(record(program)).rejects.toThrow("in an input");
  });

  test("fails at a type that it does not know", async () => {
    class Unknown extends pulumi.CustomResource {}
    const program = () => void new Unknown("docker:index/secret:Secret", "a", {});
    await expect(record(program)).rejects.toThrow("a is a docker:index/secret:Secret, which the recorder");
  });

  test("fails at a call that it does not know", async () => {
    const program = () => pulumi.runtime.invoke("docker:index/getNetwork:getNetwork", { name: "bridge" });
    await expect(record(program)).rejects.toThrow("the program calls docker:index/getNetwork:getNetwork, which");
  });

  test("fails at two resources with one URN", async () => {
    const program = () => void [new Component("a"), new Component("a")];
    await expect(record(program)).rejects.toThrow(
      "two resources have the URN urn:pulumi:test::reach::bulkhead:index:Test::a",
    );
  });

  test("takes two resources of one name with different parents of different kinds", async () => {
    const recording = await record(() => void [imageOf("a", "one"), new Component("b"), child(new Component("a"))]);
    function child(parent: Component) {
      return new docker.Container("a", { image: "two" }, { parent });
    }
    expect(recording.resources.map(({ urn }) => urn.split("::").slice(2).join(" "))).toEqual(
      expect.arrayContaining([
        "docker:index/container:Container a",
        "bulkhead:index:Test$docker:index/container:Container a",
      ]),
    );
  });

  test("fails at an input that would be known only later", async () => {
    const program = () =>
      void imageOf("a", (imageOf("b", "image") as unknown as { bridge: pulumi.Output<string> }).bridge);
    await expect(record(program)).rejects.toThrow("image is unknown: the recorder has to say");
  });

  test("unwraps secrets and remembers where they were", async () => {
    const recording = await record(() => {
      const uploads = [{ file: "/a", content: pulumi.secret("x").apply((x) => x + x) }];
      void new docker.Container("a", { image: "image", uploads, envs: pulumi.secret(["KEY=value"]) });
    });
    const { inputs, secretPaths } = container(recording, "a");
    expect(inputs.uploads).toEqual([{ file: "/a", content: "xx" }]);
    expect(secretPaths.sort()).toEqual(["envs", "uploads.0.content"]);
  });

  test("gives a label of a container", async () => {
    const recording = await record(() => {
      void new docker.Container("a", { image: "image", labels: [{ label: "one", value: "1" }] });
    });
    expect([label(container(recording, "a"), "one"), label(container(recording, "a"), "two")]).toEqual([
      "1",
      undefined,
    ]);
    expect(() => container(recording, "b")).toThrow("0 containers are called b");
  });
});
