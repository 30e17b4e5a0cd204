import { beforeAll, describe, expect, test } from "vitest";
import { Proxy } from "../../components/edge/proxy.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService } from "../../components/edge/web-service.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { saidExceptions } from "../../policy/exceptions.ts";
import { resourceRules, stackRules } from "../../policy/rules.ts";
import type { Resource } from "../../policy/rule.ts";
import { hex, record, type Recording } from "../../testing/recorder.ts";
import { recordStack, stacks, withTunnel } from "../unit/stacks.ts";
import { violationsIn } from "./compliant.ts";

function resourcesOf({ resources }: Recording): Resource[] {
  return resources.map(({ type, name, urn, inputs, options: { protect } }) => ({
    type,
    name,
    urn,
    props: inputs,
    opts: { protect },
  }));
}

const advisory = [...resourceRules, ...stackRules].filter(({ severity }) => severity === "advisory");
const isAdvisory = (violation: string) => advisory.some(({ name }) => violation.startsWith(`${name}: `));

const programs: [name: string, recorded: () => Promise<Recording>][] = [
  ...stacks.map((stack): [string, () => Promise<Recording>] => [stack, () => recordStack(stack)]),
  ["prod, with a tunnel", () => recordStack("prod", withTunnel)],
];

describe.each(programs)("the program in the stack %s", (_, recorded) => {
  let resources: Resource[];
  beforeAll(async () => {
    resources = resourcesOf(await recorded());
  });

  test("keeps every rule that is mandatory", () => {
    expect(violationsIn(resources).filter((violation) => !isAdvisory(violation))).toEqual([]);
  });

  test("is told of nothing but a token that does not expire", () => {
    const told = violationsIn(resources).filter((violation) => !violation.startsWith("account-token-expiry: "));
    expect(told).toEqual([]);
  });

  test("needs each of its exceptions", () => {
    const without = resources.map((resource) => ({ ...resource, props: withoutExceptions(resource.props) }));
    const refused = new Set(violationsIn(without).map((violation) => violation.split(": ")[1]));
    const excepted = saidExceptions(resources).flatMap((said) => said.split(": ")[0]!.split(", "));
    expect(excepted.filter((name) => !refused.has(name))).toEqual([]);
    expect(excepted.length).toBeGreaterThan(3);
  });
});

test("the exceptions of production are said, each once with its reason", async () => {
  expect(saidExceptions(resourcesOf(await recordStack("prod")))).toEqual([
    "backend-route-job, edge-settings-job, frontend-route-job: container-user is excepted: " +
      "root owns the volume with the routes; without capabilities it can do nothing more",
    "backend-secrets-courier, edge-door-config-courier, edge-plugin-courier, edge-secrets-courier: container-read-only-root is excepted: " +
      "never started, and Docker uploads no file past a read-only root",
    "backend-secrets-courier, edge-door-config-courier, edge-plugin-courier, edge-secrets-courier: container-user is excepted: " +
      "never started, and Docker gives the files to any user that is named",
    "edge-acme-file: container-capabilities CHOWN is excepted: " +
      "gives the file to the edge's user; an existing file is left as it is",
    "edge-acme-file: container-user is excepted: root owns a new volume",
    "edge-acme: stack-data-in-backup is excepted: what is lost of it the CA issues again",
    "edge: stack-public-entry-point tcp-clients is excepted: " +
      "what clients send here is TCP of their own: the edge hands it on and reads nothing of it",
    "routes-job: container-user is excepted: root owns the volume with the routes",
  ]);
});

test("what a route has an exception for is excepted, for that route alone", async () => {
  const image = `example:1@sha256:${hex("example", 64)}`;
  const why = "a test looks at it";
  const recording = await record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: image });
    const edge = new Proxy("edge", {
      networks: new Networks("networks", { host }),
      images: { traefik: image, haproxy: image },
      domain: "example.com",
      certificates: { kind: "files", certificatePem: "the certificate", privateKeyPem: "the private key" },
      ...{ address: "192.0.2.1", httpsPort: 443, httpRedirect: true, requestsPerSecond: 50, burst: 75 },
    });
    new WebService("app", {
      ...{ edge, image, port: 8443, protocol: "https", health: { test: ["CMD", "true"] }, healthPath: "/health" },
      ...{ limits: { memoryMb: 64, cpus: 1, pids: 32 }, drainSeconds: 1 },
      upstreamTls: { exceptions: [{ unverifiedUpstream: true, why }] },
      routes: [
        { paths: ["/"] },
        { paths: ["/npm", "/v1.0"], responseTimeoutSeconds: 90, exceptions: [{ encodedSlashes: true, why }] },
      ],
    });
    new ServedRoutes("routes", { edge });
  });
  const resources = resourcesOf(recording);
  expect(violationsIn(resources)).toEqual([]);
  const without = resources.map((resource) => ({ ...resource, props: withoutExceptions(resource.props) }));
  const said = violationsIn(without).filter((violation) => /route|entry-point/.test(violation.split(": ")[0]!));
  expect(said.map((violation) => violation.split(": ").slice(0, 3).join(": "))).toEqual([
    "container-route-upstream: app-route-job: takes any certificate of app",
    "container-route-upstream: app-route-job: takes any certificate of app-answers-2",
    "container-route-encoded-slashes: app-route-job: lets clients ask for /npm /v1.0 with encoded slashes",
    "stack-public-entry-point: edge: serves the public entry point http without TLS",
  ]);
});

function withoutExceptions(props: Record<string, unknown>): Record<string, unknown> {
  const { labels } = props as { labels?: { label: string }[] };
  return labels ? { ...props, labels: labels.filter(({ label }) => label !== "bulkhead.exceptions") } : props;
}
