import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Proxy } from "../../components/edge/proxy.ts";
import { ServedRoutes } from "../../components/edge/served-routes.ts";
import { StaticSite, type StaticSiteArgs } from "../../components/edge/static-site.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, label, ofType, record } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const edgeDirectory = join(import.meta.dirname, "../../components/edge");

function folder(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-site-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content, { mode: 0o644 });
  }
  return directory;
}

function siteOf(args: Partial<StaticSiteArgs>) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const edge = new Proxy("edge", {
      ...{ networks: new Networks("networks", { host }), images: { traefik: IMAGE, haproxy: IMAGE } },
      ...{ domain: "example.com", address: "192.0.2.1", httpsPort: 443, requestsPerSecond: 50, burst: 75 },
      certificates: { kind: "files", certificatePem: "public", privateKeyPem: "private" },
    });
    new StaticSite("site", { edge, routes: { paths: ["/"] }, ...args });
    new ServedRoutes("routes", { edge });
  });
}

/** What its image is built by, with nginx's settings and the scripts in clear. */
function dockerfileOf(recording: Awaited<ReturnType<typeof siteOf>>): string {
  const [image] = ofType<{ build: { dockerfile: string } }>(recording, "docker:index/remoteImage:RemoteImage");
  const text = readFileSync(image!.inputs.build.dockerfile, "utf8");
  return text.replace(/echo (\S+) \| base64 -d/g, (_, encoded: string) => Buffer.from(encoded, "base64").toString());
}

test("a site is a service that can write nowhere, of an image with nothing but pinned bases", async () => {
  const recording = await siteOf({ folder: folder({ "index.html": "" }) });
  expect(Object.values(invariants).flatMap((complaints) => complaints(recording))).toEqual([]);
  const { inputs } = container(recording, "site");
  expect(inputs).toMatchObject({ user: "101:101", readOnly: true, memory: 64, memorySwap: 64, cpus: "0.5" });
  expect(inputs.mounts).toMatchObject([{ source: "reach-test-site-assets", target: "/srv/kept", readOnly: true }]);
  const job = container(recording, "site-assets-job");
  expect(job.inputs).toMatchObject({ user: "0:0", image: inputs.image, capabilities: { drops: ["ALL"], adds: [] } });
  expect(label(job, "bulkhead.for")).toBe("site");
  expect(JSON.stringify(container(recording, "site-route-job").inputs.envs)).toContain("default-src 'self'");
});

test("a path and one page are nginx's settings; another setting is another image", async () => {
  const files = { folder: folder({ "index.html": "" }) };
  const texts: string[] = [];
  const names = new Set<string>();
  for (const args of [{}, { singlePage: true }, { routes: { paths: ["/docs"] } }, { immutable: ["/assets"] }]) {
    const recording = await siteOf({ ...files, ...args });
    texts.push(dockerfileOf(recording));
    names.add(ofType<{ name: string }>(recording, "docker:index/remoteImage:RemoteImage")[0]!.inputs.name);
  }
  expect(names.size).toBe(4);
  const [plain, single, docs, immutable] = texts;
  expect(plain).toContain("try_files $uri $uri.html $uri/index.html =404;");
  expect(single).toContain("try_files $uri $uri.html $uri/index.html $page =404;");
  expect(docs).toContain("COPY . /srv/site/docs/\n");
  expect(docs).toContain("error_page 404 /docs/404.html;");
  expect(immutable).toContain("sh /tmp/pack '' /assets\n");
  for (const text of texts) expect(text).not.toMatch(/PREFIX|FALLBACK|DRAIN_SECONDS/);
});

test("a build's stage gives the files, by its name", async () => {
  const context = folder({ Dockerfile: `FROM ${IMAGE} AS made\nRUN make\n` });
  const text = dockerfileOf(await siteOf({ build: { context, output: "/app/dist" } }));
  expect(text).toMatch(/^FROM \S+ AS made\nRUN make\n\nFROM nginxinc\S+ AS bulkhead-pack\n/);
  expect(text).toContain("COPY --from=made /app/dist/ /srv/site/\n");
  const nameless = folder({ Dockerfile: `FROM ${IMAGE}\n` });
  await expect(siteOf({ build: { context: nameless, output: "/app/dist" } })).rejects.toThrow(
    "site: build: the last stage of Dockerfile has no name, by which its files are found: write FROM … AS site",
  );
});

test("says all that is wrong with its arguments", async () => {
  await expect(
    siteOf({ routes: { paths: ["/a", "/b"] }, immutable: ["assets"], keepAssetsDays: 0, keepAssetsMb: 0.5 }),
  ).rejects.toThrow(
    "site: has no files: give folder, with the files, or build, which makes them\n" +
      "site: routes.paths: /a, /b is not one path of a site: give one like / or /docs\n" +
      "site: immutable: assets is no folder: give one like /assets\n" +
      "site: keepAssetsDays: 0 is not a whole number from 1 to 90: give days\n" +
      "site: keepAssetsMb: 0.5 is no size: give whole MiB from 1",
  );
  await expect(siteOf({ folder: "a", build: { context: "a", output: "dist" } })).rejects.toThrow(
    "site: has folder and build: give one of them\n" +
      "site: build.output: dist is no folder of the image: give one like /app/dist",
  );
});

/** Runs a script of the image with folders of this machine in place of its own. */
function inImage(script: string, srv: string, args: string[], before = "", env: Record<string, string> = {}) {
  const text = readFileSync(join(edgeDirectory, script), "utf8");
  const own = text.replace(/\/srv\/kept|\/srv|\/kept|\/tmp\//g, (path) =>
    path.endsWith("/kept") ? `${srv}/kept` : path === "/tmp/" ? `${srv}/` : srv,
  );
  return spawnSync("sh", ["-c", before + own, script, ...args], { encoding: "utf8", env: { ...process.env, ...env } });
}

function filesUnder(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1)).sort();
}

test("what has a hash in its name never changes, and what only looks like it is asked for anew", () => {
  const immutable = [
    ...["main.3f2a1b4c.js", "main.8e0d62a0.chunk.js.map", "img/hero-9f86d081884c7d65.avif", "assets/index-D1wrgTda.js"],
    ...[
      "main-5AJTWHBB.js",
      "_astro/page.css",
      "_next/static/chunks/app.js",
      "_app/immutable/start.js",
      "static/a b.png",
    ],
  ];
  const others = [
    ...[
      "index.html",
      "index-D1wrgTda.html",
      "logo.png",
      "report-20240101.pdf",
      "House-Plan2024.pdf",
      "my-component.js",
    ],
    ...["jquery-3.7.1.min.js", "facade.js", "logo-AppStore.svg", "decade-deadbeef.js", "nostatic/a.png", "MyWidget.js"],
  ];
  const names = [...immutable, ...others];
  const srv = folder(Object.fromEntries(names.map((name) => [`site/${name}`, "x"])));
  const { status, stderr } = inImage("site-pack.sh", srv, ["", "/static"]);
  expect([status, stderr]).toEqual([0, ""]);
  expect(filesUnder(join(srv, "immutable"))).toEqual(immutable.sort());
  expect(filesUnder(join(srv, "site"))).toEqual(others.sort());
});

test("the files are readable, compressed, of this build's time, and without those that begin with a dot", () => {
  const srv = folder({
    ...{
      "site/docs/index.html": "x".repeat(2000),
      "site/docs/.env": "",
      "site/.git/config": "",
      "site/docs/small.css": "",
    },
    ...{ "site/docs/.well-known/a.txt": "", "site/docs/.well-known/.b": "", "site/docs/photo.jpg": "x".repeat(2000) },
  });
  utimesSync(join(srv, "site/docs/index.html"), 1, 1);
  symlinkSync("index.html", join(srv, "site/docs/again.html"));
  expect(inImage("site-pack.sh", srv, ["/docs"])).toMatchObject({ status: 0, stderr: "" });
  expect(filesUnder(join(srv, "site"))).toEqual([
    ...["docs/.well-known/a.txt", "docs/again.html", "docs/again.html.gz", "docs/index.html", "docs/index.html.gz"],
    ...["docs/photo.jpg", "docs/small.css"],
  ]);
  const { mtimeMs, mode } = statSync(join(srv, "site/docs/index.html"));
  expect(Date.now() - mtimeMs).toBeLessThan(60_000);
  expect(mode & 0o444).toBe(0o444);
});

test("a link out of the site, one to nothing, and a site without an index end the build", () => {
  const fails = (change: (srv: string) => void, message: string) => {
    const srv = folder({ "site/index.html": "" });
    change(srv);
    const { status, stderr } = inImage("site-pack.sh", srv, [""]);
    expect([status, stderr]).toEqual([1, `${message}\n`]);
  };
  fails(
    (srv) => symlinkSync("/etc/passwd", join(srv, "site/a")),
    "the site: ./a is a link that leads out of the site: take it away",
  );
  fails((srv) => symlinkSync("nothing", join(srv, "site/a")), "the site: ./a is a link to nothing");
  fails((srv) => rmSync(join(srv, "site/index.html")), "the site: has no index.html: give the folder that has it");
});

test("what never changes stays for its days after the release that took its place, and less where room is short", () => {
  const srv = folder({});
  const daysAgo = (file: string, days: number) => {
    const at = Date.now() / 1000 - days * 86_400;
    utimesSync(join(srv, "kept", file), at, at);
  };
  mkdirSync(join(srv, "kept"));
  const release = (files: Record<string, string>, mb = 100) => {
    rmSync(join(srv, "immutable"), { recursive: true, force: true });
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(srv, "immutable/assets"), { recursive: true });
      writeFileSync(join(srv, "immutable/assets", name), content);
    }
    const env = { KEEP_DAYS: "7", KEEP_MB: String(mb) };
    expect(inImage("site-keep.sh", srv, [], "finish() { exit 0; }\n", env)).toMatchObject({ status: 0, stderr: "" });
    return existsSync(join(srv, "kept/assets")) ? readdirSync(join(srv, "kept/assets")).sort() : [];
  };
  expect(release({ "one.js": "1" })).toEqual(["one.js"]);
  // It was served for a month, until now.
  daysAgo("assets/one.js", 30);
  expect(release({ "two.js": "2" })).toEqual(["one.js", "two.js"]);
  daysAgo("assets/one.js", 9);
  expect(release({ "three.js": "3" })).toEqual(["three.js", "two.js"]);
  // Room is short: those of the last day stay all the same.
  writeFileSync(join(srv, "kept/assets/large.js"), "x".repeat(3 * 2 ** 20));
  daysAgo("assets/large.js", 5);
  expect(release({ "four.js": "4" }, 2)).toEqual(["four.js", "three.js", "two.js"]);
});
