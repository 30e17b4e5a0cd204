// Images that are built on the host, here and over ssh; and sites, which are such images.
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "../support/certificates.ts";
import { lastLines, runCommand } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { images } from "../support/images.ts";
import { loadDuring, type LoadOptions } from "../support/load.ts";
import { createTestProject } from "../support/pulumi.ts";
import { removeStack } from "../support/reach.ts";
import { startRemoteHost } from "../support/remote-host.ts";
import { provideSmallImage } from "../support/small-image.ts";

const TOKEN = "a-token-that-no-layer-may-have";
const folder = mkdtempSync(join(tmpdir(), "bulkhead-builds-"));

afterAll(() => rmSync(folder, { recursive: true }));

/** Heredocs, cache mounts, secrets, COPY --chmod; stages that must not be built. */
const DOCKERFILE = `
ARG BASE
FROM \${BASE} AS made
RUN --mount=type=cache,id=builds-${process.pid},target=/cache <<END
  echo x >>/cache/builds
  wc -l </cache/builds >/builds
END
ARG RELEASE
RUN --mount=type=secret,id=token,required=true wc -c </run/secrets/token >/length
FROM \${BASE} AS web
COPY --from=made /length /builds /
COPY --chmod=0750 run.sh /run.sh
COPY . /context
FROM web AS unwanted
RUN exit 1
`;

test("a build has secrets, caches, heredocs, a target and an ignore file of its own, here and over ssh", async () => {
  const context = join(folder, "shop");
  mkdirSync(join(context, "docker"), { recursive: true });
  writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE);
  writeFileSync(join(context, "docker/web.Dockerfile.dockerignore"), "*.md\ndocker\n");
  writeFileSync(join(context, ".dockerignore"), "run.sh\n");
  for (const file of ["run.sh", "notes.md"]) writeFileSync(join(context, file), "", { mode: 0o644 });
  chmodSync(join(context, "run.sh"), 0o600);
  symlinkSync("run.sh", join(context, "link"));
  const engine = currentTestEngine();
  const small = await provideSmallImage(engine);
  const far = await startRemoteHost(engine, "far");
  try {
    await far.loadImages([small]);
    const hosts = [
      { host: "local", env: {}, docker: (args: string[]) => runCommand("docker", args) },
      { host: far.url, env: far.env, docker: far.docker },
    ];
    for (const { host, env, docker } of hosts) {
      const config = {
        ...{
          "image:host": host,
          "image:context": context,
          "image:buildArgs": { BASE: small },
          "image:jobImage": small,
        },
        "image:knownHosts": far.knownHostsFile,
        "image:build": { dockerfile: "docker/web.Dockerfile", target: "web" },
      };
      const project = await createTestProject({
        ...{ stack: "builds", program: new URL("../programs/image", import.meta.url).pathname },
        ...{ config, env },
      });
      try {
        await project.setSecret("image:token", TOKEN);
        const { code, stdout, stderr } = await project.up();
        expect(code, lastLines(stdout + stderr, 40)).toBe(0);
        const { image } = await project.outputs<{ image: string }>();
        const run = async (script: string) => {
          const answer = await docker(["run", "--rm", "--network", "none", image, "/bin/sh", "-c", script]);
          return answer.stdout.trim().split("\n");
        };
        expect(await run("cat /length /builds; stat -c %a /run.sh; ls /context; readlink /context/link")).toEqual([
          ...[String(TOKEN.length), "1", "750", "docker", "link", "run.sh", "run.sh"],
        ]);
        const { stdout: history } = await docker(["history", "--no-trunc", image]);
        const { stdout: archive } = await docker(["save", image]);
        const { stdout: state } = await runCommand("grep", ["-rl", TOKEN, join(project.directory, "state")]);
        for (const text of [history, archive, state, stdout, stderr]) expect(text).not.toContain(TOKEN);
        expect(archive).toContain("run.sh");
        // A file that the ignore file names is none of it; a mode and a link are.
        const again = async () => (await project.up()).stdout;
        writeFileSync(join(context, "notes.md"), host);
        expect(await again()).not.toMatch(/replaced|created/);
        chmodSync(join(context, "run.sh"), 0o644);
        expect(await again()).toMatch(/1 replaced/);
        chmodSync(join(context, "run.sh"), 0o600);
        // The cache outlives a build.
        writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE.replace("echo x", "echo y"));
        expect(await again()).toMatch(/1 replaced/);
        const after = await project.outputs<{ image: string }>();
        expect((await docker(["run", "--rm", "--network", "none", after.image, "/bin/cat", "/builds"])).stdout).toBe(
          "2\n",
        );
        writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE);
      } finally {
        await project.destroy();
        project.remove();
      }
    }
  } finally {
    await far.stop();
  }
});

const DOMAIN = "sites.test";

test("sites are served as sites are, and a release of one fails no request, of old pages neither", async () => {
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  const { traefik, haproxy, nginx } = images;
  const named = { traefik, haproxy, nginx, ...(await provideImages(engine, { traefik, haproxy, nginx })) };
  const { ca, certificate, privateKey } = await makeCertificates(DOMAIN);
  const sites = join(folder, "sites");
  const write = (path: string, content: string, mode = 0o644) => {
    mkdirSync(join(sites, path, ".."), { recursive: true });
    writeFileSync(join(sites, path), content, { mode });
  };
  const release = (hash: string) => {
    write("app/index.html", `<script src="/assets/app.${hash}.js"></script>`);
    write(`app/assets/app.${hash}.js`, `"${hash}";`.repeat(200));
  };
  const [first, second] = ["3f2a1b4c", "9d8e7f60"];
  release(first);
  // As an umask leaves it that lets nobody else read.
  write("app/about.html", "about", 0o600);
  write("app/static/logo.svg", "<svg/>");
  write("app/.env", "PASSWORD=hunter2");
  write("app/.well-known/security.txt", "Contact: a@sites.test");
  write("docs/guide/page.md", "guide");
  write("docs/Dockerfile", `FROM ${await provideSmallImage(currentTestEngine())} AS made\nCOPY . /in\n${MAKE}`);
  const project = await createTestProject({
    stack: "sites",
    program: new URL("../programs/sites", import.meta.url).pathname,
    config: {
      ...{ "sites:images": named, "sites:domain": DOMAIN, "sites:folder": sites },
      ...{ "sites:certificatePem": certificate, "sites:privateKeyPem": privateKey },
      "sites:edge": { keepAliveSeconds: 1 },
    },
  });
  const agent = new https.Agent({ keepAlive: true, ca, maxSockets: 1 });
  const ask = async (path: string, headers: Record<string, string> = {}, method = "GET") => {
    const to = { host: "127.0.0.1", port: 8443, path, method, servername: DOMAIN, agent };
    const request = https.request({ ...to, headers: { host: DOMAIN, ...headers } }).end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
  };
  const page = async (path: string, headers?: Record<string, string>) => {
    const { status, body } = await ask(path, headers);
    return [status, String(body).slice(0, 40)];
  };
  try {
    const up = await project.up();
    expect(up.code, lastLines(up.stdout + up.stderr, 60)).toBe(0);

    const index = await ask("/");
    expect(index).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8" } });
    expect(index.headers).toMatchObject({
      "cache-control": "no-cache",
      "content-security-policy": expect.stringContaining("'self'") as string,
    });
    expect((await ask("/", { "if-none-match": index.headers.etag! })).status).toBe(304);
    const asset = await ask(`/assets/app.${first}.js`, { "accept-encoding": "gzip" });
    expect(asset.headers).toMatchObject({
      "cache-control": "public, max-age=31536000, immutable",
      "content-encoding": "gzip",
      vary: expect.stringContaining("Accept-Encoding") as string,
    });
    expect(String(gunzipSync(asset.body))).toBe(`"${first}";`.repeat(200));
    const part = await ask(`/assets/app.${first}.js`, { range: "bytes=1-8" });
    expect([part.status, String(part.body), part.headers["content-range"]]).toEqual([206, first, "bytes 1-8/2200"]);
    expect((await ask("/static/logo.svg")).headers["cache-control"]).toContain("immutable");
    expect(await page("/about")).toEqual([200, "about"]);
    // A page of the program in the browser; but no file that is not there, and no folder.
    for (const path of ["/some/page", "/assets/", "/assets"]) expect((await page(path))[1], path).toMatch(/^<script/);
    expect((await ask("/assets/gone.js")).status).toBe(404);
    expect(await page("/.well-known/security.txt")).toEqual([200, "Contact: a@sites.test"]);
    const refused = ["/.env", "/.git/config", "/static/.env", "/.well-known/.env", "/assets/app.js.gz~"];
    const outside = [
      "/..%2f..%2fetc%2fpasswd",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/static/../../../etc/passwd",
      "//etc/passwd",
    ];
    for (const path of [...refused, ...outside, ...outside.map((each) => `/docs${each}`)]) {
      const { status, body } = await ask(path);
      expect(String(body), path).not.toMatch(/hunter2|root:/);
      expect(status === 200 ? String(body) : "", path).toMatch(/^$|^<script/);
    }
    expect((await ask("/", {}, "POST")).status).toBe(405);

    expect(await page("/docs/")).toEqual([200, "docs\n"]);
    expect(await ask("/docs/guide")).toMatchObject({ status: 301, headers: { location: "/docs/guide/" } });
    expect(await page("/docs/guide/")).toEqual([200, "a guide\n"]);
    // Nothing of a folder without an index, and its own page for what is not there.
    for (const path of ["/docs/empty/", "/docs/none", "/docs/empty"])
      expect(await page(path)).toEqual([404, "not here\n"]);

    // What looks at the new page at once asks for its assets, and what has the old one open for those.
    release(second);
    rmSync(join(sites, `app/assets/app.${first}.js`));
    const load = (path: string): LoadOptions => ({
      ...{ url: `https://${DOMAIN}:8443${path}`, address: "127.0.0.1", ca, connections: 2, requestsPerSecond: 20 },
      ...{ seconds: 200, release: { header: "etag" } },
    });
    const browser = { pages: 0, failed: [] as unknown[], seen: new Set<string>() };
    const loads = { page: load("/"), old: load(`/assets/app.${first}.js`) };
    const { result, loads: done } = await loadDuring(loads, async () => {
      const releasing = project.up();
      let over = false;
      void releasing.finally(() => (over = true));
      while (!over) {
        const html = await ask("/");
        const [, script = "/none"] = /src="([^"]+)"/.exec(String(html.body)) ?? [];
        const answer = await ask(script);
        browser.pages++;
        browser.seen.add(script);
        if (answer.status !== 200) browser.failed.push([html.status, script, answer.status]);
        // The edge lets one address have 100 requests a second.
        await delay(50);
      }
      return releasing;
    });
    console.log(
      JSON.stringify({
        ...{ page: done["page"]!.requests, old: done["old"]!.requests, browser: browser.pages },
        failed: [done["page"]!.failed, done["old"]!.failed, browser.failed.length],
      }),
    );
    expect(result.code, lastLines(result.stdout + result.stderr, 60)).toBe(0);
    for (const each of Object.values(done)) expect(each).toMatchObject({ failed: 0, failures: [] });
    expect(Object.keys(done["page"]!.byRelease)).toHaveLength(2);
    expect(browser).toMatchObject({
      failed: [],
      seen: new Set([first, second].map((each) => `/assets/app.${each}.js`)),
    });
    expect((await project.up()).stdout).toMatch(/\n {4}\d+ unchanged\n/);

    // A build that fails leaves what is served.
    symlinkSync("/etc/passwd", join(sites, "app/passwd"));
    const { code, stdout, stderr } = await project.up();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("the site: ./passwd is a link that leads out of the site: take it away");
    expect((await page("/"))[1]).toContain(second);
  } finally {
    agent.destroy();
    await removeStack(engine, "sites-sites");
    project.remove();
    engine.close();
  }
});

const MAKE = `RUN mkdir -p /out/guide /out/empty && echo docs >/out/index.html && echo not here >/out/404.html \\
 && echo a $(cat /in/guide/page.md) >/out/guide/index.html && touch /out/empty/a.txt
`;
