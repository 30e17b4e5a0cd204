// Every shape of app in one program, on one host: deployed, judged, and asked. In `make soak` alone; what must hold of its
// resources is in tests/unit/shapes.test.ts, and each shape has a test of its own.
import { readFileSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { join } from "node:path";
import * as tls from "node:tls";
import { text as textOf } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates, type TestCertificates } from "../support/certificates.ts";
import type { CommandResult } from "../support/command.ts";
import { RepositoryCopy } from "../support/copy.ts";
import { images as all } from "../support/images.ts";
import { inspectAll } from "../support/reach.ts";
import { SHAPES, shapesSettings } from "../support/shapes.ts";
import { SOAK } from "../support/soak.ts";

const STACK = "shapes-local";
const { main, shop, tenants } = SHAPES;
const SERVICES = ["api", "legacy", "once", "page", "site", "tenant"];

describe.runIf(SOAK)("every shape", () => {
  const copy = new RepositoryCopy();
  const program = join(copy.directory, "tests/programs/shapes");
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const certificates: Record<string, TestCertificates> = {};
  let config: Record<string, unknown>;
  let first: CommandResult;

  beforeAll(async () => {
    const settings = await shapesSettings(async (name) => {
      certificates[name] = await makeCertificates(name);
      const files = { certificate: join(program, `${name}.pem`), privateKey: join(program, `${name}.key`) };
      writeFileSync(files.certificate, certificates[name].certificate);
      writeFileSync(files.privateKey, certificates[name].privateKey, { mode: 0o600 });
      return files;
    });
    const wanted = { ...all, cloudflared: undefined };
    const { traefik, haproxy, node, nginx } = { ...wanted, ...(await provideImages(engine, wanted)) };
    config = { ...settings, images: { traefik, haproxy, node, nginx } };
    writeStackFile(config);
    first = await bulkhead("up");
    expect(first, first.stderr + first.stdout).toMatchObject({ code: 0 });
  });

  afterAll(async () => {
    const down = await bulkhead("down", "--delete-data", "--yes");
    const left = await inspectAll(engine, STACK);
    engine.close();
    copy.remove();
    expect(down, down.stderr).toMatchObject({ code: 0 });
    expect(left).toEqual([]);
  });

  function writeStackFile(settings: object): void {
    const keys = Object.entries(settings).map(([key, value]): [string, unknown] => [`shapes:${key}`, value]);
    writeFileSync(join(program, "Pulumi.local.yaml"), stringify({ config: Object.fromEntries(keys) }));
  }

  function bulkhead(...args: string[]): Promise<CommandResult> {
    return copy.bulkhead(args, { cwd: program, timeoutMs: 600_000, env: { STACK: "local" } });
  }

  test("it comes up, with every service healthy, and the policies have nothing to say", () => {
    console.log(JSON.stringify({ firstUpSeconds: first.seconds }));
    // Docker is not asked to look at one of them, which the edge alone asks.
    for (const name of SERVICES)
      expect(first.stdout).toMatch(new RegExp(`^${name} .* (${name === "legacy" ? "running" : "healthy"}) +200 `, "m"));
    for (const name of ["mail", "report"]) expect(first.stdout).toMatch(new RegExp(`^${name} `, "m"));
    // The advice is that list of exceptions which every stack with one has.
    const said = [...first.stdout.matchAll(/\[(?:mandatory|advisory)\] +(\S+)/g)].map(([, policy]) => policy);
    expect([...new Set(said)]).toEqual(["stack-exceptions"]);
  });

  test("the posture of every container is the strictest but for what has a reason", async () => {
    const found = await inspectAll(engine, STACK);
    expect(found.length).toBeGreaterThan(20);
    for (const { Config, HostConfig, Mounts, State } of found) {
      const name = `${Config.Labels["bulkhead.role"]} ${Config.Labels["bulkhead.name"]}`;
      const exceptions = JSON.parse(Config.Labels["bulkhead.exceptions"] ?? "[]") as Record<string, unknown>[];
      const has = (exception: string) => exceptions.some((each) => exception in each);
      for (const { why } of exceptions) expect(why, name).toMatch(/\w{3}/);
      expect(HostConfig, name).toMatchObject({
        ...{ CapDrop: ["ALL"], Privileged: false, SecurityOpt: ["no-new-privileges:true"] },
        ...{ ReadonlyRootfs: !has("writableRoot"), Init: !has("noInit"), PidMode: "", IpcMode: "private" },
      });
      if (!has("capability")) expect(HostConfig["CapAdd"], name).toBeNull();
      expect(HostConfig.Memory, name).toBeGreaterThan(0);
      expect(HostConfig["NanoCpus"], name).toBeGreaterThan(0);
      if (State.Status !== "created") expect(HostConfig.PidsLimit, name).toBeGreaterThan(0);
      if (!has("rootUser")) expect(Config.User, name).toMatch(/^[1-9]\d*:[1-9]\d*$/);
      for (const [path, options] of Object.entries((HostConfig["Tmpfs"] ?? {}) as Record<string, string>))
        expect(options, `${name} ${path}`).toMatch(has("tmpfsExec") ? /size=/ : /noexec.*size=/);
      expect(
        Mounts.filter(({ Type }) => Type !== "volume"),
        name,
      ).toEqual([]);
      // Of the program alone; what an image has of its own is Docker's.
      const weak = ["root", "writable", "noInit"].filter(
        (each) => has(`${each}User`) || has(`${each}Root`) || has(each),
      );
      if (["service", "worker", "scheduled-job"].includes(Config.Labels["bulkhead.role"]!))
        expect(weak.length > 0, name).toBe(Config.Labels["bulkhead.name"] === "legacy");
    }
  });

  test("each is reached where it is said to be, and nowhere else", async () => {
    expect(await ask(main, "/")).toEqual([200, `page / for ${main}:8443`]);
    expect(await ask(main, "/api/x")).toEqual([200, `api /x for ${main}:8443`]);
    // By the network that the program declares.
    expect(await ask(main, "/ask")).toMatchObject([200, expect.stringMatching(/^api \//)]);
    expect((await ask(main, "/admin"))[0]).toBe(403);
    expect(await ask(main, "/once")).toEqual([200, `once /once for ${main}:8443`]);
    expect(await ask(main, "/legacy")).toEqual([200, `legacy /legacy for ${main}:8443`]);
    expect(await ask(`any.${tenants}`, "/", tenants)).toEqual([200, `tenant / for any.${tenants}:8443`]);
    expect(await ask(shop, "/")).toEqual([200, expect.stringContaining("of the site")]);
    expect((await ask(`www.${shop}`, "/", shop))[0]).toBe(308);
    expect(await ask(main, "/write")).toEqual([200, `page /write for ${main}:8443`]);
    const socket = tls.connect({
      ...{ host: "127.0.0.1", port: 2300, servername: main, ca: certificates[main]!.ca, ALPNProtocols: [] },
    });
    expect(await textOf(socket)).toBe("api by TCP");
    expect(await bulkhead("run", "report")).toMatchObject({
      ...{ code: 0, stdout: expect.stringContaining("reported\n") as string },
    });
  });

  test("`bulkhead audit` is clean, status has all of it, and another update changes nothing", async () => {
    expect(await bulkhead("audit")).toMatchObject({ code: 0, stdout: "The host is as the stack promises.\n" });
    const status = await bulkhead("status");
    for (const name of [...SERVICES, "mail", "report"]) expect(status.stdout).toMatch(new RegExp(`^${name}\\b`, "m"));
    const before = (await inspectAll(engine, STACK)).map(({ Id }) => Id).sort();
    const again = await bulkhead("up");
    expect(again, again.stdout).toMatchObject({ code: 0 });
    expect((await inspectAll(engine, STACK)).map(({ Id }) => Id).sort()).toEqual(before);
    console.log(JSON.stringify({ unchangedSeconds: again.seconds }));
  });

  test("a preview of a release of all of it names each", async () => {
    const undo = copy.edit(
      "tests/programs/shapes/index.ts",
      "env: { NAME: name },",
      "env: { NAME: name, NEW: 'yes' },",
    );
    const undoOfPage = copy.edit("tests/programs/shapes/index.ts", 'NAME: "page",', 'NAME: "page", NEW: "yes",');
    const site = join(program, "site/index.html");
    const page = readFileSync(site, "utf8");
    writeFileSync(site, `${page}anew\n`);
    const preview = await bulkhead("preview");
    undoOfPage();
    undo();
    writeFileSync(site, page);
    console.log(preview.stdout);
    for (const name of [...SERVICES, "mail", "report"]) expect(preview.stdout).toMatch(new RegExp(`\\b${name}\\b`));
    expect(preview.stdout).toContain("once is replaced stop-first");
  });

  test("other networks take the place of all, though the edge would wait longer for clients than the provider does", async () => {
    const patient = { ...config, edge: { ...(config["edge"] as object), keepAliveSeconds: 60 } };
    writeStackFile(patient);
    expect(await bulkhead("up")).toMatchObject({ code: 0 });
    writeStackFile({ ...patient, networks: { ...(config["networks"] as object), mtu: 1400 } });
    const up = await bulkhead("up");
    expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
    console.log(JSON.stringify({ networksAnewSeconds: up.seconds }));
    const networks = await engine.get<{ Name: string; Options: Record<string, string> }[]>("/networks");
    for (const { Name, Options } of networks.filter((network) => network.Name.startsWith(`${STACK}-`)))
      expect(Options, Name).toMatchObject({ "com.docker.network.driver.mtu": "1400" });
    expect((await ask(main, "/"))[0]).toBe(200);
    expect(await bulkhead("audit")).toMatchObject({ code: 0 });
  });

  function ask(host: string, path: string, authority = host): Promise<[status: number, text: string]> {
    const { ca } = certificates[authority]!;
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: 8443, path, ca, servername: host, agent: false };
      https
        .get({ ...options, headers: { host: `${host}:8443` } }, (answer) => {
          void textOf(answer).then((text) => resolve([answer.statusCode!, text]), reject);
        })
        .on("error", reject);
    });
  }
});
