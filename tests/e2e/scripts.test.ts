// Each tool that a script of a component calls is in the image that the script runs in: images with the same name differ in
// what their busybox has, and a tool that is missing inside of a pipe ends nothing.
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { dataImages } from "../../components/data/images.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { images as own } from "../support/images.ts";
import { docker } from "../support/stack-inside.ts";

const all = { ...own, ...dataImages };
/** Where each script of `components/` runs. */
const RUNS_IN: Partial<Record<keyof typeof all, string[]>> = {
  postgres: [
    ...["backup-base", "backup-drill", "backup-receive", "backup-restore", "backup-result", "backup-unpack"],
    ...["postgres-databases", "postgres-init", "postgres-login", "postgres-start"],
    ...["upgrade-copy", "upgrade-restore", "upgrade-rows", "backup-fresh"],
  ],
  rclone: [
    "backup-admit",
    "backup-fresh",
    "backup-prune",
    "backup-ship",
    "backup-vault",
    "restic-server",
    "vault-copy",
  ],
  restic: ["backup-fresh", "backup-result", "restic-drill", "restic-repository", "restic-restore", "restic-snapshot"],
  pgbouncer: ["pgbouncer-start"],
  valkey: ["redis-health", "redis-start"],
  // Jobs and what only watches run in the edge's image; it stands for the images of users that have busybox, too.
  traefik: ["backup-watch", "cutover", "export-secrets", "health", "heartbeat", "http-health", "schedule"],
  nginx: ["site-keep", "site-pack"],
  node: ["export-secrets", "health", "heartbeat", "http-health", "schedule"],
};
/** Words of prose and of SQL that are names of commands too. */
const NO_COMMANDS = new Set([
  "as",
  "file",
  "host",
  "join",
  "login",
  "make",
  "more",
  "open",
  "shutdown",
  "who",
  "write",
]);

const engine = new Engine(process.env["DOCKER_HOST"]!);
afterAll(() => engine.close());

test("each script has its image", () => {
  const known = Object.values(RUNS_IN).flat();
  const there = globSync("components/*/*.sh").map((path) => path.replace(/^.*\//, "").replace(/\.sh$/, ""));
  expect(there.length).toBeGreaterThan(30);
  expect(there.filter((name) => !known.includes(name))).toEqual([]);
});

test("what is taken for a command is one", () => {
  const script =
    "comm -23 a b | awk '{ print $1 }' # sed\nx=$(cksum <f) sort=1 ./cut tail/head\n" +
    'wall=1; echo "who: $(paste f)"; command -v curl && curl x; watch() { wc; }; watch';
  expect(commandsIn(script)).toEqual(["awk", "cksum", "comm", "echo", "paste", "wc"]);
});

test.each(Object.entries(RUNS_IN) as [keyof typeof all, string[]][])(
  "%s has the tools of %j",
  async (image, scripts) => {
    const [given] = Object.values(await provideImages(engine, { [image]: all[image] }));
    const commands = new Set(
      scripts.flatMap((name) => commandsIn(readFileSync(globSync(`components/*/${name}.sh`)[0]!, "utf8"))),
    );
    expect(commands.size).toBeGreaterThan(0);
    const ask = 'for each; do command -v "$each" >/dev/null || echo "$each"; done; echo asked';
    const run = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", given!, "-c", ask, "ask"];
    const { stdout } = await docker(...run, ...commands);
    const missing = stdout.trim().split("\n");
    expect(missing.pop()).toBe("asked");
    expect(missing.filter((each) => !NO_COMMANDS.has(each))).toEqual([]);
  },
);

/**
 * The words of a script that this machine knows as commands, out of comments and of what is only said. A name that the
 * script gives itself is none, and what it looks for with `command -v` it can do without.
 */
function commandsIn(script: string): string[] {
  const code = script
    .replaceAll(/(^|\s)#.*/g, "$1")
    .replaceAll(/"[^"]*"/g, (said) => (said.match(/\$\([^)]*\)/g) ?? []).join(" "));
  const words = code.matchAll(/(?<![\w$./%{-])[a-z][\w.-]*(?![\w./=-]|\()/g);
  const others = [...script.matchAll(/(?:command -v|has) (\w+)|(\w+)(?:\(\) \{|=|\+\+)/g)].map(
    ([, asked, own]) => asked ?? own,
  );
  return [...new Set([...words].map(([word]) => word))]
    .filter((word) => KNOWN.has(word) && !others.includes(word))
    .sort();
}

const KNOWN = new Set([
  ...["/bin", "/usr/bin", "/sbin", "/usr/sbin"]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder)),
  ...execFileSync("busybox", ["--list"], { encoding: "utf8" }).trim().split("\n"),
]);
