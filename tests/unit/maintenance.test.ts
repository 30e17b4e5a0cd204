// The answer 503 for all but some, and pages of the program in place of the edge's own words.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { edgeSettings } from "../../components/edge/edge-settings.ts";
import { pagesIn } from "../../components/edge/pages.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import type { ProxyArgs } from "../../components/edge/proxy-args.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { WebService, type WebServiceArgs } from "../../components/edge/web-service.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { parseStackFile } from "../../components/settings/parse.ts";
import { maintenanceOf } from "../../components/settings/maintenance.ts";
import { container, hex, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const directory = mkdtempSync(join(tmpdir(), "bulkhead-pages-"));
afterAll(() => rmSync(directory, { recursive: true }));

function folder(name: string, files: Record<string, string>): string {
  const path = join(directory, name);
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  return path;
}

async function recorded(ofEdge: Partial<ProxyArgs>, ofService: Partial<WebServiceArgs> = {}): Promise<Recording> {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const edge = new Proxy("edge", {
      networks: new Networks("networks", { host }),
      images: { traefik: IMAGE, haproxy: IMAGE },
      domain: "example.com",
      certificates: { kind: "files", certificatePem: "the certificate", privateKeyPem: "the private key" },
      ...{ address: "192.0.2.1", httpsPort: 443, requestsPerSecond: 50, burst: 75 },
      ...ofEdge,
    });
    new WebService("app", {
      ...{ edge, image: IMAGE, port: 8000, health: { test: ["CMD", "true"] }, healthPath: "/api/health" },
      ...{ limits: { memoryMb: 64, cpus: 1, pids: 32 }, drainSeconds: 1, routes: { paths: ["/"] } },
      ...ofService,
    });
    new ServedRoutes("routes", { edge });
  });
}

function contentOf(recording: Recording, job: string) {
  const env = container(recording, job).inputs.envs!.find((entry) => entry.startsWith("ROUTE="))!;
  return JSON.parse(env.slice("ROUTE=".length)) as {
    http: Record<"routers" | "middlewares" | "services", Record<string, { middlewares?: string[] }>>;
  };
}

describe("maintenance", () => {
  const ofPlugin = (recording: Recording) =>
    contentOf(recording, "edge-settings-job").http.middlewares["maintenance"] as { plugin?: { bulkhead: object } };

  test("answers after all limits, and lets public health pass and who is on the list", async () => {
    const recording = await recorded({ maintenance: { allowFrom: ["192.0.2.7", "2001:db8::1", "10.0.0.0/8"] } });
    expect(ofPlugin(recording).plugin!.bulkhead).toEqual({
      ...{ kind: "maintenance", forwarded: false, retryAfterSeconds: 300, page: "" },
      allowFrom: ["192.0.2.7/32", "2001:db8::1/128", "10.0.0.0/8"],
      health: ["example.com/api/health"],
    });
  });

  test("changes neither the edge nor a service nor its route", async () => {
    const [without, within] = [await recorded({}), await recorded({ maintenance: true })];
    expect(ofPlugin(without)).toEqual({ chain: { middlewares: [] } });
    for (const name of ["edge", "edge-door", "app", "app-route-job"])
      expect(container(within, name).inputs, name).toEqual(container(without, name).inputs);
  });

  test.each([
    ["/", { paths: ["/"] }],
    ["/index.html", { paths: ["/"] }],
    ["/health", { paths: ["/"], allowFrom: ["192.0.2.7"] }],
    ["/health", { paths: ["/api"] }],
    ["/health", { paths: ["/"], host: "*.example.com" }],
  ])("lets no page pass as health, nor what is not public: %s of %j", async (healthPath, routes) => {
    const recording = await recorded(
      { maintenance: true, domains: [{ name: "*.example.com" }] },
      { healthPath, routes },
    );
    expect(ofPlugin(recording).plugin!.bulkhead).toMatchObject({ health: [] });
  });

  test("goes by the address that the proxy saw, where there is one", () => {
    const settings = {
      ...{ domain: "example.com", certificates: { kind: "files", certificatePem: "", privateKeyPem: "" } as const },
      ...{
        requestsPerSecond: 50,
        burst: 75,
        connectionsPerClient: 9,
        sharedAddresses: [],
        keepAliveSeconds: 60,
        maxHeaderKb: 32,
      },
      ...{ tcp: [], requests: 99, maintenance: {}, clientsThrough: ["192.0.2.0/24"] },
    };
    expect(edgeSettings(settings, "edge", ["172.21.0.0/16"], [], undefined)).toMatchObject({
      http: { middlewares: { maintenance: { plugin: { bulkhead: { forwarded: true } } } } },
    });
  });

  test("is read by the commands as `pulumi config set` writes it", () => {
    const read = (maintenance: unknown) =>
      parseStackFile("reach", { "reach:maintenance": maintenance }, ["maintenance"]);
    for (const written of ["true", true]) expect(read(written)).toEqual({ maintenance: true });
    expect(() => read("yes")).toThrow('reach:maintenance: "yes" is no maintenance');
  });

  test("is off where a stack file says false", () => {
    expect([true, false, undefined].map(maintenanceOf)).toEqual([{}, undefined, undefined]);
  });
});

describe("pages of the program", () => {
  test("are beside the edge's settings, and asked for around each route that does not say otherwise", async () => {
    const pages = folder("sound", { "404.html": "<p>404", "503.html": "<p>503", "maintenance.html": "<p>soon" });
    const recording = await recorded(
      { pages, maintenance: true },
      { routes: [{ paths: ["/"] }, { paths: ["/api"], errorPages: false }] },
    );
    const uploads = container(recording, "edge-settings-beside-courier").inputs.uploads!;
    expect(uploads.map(({ file, content }) => [file, content])).toEqual([
      ["/bulkhead/404.html", "<p>404"],
      ["/bulkhead/503.html", "<p>503"],
      ["/bulkhead/maintenance.html", "<p>soon"],
    ]);
    const { middlewares, routers, services } = contentOf(recording, "edge-settings-job").http;
    const path = (file: string) =>
      expect.stringMatching(`^/routes/edge-settings\\.[0-9a-f]{16}\\.beside\\.${file}$`) as string;
    expect(middlewares).toMatchObject({
      "not-found": { plugin: { bulkhead: { kind: "answer", status: 404, page: path("404.html") } } },
      maintenance: { plugin: { bulkhead: { page: path("maintenance.html") } } },
      page: { plugin: { bulkhead: { kind: "page", pages: { "503": path("503.html") } } } },
      pages: { errors: { status: ["503"], service: "pages", query: "/pages/{status}" } },
    });
    expect(services["pages"]).toEqual({ loadBalancer: { servers: [{ url: "http://127.0.0.1:8081" }] } });
    expect(routers["pages"]).toMatchObject({
      entryPoints: ["services"],
      rule: "PathPrefix(`/pages/`) && ClientIP(`127.0.0.1`)",
    });
    const app = contentOf(recording, "app-route-job").http.routers;
    expect(app["app"]!.middlewares!.slice(0, 2)).toEqual(["pages", "app-policy"]);
    expect(app["app-unsized"]!.middlewares!.slice(0, 3)).toEqual(["linger", "pages", "app-policy"]);
    expect(app["app-route-2"]!.middlewares).not.toContain("pages");
  });

  test("are not put in place of what gRPC says, nor where there is none for a service", async () => {
    const pages = folder("some", { "404.html": "<p>404", "502.html": "<p>502" });
    const ofApp = async (edge: Partial<ProxyArgs>, service: Partial<WebServiceArgs> = {}) =>
      contentOf(await recorded(edge, service), "app-route-job").http.routers["app"]!.middlewares;
    expect(await ofApp({ pages })).toContain("pages");
    expect(await ofApp({ pages }, { protocol: "h2c" })).not.toContain("pages");
    expect(await ofApp({ pages: folder("one", { "404.html": "<p>404" }) })).not.toContain("pages");
  });

  test("that cannot be are refused, all at once", () => {
    const known = "give 404.html, 502.html, 503.html, 504.html or maintenance.html";
    const bad = folder("bad", { "500.html": "", "404.html": "x".repeat(64 * 1024 + 1), "logo.png": "" });
    mkdirSync(join(bad, "503.html"));
    expect(() => pagesIn("edge", bad)).toThrow(
      [
        `edge: pages: ${bad}/404.html has more than 64 KiB: give a smaller page, with its styles and pictures in it`,
        `edge: pages: ${bad}/500.html is none of the edge's pages: ${known}`,
        `edge: pages: ${bad}/503.html is not a file: ${known}`,
        `edge: pages: ${bad}/logo.png is none of the edge's pages: ${known}`,
      ].join("\n"),
    );
    expect(() => pagesIn("edge", join(directory, "gone"))).toThrow(
      `edge: pages: ${join(directory, "gone")} cannot be read (ENOENT): give a folder`,
    );
    expect(() => pagesIn("edge", folder("empty", {}))).toThrow(
      `edge: pages: ${join(directory, "empty")} is empty: ${known}`,
    );
  });
});
