import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { execFileSync, spawnSync } from "node:child_process";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { images } from "../support/images.ts";
import { archiveNames, fetchArchive, findChecksums, pinnedArchives, withChecksums } from "../../toolchain/archives.ts";
import { keyOf, kept } from "../../toolchain/cache.ts";
import { download, reachable } from "../../toolchain/network.ts";
import { isAtLeast, pins } from "../../toolchain/pins.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { nameOf, registryOf, repositoryOf, tagOf } from "../../toolchain/reference.ts";
import { resolveDigest } from "../../toolchain/registry.ts";
import { standInFor } from "../../toolchain/stand-ins.ts";
import { formatSeconds, run } from "../../toolchain/steps.ts";
import { RepositoryCopy } from "../support/copy.ts";

const project = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(project, path), "utf8");

/** A server of this test's own; gives its address. */
async function serve(answer: RequestListener): Promise<string> {
  const server: Server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("versions", () => {
  test.each([
    ["v3.259.0", "3.253.0", true],
    ["3.253.0", "3.253.0", true],
    ["v3.252.9", "3.253.0", false],
    ["go1.26.8", "1.26.6", true],
    ["go1.26", "1.26.6", false],
    ["go1.9.7", "1.26.6", false],
    ["go1.27", "1.26.6", true],
    ["v3.259.0-alpha.1", "3.253.0", true],
    ["", "1.0", false],
    ["devel", "1.0", false],
  ])("%s is at least %s: %s", (version, least, expected) => expect(isAtLeast(version, least)).toBe(expected));
});

describe("pins", () => {
  const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };

  test("the plugins are those of the packages", () => {
    expect(dependencies["@pulumi/docker"]).toBe(pins.docker.version);
    expect(dependencies["@pulumi/random"]).toBe(pins.random.version);
    expect(dependencies["@pulumi/cloudflare"]).toBe(pins.cloudflare.version);
  });

  test("the CLI is that of the package", () => expect(dependencies["@pulumi/pulumi"]).toBe(pins.pulumi.version));

  test("the Go sources say the same versions", () => {
    const plugins = [
      { name: "docker", version: pins.docker.version, module: "pulumi", source: "docker/" },
      { name: "random", version: pins.random.version, module: "pulumi", source: "random/" },
      { name: "cloudflare", version: pins.cloudflare.version, module: "cloudflare", source: "" },
    ];
    for (const { name, version, module, source } of plugins) {
      expect(read(`toolchain/${module}/${source}provider.go`)).toContain(`const Version = "${version}"`);
      const schema = JSON.parse(read(`toolchain/${module}/pulumi-resource-${name}/schema.json`)) as { name: string };
      expect(schema.name).toBe(name);
    }
    for (const module of ["pkg", "sdk"]) {
      expect(read("toolchain/pulumi/go.mod")).toContain(
        `github.com/pulumi/pulumi/${module}/v3 v${pins.pulumi.version}`,
      );
    }
    expect(read("toolchain/traefik/go.mod")).toContain(`github.com/traefik/traefik/v3 v${pins.traefik}\n`);
    expect(read("toolchain/actionlint/go.mod")).toContain(`github.com/rhysd/actionlint v${pins.actionlint} `);
  });

  test("no module needs a newer Go than is accepted, and the provided one is accepted", () => {
    for (const module of ["pulumi", "cloudflare", "traefik", "cloudflared", "actionlint"]) {
      const needed = /^go (.*)$/m.exec(read(`toolchain/${module}/go.mod`))![1]!;
      expect(isAtLeast(pins.go.least, needed), `${module} needs ${needed}`).toBe(true);
    }
    expect(isAtLeast(pins.go.version, pins.go.least)).toBe(true);
  });

  test("Renovate finds every image, and every archive of Trivy with its checksum", () => {
    const { customManagers } = JSON.parse(read("renovate.json")) as {
      customManagers: { managerFilePatterns: string[]; matchStrings: [string] }[];
    };
    const found = (file: string) => {
      const manager = customManagers.find(({ managerFilePatterns }) =>
        managerFilePatterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(file)),
      );
      return [...read(file).matchAll(new RegExp(manager!.matchStrings[0], "g"))].map(({ groups }) => ({ ...groups }));
    };
    expect(
      ["components/images.ts", "images.ts"]
        .flatMap(found)
        .map(({ depName, currentValue, currentDigest }) => `${depName}:${currentValue}@${currentDigest}`),
    ).toEqual(Object.values(images));
    expect(found("toolchain/pins.ts")).toEqual(
      Object.values(pins.trivy).map(({ version, sha256 }) => ({ currentValue: version, currentDigest: sha256 })),
    );
  });

  test("every checksum has the length of its kind", () => {
    for (const sums of [pins.go.sha256, ...archiveNames.map((name) => pins[name].sha256)]) {
      for (const sum of Object.values(sums)) expect(sum).toMatch(/^[0-9a-f]{64}$/);
    }
    for (const { version, sha256 } of Object.values(pins.trivy)) {
      expect(version).toBe(pins.trivy.x64.version);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    const lines = read("toolchain/node.pin").trim().split("\n");
    const sums = lines.filter((line) => line.includes("_SHA"));
    expect(sums).toHaveLength(5);
    for (const line of sums) expect(line).toMatch(/^\w+_(SHA256_\w+=[0-9a-f]{64}|SHA512(_\w+)?=[0-9a-f]{128})$/);
  });
});

describe("the cache", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "bulkhead-cache-"));
    vi.stubEnv("XDG_CACHE_HOME", directory);
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });
  const entries = () => readdirSync(join(directory, "bulkhead"));
  const fill = (content: string) => (place: string) => writeFile(join(place, "thing"), content);

  test("keeps what was made", async () => {
    const place = await kept("thing", "k1", fill("one"));
    expect(place).toBe(join(directory, "bulkhead", "thing-k1"));
    expect(await kept("thing", "k1", fill("two"))).toBe(place);
    expect(readFileSync(join(place, "thing"), "utf8")).toBe("one");
    expect(entries()).toEqual(["thing-k1"]);
  });

  test("that cannot be made is named, with what to do", async () => {
    writeFileSync(join(directory, "bulkhead"), "a file");
    await expect(kept("thing", "k1", fill("one"))).rejects.toThrow(
      /^\/.*\/bulkhead: cannot be made \(EEXIST\): let yourself write there, or set XDG_CACHE_HOME to /,
    );
  });

  test("takes nothing half-finished for finished", async () => {
    const broken = kept("thing", "k1", async (place) => {
      await fill("half")(place);
      throw new Error("the power went out");
    });
    await expect(broken).rejects.toThrow("the power went out");
    expect(entries()).toEqual([]);
    const place = await kept("thing", "k1", fill("whole"));
    expect(readFileSync(join(place, "thing"), "utf8")).toBe("whole");
  });

  test("cleans up after a run that was killed, and takes its lock over", async () => {
    const dead = spawnSync("true").pid;
    mkdirSync(join(directory, "bulkhead", "thing-k1.partial-0123"), { recursive: true });
    writeFileSync(join(directory, "bulkhead", "thing-k1.lock"), `${dead} ${readlinkSync("/proc/self/ns/pid")}`);
    await kept("thing", "k1", fill("whole"));
    expect(entries()).toEqual(["thing-k1"]);
  });

  test("makes a thing once when two want it at the same time", async () => {
    let times = 0;
    const slow = async (place: string) => {
      times++;
      await new Promise((done) => setTimeout(done, 50));
      await fill("whole")(place);
    };
    const [one, other] = await Promise.all([kept("thing", "k1", slow), kept("thing", "k1", slow)]);
    expect(one).toBe(other);
    expect(times).toBe(1);
    expect(entries()).toEqual(["thing-k1"]);
  });

  test("waits for who works in another container, whose process id says nothing here, and takes over who is gone", async () => {
    const lock = join(directory, "bulkhead", "thing-k1.lock");
    const halfDone = join(directory, "bulkhead", "thing-k1.partial-0123");
    mkdirSync(halfDone, { recursive: true });
    const elsewhere = `${spawnSync("true").pid} pid:[1]`;
    writeFileSync(lock, elsewhere);
    const waiting = kept("thing", "k1", fill("whole"));
    await new Promise((done) => setTimeout(done, 700));
    expect([readFileSync(lock, "utf8"), existsSync(halfDone)]).toEqual([elsewhere, true]);
    const halfAMinuteAgo = new Date(Date.now() - 30_000);
    utimesSync(lock, halfAMinuteAgo, halfAMinuteAgo);
    await waiting;
    expect(entries()).toEqual(["thing-k1"]);
  });

  test("touches its lock for as long as it works", { timeout: 10_000 }, async () => {
    const lock = join(directory, "bulkhead", "thing-k1.lock");
    await kept("thing", "k1", async (place) => {
      const longAgo = new Date(Date.now() - 3_600_000);
      utimesSync(lock, longAgo, longAgo);
      await expect.poll(() => Date.now() - statSync(lock).mtimeMs, { timeout: 8_000 }).toBeLessThan(10_000);
      await fill("whole")(place);
    });
  });

  test("throws away what has the same name and was not used for a month", async () => {
    const old = await kept("thing", "0".repeat(16), fill("old"));
    const used = await kept("thing", "1".repeat(16), fill("used"));
    const other = await kept("thing-too", "2".repeat(16), fill("other"));
    const twoMonthsAgo = new Date(Date.now() - 60 * 24 * 3600 * 1000);
    for (const place of [old, used, other]) utimesSync(place, twoMonthsAgo, twoMonthsAgo);
    await kept("thing", "1".repeat(16), fill("used"));
    await kept("thing", "3".repeat(16), fill("new"));
    expect([old, used, other].map(existsSync)).toEqual([false, true, true]);
  });

  test("has another key for any other input", () => {
    expect(keyOf("a", { b: 1 })).toMatch(/^[0-9a-f]{16}$/);
    expect(keyOf("a", { b: 1 })).toBe(keyOf("a", { b: 1 }));
    expect(keyOf("a", { b: 1 })).not.toBe(keyOf("a", { b: 2 }));
    expect(keyOf("ab", "c")).not.toBe(keyOf("a", "bc"));
  });
});

describe("the Pulumi plugins", () => {
  let directory: string;
  /** Programs that stand for Go and Pulumi: the one makes empty plugins, the other puts them where Pulumi does. */
  const programs = {
    go: `#!/bin/sh
[ "$1" = env ] && echo go${pins.go.version} && exit
while [ $# -gt 0 ]; do
  case $1 in
    -o) output=$2; shift ;;
    ./pulumi-resource-*) echo "$1" | tee -a "$BUILDS" > "$output/\${1#./}" ;;
  esac
  shift
done`,
    pulumi: `#!/bin/sh
[ "$1" = version ] && echo v${pins.pulumi.version} && exit
place=$PULUMI_HOME/plugins/resource-$4-v$5
mkdir -p "$place"
case $7 in
  *.tar.gz) tar -xzf "$7" -C "$place" ;;
  *) cp "$7" "$place/" ;;
esac`,
    "pulumi-language-nodejs": "#!/bin/sh",
  };
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "bulkhead-plugins-"));
    mkdirSync(join(directory, "bin"));
    for (const [name, script] of Object.entries(programs))
      writeFileSync(join(directory, "bin", name), script, { mode: 0o755 });
    vi.stubEnv("PATH", `${join(directory, "bin")}:/usr/bin:/bin`);
    vi.stubEnv("XDG_CACHE_HOME", join(directory, "cache"));
    vi.stubEnv("PULUMI_HOME", join(directory, "home"));
    vi.stubEnv("PULUMI_CREDENTIALS_PATH", undefined);
    vi.stubEnv("BUILDS", join(directory, "builds"));
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });
  const builds = () => {
    const file = join(directory, "builds");
    return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  };
  const inUsersHome = (name: string, version: string) => {
    const place = join(directory, "home", "plugins", `resource-${name}-v${version}`);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, `pulumi-resource-${name}`), "official");
  };
  const pluginOf = (home: string, name: string, version: string) =>
    readFileSync(join(home, "plugins", `resource-${name}-v${version}`, `pulumi-resource-${name}`), "utf8").trim();

  test("the one for Cloudflare is built for a stack that uses it, and for no other", async () => {
    const { env } = await provideToolchain({ archives: {} });
    expect(builds()).toEqual(["./pulumi-resource-docker", "./pulumi-resource-random"]);
    expect(readdirSync(join(env["PULUMI_HOME"]!, "plugins"))).toHaveLength(2);

    const { env: withCloudflare } = await provideToolchain({ cloudflare: true, archives: {} });
    expect(builds().slice(2), "and docker and random are not built again").toEqual(["./pulumi-resource-cloudflare"]);
    const home = withCloudflare["PULUMI_HOME"]!;
    expect(pluginOf(home, "docker", pins.docker.version)).toBe("./pulumi-resource-docker");
    expect(pluginOf(home, "cloudflare", pins.cloudflare.version)).toBe("./pulumi-resource-cloudflare");
    expect(withCloudflare["PULUMI_CREDENTIALS_PATH"]).toBe(join(directory, "home"));

    await provideToolchain({ cloudflare: true, archives: {} });
    expect(builds(), "and kept").toHaveLength(3);
  });

  test("the user's own is used", async () => {
    inUsersHome("cloudflare", pins.cloudflare.version);
    const { env } = await provideToolchain({ cloudflare: true, archives: {} });
    expect(builds()).toEqual(["./pulumi-resource-docker", "./pulumi-resource-random"]);
    expect(pluginOf(env["PULUMI_HOME"]!, "cloudflare", pins.cloudflare.version)).toBe("official");
  });

  test("a user's home with all of them stays as it is", async () => {
    inUsersHome("docker", pins.docker.version);
    inUsersHome("random", pins.random.version);
    expect((await provideToolchain({ archives: {} })).env).not.toHaveProperty("PULUMI_HOME");
    inUsersHome("cloudflare", pins.cloudflare.version);
    expect((await provideToolchain({ cloudflare: true, archives: {} })).env).not.toHaveProperty("PULUMI_HOME");
    expect(builds()).toEqual([]);
  });

  test("a home of ours keeps no log of Pulumi's, also where there was one, and the user's is left as it is", async () => {
    const logs = (home: string) => join(home, "logs");
    mkdirSync(join(logs(join(directory, "home")), "kept"), { recursive: true });
    const { env } = await provideToolchain({ archives: {} });
    const home = env["PULUMI_HOME"]!;
    expect(statSync(logs(home)).isFile()).toBe(true);
    rmSync(logs(home));
    mkdirSync(join(logs(home), "of before"), { recursive: true });
    const { env: withCloudflare } = await provideToolchain({ cloudflare: true, archives: {} });
    for (const each of [home, withCloudflare["PULUMI_HOME"]!]) expect(statSync(logs(each)).isFile()).toBe(true);
    expect(readdirSync(logs(join(directory, "home")))).toEqual(["kept"]);
  });

  test("pulumi works as fast as it can, unless its user says otherwise", async () => {
    expect((await provideToolchain({ archives: {} })).env).toMatchObject({ PULUMI_PARALLEL_DIFF: "true", GOGC: "400" });
    vi.stubEnv("PULUMI_PARALLEL_DIFF", "false");
    vi.stubEnv("GOGC", "100");
    expect((await provideToolchain({ archives: {} })).env).toMatchObject({
      PULUMI_PARALLEL_DIFF: "false",
      GOGC: "100",
    });
  });

  test("another version of the user's is not taken", async () => {
    inUsersHome("docker", pins.docker.version);
    inUsersHome("random", pins.random.version);
    inUsersHome("cloudflare", "6.0.0");
    await provideToolchain({ cloudflare: true, archives: {} });
    expect(builds()).toContain("./pulumi-resource-cloudflare");
  });

  describe("from official archives", () => {
    /** An archive of a plugin, as the release host has it. */
    const archiveOf = (name: string) => {
      const place = mkdtempSync(join(directory, "archive-"));
      writeFileSync(join(place, `pulumi-resource-${name}`), `official ${name}`, { mode: 0o755 });
      execFileSync("tar", ["-czf", join(place, "archive"), "-C", place, `pulumi-resource-${name}`]);
      return readFileSync(join(place, "archive"));
    };
    const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    /** A host that answers every request alike; what it was asked for is in `asked`. */
    const asked: string[] = [];
    const host = async (name: string, answer: (response: ServerResponse) => void) =>
      `http://${await serve((request, response) => {
        if (request.method === "HEAD") return void response.end();
        asked.push(name);
        answer(response);
      })}/archive.tar.gz`;
    const nobody = "http://127.0.0.1:9/archive.tar.gz";
    let docker: Buffer, random: Buffer;
    beforeEach(() => {
      [docker, random] = [archiveOf("docker"), archiveOf("random")];
      asked.length = 0;
    });
    const plugins = (home: string) => [
      pluginOf(home, "docker", pins.docker.version),
      pluginOf(home, "random", pins.random.version),
    ];

    test("the first address that has it is enough, and nothing is built", async () => {
      const first = await host("first", (response) => response.end(docker));
      const second = await host("second", (response) => response.end(docker));
      const other = await host("other", (response) => response.end(random));
      const archives = {
        docker: { addresses: [first, second], sha256: sha256(docker) },
        random: { addresses: [nobody, other], sha256: sha256(random) },
      };
      const { env } = await provideToolchain({ archives });
      expect(plugins(env["PULUMI_HOME"]!)).toEqual(["official docker", "official random"]);
      expect(asked).toEqual(["first", "other"]);
      expect(builds()).toEqual([]);
      expect(readdirSync(env["PULUMI_HOME"]!), "and no archive stays").toEqual(["logs", "plugins"]);
    });

    test("one that is not what was pinned is never installed: the second address is asked, and then it is built", async () => {
      const wrong = await host("wrong", (response) => response.end(random));
      const right = await host("right", (response) => response.end(docker));
      const gone = await host("gone", (response) => response.writeHead(404).end());
      const archives = {
        docker: { addresses: [wrong, right], sha256: sha256(docker) },
        random: { addresses: [gone, wrong], sha256: sha256(docker) },
      };
      const { env } = await provideToolchain({ archives });
      expect(asked).toEqual(["wrong", "right", "gone", "wrong"]);
      expect(builds(), "each for itself").toEqual(["./pulumi-resource-random"]);
      expect(plugins(env["PULUMI_HOME"]!)).toEqual(["official docker", "./pulumi-resource-random"]);
      expect(readdirSync(env["PULUMI_HOME"]!)).toEqual(["logs", "plugins"]);
    });

    test("the one for Cloudflare too, once its checksum is known", async () => {
      const cloudflare = archiveOf("cloudflare");
      const right = await host("right", (response) => response.end(cloudflare));
      const archives = { cloudflare: { addresses: [right], sha256: sha256(cloudflare) } };
      const { env } = await provideToolchain({ cloudflare: true, archives });
      expect(pluginOf(env["PULUMI_HOME"]!, "cloudflare", pins.cloudflare.version)).toBe("official cloudflare");
      expect(builds()).toEqual(["./pulumi-resource-docker", "./pulumi-resource-random"]);
    });

    test("the CLI is taken in the same way", async () => {
      const release = mkdtempSync(join(directory, "release-"));
      mkdirSync(join(release, "pulumi"));
      writeFileSync(join(release, "pulumi", "pulumi"), programs.pulumi, { mode: 0o755 });
      execFileSync("tar", ["-czf", join(release, "archive"), "-C", release, "pulumi"]);
      const bytes = readFileSync(join(release, "archive"));
      rmSync(join(directory, "bin", "pulumi"));
      const wrong = await host("wrong", (response) => response.end("something else"));
      const right = await host("right", (response) => response.end(bytes));
      const archives = { pulumi: { addresses: [wrong, right], sha256: sha256(bytes) } };
      const { env } = await provideToolchain({ archives });
      expect(asked).toEqual(["wrong", "right"]);
      expect(readdirSync(env["PATH"]!.split(":")[0]!)).toEqual(["pulumi"]);
      expect(builds(), "of which there is no build").toEqual(["./pulumi-resource-docker", "./pulumi-resource-random"]);
    });

    test.each([
      ["says nothing at all", () => undefined],
      ["stops in the middle", (response: ServerResponse) => response.write(Buffer.alloc(5_000))],
      ["would take for ever", (response: ServerResponse) => trickle(response)],
    ])("a host that %s is left for the second", async (_, answer) => {
      const slow = await host("slow", answer);
      const right = await host("right", (response) => response.end(docker));
      const file = join(directory, "file");
      const archive = { addresses: [slow, right], sha256: sha256(docker) };
      const patience = { windowSeconds: 0.2, leastPerWindow: 1_000 };
      expect(await fetchArchive(archive, file, patience)).toBe(true);
      expect(readFileSync(file)).toEqual(docker);
      expect(asked).toEqual(["slow", "right"]);
      expect(await fetchArchive({ ...archive, addresses: [slow] }, file, patience)).toBe(false);
      expect(existsSync(file), "and leaves nothing").toBe(false);
    });

    /** A little now and then, until the other side has had enough. */
    const trickle = (response: ServerResponse) => {
      const timer = setInterval(() => response.write("a little"), 20);
      response.on("close", () => clearInterval(timer));
    };

    test("are asked for by the names that their hosts have", () => {
      const { pulumi, docker } = pinnedArchives("x64");
      const [cli, plugin] = [`v${pins.pulumi.version}`, `v${pins.docker.version}`];
      expect(pulumi!.addresses).toEqual([
        `https://get.pulumi.com/releases/sdk/pulumi-${cli}-linux-x64.tar.gz`,
        `https://github.com/pulumi/pulumi/releases/download/${cli}/pulumi-${cli}-linux-x64.tar.gz`,
      ]);
      expect(docker!.addresses).toEqual([
        `https://get.pulumi.com/releases/plugins/pulumi-resource-docker-${plugin}-linux-amd64.tar.gz`,
        `https://github.com/pulumi/pulumi-docker/releases/download/${plugin}/pulumi-resource-docker-${plugin}-linux-amd64.tar.gz`,
      ]);
      const known = archiveNames.filter((name) => "x64" in pins[name].sha256);
      expect(Object.keys(pinnedArchives("x64")), "those whose checksums are known").toEqual(known);
      expect(pinnedArchives("arm64").docker!.addresses[0]).toMatch(/-linux-arm64\.tar\.gz$/);
      expect(pinnedArchives(undefined)).toEqual({});
    });
  });
});

describe("new checksums of Pulumi's archives", () => {
  const sum = (text: string) => createHash("sha256").update(text).digest("hex");
  /** The release host and GitHub; `published` is what GitHub says of a file. */
  const hosts = async (published: (file: string) => string | null) => {
    const files = ["amd64", "arm64"].map((arch) => `pulumi-resource-docker-v9.9.9-linux-${arch}.tar.gz`);
    const releases = await serve((request, answer) => answer.end(`bytes of ${request.url!.split("/").pop()}`));
    const githubApi = await serve((request, answer) => {
      if (request.url !== "/repos/pulumi/pulumi-docker/releases/tags/v9.9.9") return void answer.writeHead(404).end();
      answer.end(JSON.stringify({ assets: files.map((name) => ({ name, digest: published(name) })) }));
    });
    return { releases: `http://${releases}`, githubApi: `http://${githubApi}`, github: "http://127.0.0.1:9" };
  };
  beforeEach(() => {
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    return () => vi.restoreAllMocks();
  });

  test("are those on which GitHub and the release host agree", async () => {
    const agreeing = await hosts((file) => `sha256:${sum(`bytes of ${file}`)}`);
    expect(await findChecksums("docker", "9.9.9", agreeing)).toEqual({
      x64: sum("bytes of pulumi-resource-docker-v9.9.9-linux-amd64.tar.gz"),
      arm64: sum("bytes of pulumi-resource-docker-v9.9.9-linux-arm64.tar.gz"),
    });
    await expect(findChecksums("docker", "9.9.8", agreeing)).rejects.toThrow(/v9\.9\.8 answered 404/);
  });

  test("are refused where the two differ, if only for one architecture, or one says nothing", async () => {
    const differing = await hosts((file) => `sha256:${sum(file.includes("arm64") ? "other" : `bytes of ${file}`)}`);
    await expect(findChecksums("docker", "9.9.9", differing)).rejects.toThrow(/^refused: GitHub's digest of \S+arm64/);
    const silent = await hosts(() => null);
    await expect(findChecksums("docker", "9.9.9", silent)).rejects.toThrow(/^refused: GitHub has no sha256 digest of/);
  });

  test("are refused where the version is pinned already, with others", async () => {
    const { version } = pins.docker;
    const file = `pulumi-resource-docker-v${version}-linux-amd64.tar.gz`;
    const releases = await serve((_, answer) => answer.end("replaced"));
    const digest = `sha256:${sum("replaced")}`;
    const api = await serve((_, answer) => answer.end(JSON.stringify({ assets: [{ name: file, digest }] })));
    const replaced = { releases: `http://${releases}`, githubApi: `http://${api}`, github: "http://127.0.0.1:9" };
    await expect(findChecksums("docker", version, replaced)).rejects.toThrow(
      `refused: ${file} was pinned as ${pins.docker.sha256.x64} and is ${sum("replaced")} now`,
    );
  });

  test.each(archiveNames)("of %s have their place in pins.ts", (name) => {
    const text = read("toolchain/pins.ts");
    const sums = { x64: "1".repeat(64), arm64: "2".repeat(64) };
    const after = withChecksums(text, name, "9.9.9", sums);
    const block = `  ${name}: {
    version: "9.9.9",
    sha256: {
      x64: "${sums.x64}",
      arm64: "${sums.arm64}",
    },
  },
`;
    expect(after).toContain(block);
    expect(after.replace(block, "")).toBe(text.replace(new RegExp(`  ${name}: \\{\n[^]*?\n  \\},\n`), ""));
  });
});

test(
  "`make pin` writes what is agreed on into pins.ts, says what is not, and fails if anything stays as it was",
  { timeout: 60_000 },
  () => {
    const copy = new RepositoryCopy();
    onTestFinished(() => copy.remove());
    // The internet, of which only these two hosts are there: they agree on all but random, whose release was replaced.
    const internet = `
    import { createHash } from "node:crypto";
    globalThis.fetch = async (address) => {
      const { host, pathname } = new URL(address);
      if (host === "get.pulumi.com") return new Response(pathname.split("/").pop());
      if (host !== "api.github.com") throw new TypeError("fetch failed", { cause: new Error("no such host") });
      const [, , , repository, , , tag] = pathname.split("/");
      const files = ["x64", "arm64"].map((arch) =>
        repository === "pulumi"
          ? "pulumi-" + tag + "-linux-" + arch + ".tar.gz"
          : repository.replace("-", "-resource-") + "-" + tag + "-linux-" + arch.replace("x64", "amd64") + ".tar.gz");
      const digest = (file) => createHash("sha256").update(file + (repository === "pulumi-random" ? "!" : "")).digest("hex");
      return Response.json({ assets: files.map((name) => ({ name, digest: "sha256:" + digest(name) })) });
    };`;
    copy.edit("package.json", `"@pulumi/pulumi": "${pins.pulumi.version}"`, '"@pulumi/pulumi": "9.0.0"');
    copy.edit("package.json", `"@pulumi/docker": "${pins.docker.version}"`, '"@pulumi/docker": "9.1.0"');
    const before = readFileSync(join(copy.directory, "toolchain/pins.ts"), "utf8");
    const loaded = `data:text/javascript,${encodeURIComponent(internet)}`;
    const { status, stdout } = spawnSync(process.execPath, ["--import", loaded, "scripts/pin.ts"], {
      cwd: copy.directory,
      encoding: "utf8",
    });
    expect(status).toBe(1);
    expect(stdout).toMatch(/^traefik\S+ +unchanged: its host cannot be reached \(no such host\)$/m);
    expect(stdout).toMatch(/^pulumi 9\.0\.0 +on which GitHub and get\.pulumi\.com agree$/m);
    expect(stdout).toMatch(/^random \S+ +unchanged: refused: GitHub's digest of /m);
    const sum = (file: string) => createHash("sha256").update(file).digest("hex");
    const after = readFileSync(join(copy.directory, "toolchain/pins.ts"), "utf8");
    expect(after).toContain(`version: "9.0.0",\n    sha256: {\n      x64: "${sum("pulumi-v9.0.0-linux-x64.tar.gz")}"`);
    expect(after).toContain(`arm64: "${sum("pulumi-resource-docker-v9.1.0-linux-arm64.tar.gz")}"`);
    const random = /\n {2}random: [^]*?\n {2}\}/;
    expect(random.exec(after)![0]).toBe(random.exec(before)![0]);
  },
);

describe("the pinned Go", () => {
  test("builds Traefik, whatever newer one is installed, and that one builds the rest", async () => {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-go-"));
    onTestFinished(() => {
      vi.unstubAllEnvs();
      vi.restoreAllMocks();
      rmSync(directory, { recursive: true });
    });
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const place = (path: string, script: string) => {
      mkdirSync(join(directory, path, ".."), { recursive: true });
      writeFileSync(join(directory, path), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };
    const go = (version: string) => `[ "$1" = env ] && echo go${version} && exit
while [ "$1" != -o ]; do shift; done
echo "built by ${version}" > "$2/program"`;
    const cached = `cache/bulkhead/go-${keyOf(pins.go.version, process.arch)}/go/bin/go`;
    place(cached, go(pins.go.version));
    place("bin/mmdebstrap", 'for last; do :; done; echo > "$last"');
    vi.stubEnv("PATH", `${join(directory, "bin")}:/usr/bin:/bin`);
    vi.stubEnv("XDG_CACHE_HOME", join(directory, "cache"));
    const builtBy = (name: string) => {
      const entry = readdirSync(join(directory, "cache/bulkhead")).find((entry) => entry.startsWith(`${name}-`))!;
      return readFileSync(join(directory, "cache/bulkhead", entry, "program"), "utf8").trim();
    };

    place("bin/go", go("1.27.3"));
    await (await standInFor("traefik:v3"))!.archive();
    await (await standInFor("cloudflared:v1"))!.archive();
    expect([builtBy("traefik"), builtBy("cloudflared")]).toEqual([`built by ${pins.go.version}`, "built by 1.27.3"]);
  });
});

describe("downloads", () => {
  const content = "what was pinned";
  const sha256 = createHash("sha256").update(content).digest("hex");
  let file: string;
  beforeEach(() => {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-download-"));
    file = join(directory, "file");
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    return () => {
      rmSync(directory, { recursive: true });
      vi.restoreAllMocks();
    };
  });

  test("keeps what was pinned", async () => {
    const address = await serve((_, answer) => answer.end(content));
    await download(`http://${address}/file`, sha256, file);
    expect(readFileSync(file, "utf8")).toBe(content);
  });

  test("throws away what was not", async () => {
    const address = await serve((_, answer) => answer.end("something else"));
    await expect(download(`http://${address}/file`, sha256, file)).rejects.toThrow(/is not what was pinned/);
    expect(existsSync(file)).toBe(false);
  });

  test("says what a server answered", async () => {
    const address = await serve((_, answer) => answer.writeHead(403).end());
    await expect(download(`http://${address}/file`, sha256, file)).rejects.toThrow(/answered 403/);
  });

  test("asks a host once whether it answers", async () => {
    let asked = 0;
    const address = await serve((_, answer) => {
      asked++;
      answer.writeHead(404).end();
    });
    expect(await reachable(`http://${address}/a`)).toBe(true);
    expect(await reachable(`http://${address}/b`)).toBe(true);
    expect(asked).toBe(1);
    expect(await reachable("http://127.0.0.1:9/nobody-listens")).toBe(false);
  });
});

describe("image references", () => {
  test.each([
    ["traefik:v3.7.14@sha256:ab", "traefik:v3.7.14", "traefik", "registry-1.docker.io", "library/traefik"],
    ["edoburu/pgbouncer:v1", "edoburu/pgbouncer:v1", "edoburu/pgbouncer", "registry-1.docker.io", "edoburu/pgbouncer"],
    ["docker.io/node:24", "docker.io/node:24", "docker.io/node", "registry-1.docker.io", "library/node"],
    [
      "ghcr.io/google/cadvisor:v0.60@sha256:ab",
      "ghcr.io/google/cadvisor:v0.60",
      "ghcr.io/google/cadvisor",
      "ghcr.io",
      "google/cadvisor",
    ],
    ["localhost:5000/a:1", "localhost:5000/a:1", "localhost:5000/a", "localhost:5000", "a"],
  ])("%s", (reference, tag, name, registry, repository) => {
    expect([tagOf(reference), nameOf(reference)]).toEqual([tag, name]);
    expect([registryOf(reference), repositoryOf(reference)]).toEqual([registry, repository]);
  });
});

describe("digests", () => {
  const digest = `sha256:${"5".repeat(64)}`;

  test("come from a registry, with a token where it wants one", async () => {
    const asked: string[] = [];
    const address = await serve((request, answer) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.url?.startsWith("/token")) return void answer.end(JSON.stringify({ token: "for-anyone" }));
      if (request.headers.authorization !== "Bearer for-anyone") {
        const challenge = `Bearer realm="http://${request.headers.host}/token",service="here",scope="repository:a/b:pull"`;
        return void answer.writeHead(401, { "WWW-Authenticate": challenge }).end();
      }
      expect(request.headers.accept).toContain("application/vnd.oci.image.index.v1+json");
      answer.writeHead(200, { "Docker-Content-Digest": digest }).end();
    });
    expect(await resolveDigest(`${address}/a/b:v1@sha256:old`)).toBe(digest);
    expect(asked).toEqual([
      "HEAD /v2/a/b/manifests/v1",
      "GET /token?service=here&scope=repository%3Aa%2Fb%3Apull",
      "HEAD /v2/a/b/manifests/v1",
    ]);
  });

  test("are never made up", async () => {
    const missing = await serve((_, answer) => answer.writeHead(404).end());
    await expect(resolveDigest(`${missing}/a:v1`)).rejects.toThrow(/answered 404/);
    const silent = await serve((_, answer) => answer.writeHead(200).end());
    await expect(resolveDigest(`${silent}/a:v1`)).rejects.toThrow(/gave no digest/);
  });
});

describe("stand-in images", () => {
  test("are named by a key of their recipe, which another tag changes", async () => {
    for (const [key, reference] of Object.entries(images) as [keyof typeof images, string][]) {
      const standIn = (await standInFor(reference))!;
      expect(standIn.reference).toMatch(new RegExp(`^bulkhead\\.local/${key}:[0-9a-f]{16}$`));
      expect((await standInFor(reference))!.reference).toBe(standIn.reference);
      expect((await standInFor(reference.replace(/:.*/, ":other")))!.reference).not.toBe(standIn.reference);
    }
  });
});

describe("toolchain/run", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "bulkhead-run-"));
    return () => rmSync(directory, { recursive: true });
  });
  const place = (path: string, content: string, mode = 0o644) => {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    writeFileSync(join(directory, path), content, { mode });
  };
  /** A machine with these programs beside the system's own; what it would download is refused. */
  const machine = (programs: Record<string, string>) => {
    for (const file of ["toolchain/run", "toolchain/node.pin"]) place(`project/${file}`, read(file));
    place("project/package-lock.json", "{}");
    place("project/node_modules/.package-lock.json", "{}");
    for (const [name, script] of Object.entries({ curl: "exit 7", npm: "exit 1", ...programs })) {
      place(`bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
    }
    return (...args: string[]) => {
      const env = { PATH: `${directory}/bin:/usr/bin:/bin`, HOME: directory };
      const { status, stdout, stderr } = spawnSync("bash", [`${directory}/project/toolchain/run`, ...args], { env });
      return { status, stdout: stdout.toString(), stderr: stderr.toString() };
    };
  };
  const installed = (version: string) => ({ node: `[ "$1" = --version ] && echo ${version} || echo "installed $*"` });
  const pinned = () => {
    const version = /^NODE_VERSION=(.*)$/m.exec(read("toolchain/node.pin"))![1]!;
    const npm = /^NPM_VERSION=(.*)$/m.exec(read("toolchain/node.pin"))![1]!;
    return `.cache/bulkhead/node-${version}-npm-${npm}`;
  };

  test.each(["v22.18.0", "v23.6.0", "v24.0.0", "v26.1.0"])("takes an installed Node %s", (version) => {
    expect(machine(installed(version))("a", "b c")).toMatchObject({
      status: 0,
      stdout: "installed --conditions=bulkhead-source a b c\n",
    });
  });

  test.each(["v20.20.2", "v22.17.1", "v23.5.0", "v8.1.0"])("takes the pinned one rather than Node %s", (version) => {
    const runIt = machine(installed(version));
    place(`${pinned()}/bin/node`, '#!/bin/sh\necho "pinned $*"\n', 0o755);
    expect(runIt("a")).toMatchObject({ status: 0, stdout: "pinned --conditions=bulkhead-source a\n" });
  });

  test("says what to do when no Node can be had, and leaves nothing behind", () => {
    const { status, stderr } = machine(installed("v20.0.0"))("a");
    expect(status).toBe(1);
    expect(stderr).toContain("install it from https://nodejs.org and run this again");
    expect(readdirSync(join(directory, ".cache/bulkhead"))).toEqual([]);
  });

  test("refuses a Node that is not what was pinned", () => {
    const curl = 'while [ "$1" != -o ]; do shift; done; echo other > "$2"';
    const { status, stderr } = machine({ ...installed("v20.0.0"), curl })("a");
    expect(status).toBe(1);
    expect(stderr).toMatch(/node-v.*\.tar\.gz is not what was pinned/);
    expect(existsSync(join(directory, pinned()))).toBe(false);
  });

  test("installs the packages when the lock file says something new, and only then", () => {
    const npm = 'echo "npm $*" >&2; mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json';
    const runIt = machine({ ...installed("v24.0.0"), npm });
    const later = (seconds: number) => {
      const date = new Date(Date.now() + seconds * 1000);
      utimesSync(join(directory, "project/package-lock.json"), date, date);
    };
    const installs = () =>
      runIt("a")
        .stderr.split("\n")
        .filter((line) => line.startsWith("npm ")).length;
    expect(installs()).toBe(0);
    place("project/package-lock.json", '{"new": true}');
    later(60);
    expect(installs()).toBe(1);
    later(120);
    expect(installs()).toBe(0);
    place("project/package-lock.json", '{"newer": true}');
    later(180);
    expect(installs()).toBe(1);
    rmSync(join(directory, "project/node_modules"), { recursive: true });
    expect(installs()).toBe(1);
  });
});

test("a program that fails is shown with its last lines, and not with a whole script among its arguments", async () => {
  const script = "echo something went wrong >&2; exit 3\n# more of it";
  await expect(run("sh", ["-c", script])).rejects.toThrow(
    /^sh -c echo something went wrong >&2; exit 3 …: ended with 3\nsomething went wrong$/,
  );
});

test.each([
  [0.4, "0 s"],
  [59.4, "59 s"],
  [59.6, "1 min 0 s"],
  [168, "2 min 48 s"],
])("%d seconds are %s", (seconds, text) => expect(formatSeconds(seconds)).toBe(text));
