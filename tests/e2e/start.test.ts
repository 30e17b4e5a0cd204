// docs/start.md, typed as it stands: from an empty folder and an empty server to a name that answers. What stands for the
// internet is ours: the server's address, Cloudflare's API, the CA, and where packages come from.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { provideToolchain } from "../../toolchain/pulumi.ts";
import { findProgram, run } from "../../toolchain/steps.ts";
import { BOOTSTRAP } from "../support/cloudflare/access.ts";
import { startDnsServer, type DnsServer } from "../support/cloudflare/dns-server.ts";
import { CloudflareEmulator } from "../support/cloudflare/emulator.ts";
import { repository } from "../support/copy.ts";
import { currentTestEngine } from "../support/engine.ts";
import { nameLeadsTo } from "../support/hosts-file.ts";
import { everyStacks } from "../support/images.ts";
import { startOutsideWorld, type OutsideWorld } from "../support/outside-world.ts";
import { npm, packageEnv, packPackage, writeSmallApp } from "../support/packed-package.ts";
import { startPebble, type Pebble } from "../support/pebble.ts";
import { startRemoteHost, type RemoteHost } from "../support/remote-host.ts";
import { atTerminal } from "../support/terminal.ts";

/** Of the page. */
const SERVER = "203.0.113.10";
const NAME = "shop.example.com";

const page = readFileSync(join(repository, "docs/start.md"), "utf8");
const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => ({
  language: language!,
  text: text!,
}));

const directory = mkdtempSync(join(tmpdir(), "bulkhead-start-"));
const program = join(directory, "shop");
/** What a shell has from one block to the next. */
const shell = join(directory, "shell");
let world: OutsideWorld;
let emulator: CloudflareEmulator;
let dns: DnsServer;
let pebble: Pebble;
let host: RemoteHost;
let token: string;
let env: Record<string, string | undefined>;
let forgetName: (() => Promise<void>) | undefined;

beforeAll(async () => {
  const toolchain = await provideToolchain({ cloudflare: true });
  world = await startOutsideWorld();
  const address = world.engineAddress;
  emulator = await CloudflareEmulator.start(address);
  emulator.zones.add("example.com");
  token = emulator.addToken({
    name: "bootstrap",
    permissions: [...BOOTSTRAP, "Account API Tokens Write"],
  }).value;
  dns = await startDnsServer(emulator.zones, address);
  pebble = await startPebble({ address, dnsServer: `${address}:53`, validitySeconds: 7 * 24 * 3600 });
  host = await startRemoteHost(currentTestEngine(), "empty");
  await emptyServer();
  mkdirSync(program);
  await writeSmallApp(join(directory, "app"), "answered\n");
  // A machine that trusts the CA, as it does a public one, and whatever it trusted before.
  const trusted = process.env["NODE_EXTRA_CA_CERTS"];
  const others = trusted !== undefined && existsSync(trusted) ? readFileSync(trusted, "utf8") : "";
  writeFileSync(join(directory, "ca.pem"), `${others}\n${await pebble.root()}`);
  writeFileSync(join(directory, "pebble-ca.pem"), pebble.ca);
  env = {
    ...toolchain.env,
    ...packageEnv,
    SSH_AUTH_SOCK: host.env.SSH_AUTH_SOCK,
    PATH: `${await stubs()}:${dirname(process.execPath)}:${process.env["PATH"]}`,
    NODE_EXTRA_CA_CERTS: join(directory, "ca.pem"),
    // Whoever runs the tests stays logged in where they are.
    PULUMI_CREDENTIALS_PATH: directory,
    PULUMI_CONFIG_PASSPHRASE: "of this test alone",
  };
});

afterAll(async () => {
  if (existsSync(join(program, "Pulumi.local.yaml")))
    await type("npx bulkhead down --delete-data --yes").catch(() => undefined);
  await forgetName?.();
  await run("ip", ["route", "delete", `${SERVER}/32`]).catch(() => undefined);
  await host?.stop();
  await pebble?.stop();
  await dns?.close();
  await emulator?.close();
  await world?.stop();
  rmSync(directory, { recursive: true, force: true });
});

test("the page is what this test knows: a block of commands for each of its steps, and one stack file", () => {
  expect(blocks.map(({ language }) => language)).toEqual(["sh", "sh", "yaml", "sh", "sh", "sh"]);
});

test("1: on this machine", async () => {
  const text = await type(blocks[0]!.text, [
    ["The project's name [shop]: ", ""],
    ["A path that answers 2xx when the service can serve [/]: ", ""],
  ]);
  expect(text).toMatch(/^app +https:\/\/localhost:8443\/ +healthy/m);
  expect(text).toContain("Open https://localhost:8443");
});

test("2: an empty server gets Docker and a user", async () => {
  await type(blocks[1]!.text);
  expect(await type(`ssh deploy@${SERVER} docker version --format {{.Server.Os}}`)).toContain("linux\n");
});

test("3: the stack file is understood, and doctor finds nothing that is bad but the name", async () => {
  const { config } = parse(blocks[2]!.text) as { config: Record<string, Record<string, unknown>> };
  expect(config["shop:domain"]).toBe(NAME);
  const here = new Engine(process.env["DOCKER_HOST"]!);
  const { traefik, haproxy } = { ...everyStacks, ...(await provideImages(here, everyStacks)) };
  here.close();
  await host.loadImages([traefik, haproxy]);
  // What stands for the internet is said besides.
  Object.assign(config["shop:certificates"]!, {
    ...{ caServer: pebble.directory, caCertificate: join(directory, "pebble-ca.pem") },
    resolvers: [`${world.engineAddress}:53`],
  });
  Object.assign(config["shop:cloudflare"]!, { accountId: emulator.account.id, apiUrl: emulator.baseUrl });
  config["shop:images"] = { traefik, haproxy };
  writeFileSync(join(program, "Pulumi.prod.yaml"), stringify({ config }));
  const text = await type(blocks[3]!.text);
  for (const line of ["way in", "login", "ports", "address"]) expect(text).toMatch(new RegExp(`^${line} +.* ok$`, "m"));
  expect(text).toMatch(/^DNS +shop\.example\.com has no address +warn$/m);
});

test("4: the state and the token", async () => {
  const state = join(directory, "state");
  mkdirSync(state);
  // A folder in place of an account, as the page on the state has it.
  const block = blocks[4]!.text.replace(/^pulumi login$/m, `pulumi login file://${state}`);
  const text = await type(block, [
    // Two arrows down, as the page says: "Skip for now".
    ["What would you like to do?", "\u001b[B\u001b[B"],
    ["value", token],
  ]);
  expect(text).not.toContain(token);
  expect(readFileSync(join(program, "Pulumi.prod.yaml"), "utf8")).toMatch(/shop:cloudflareApiToken:\n +secure: v1:/);
});

test("5: it is deployed, and the name answers", async () => {
  // The name leads to Cloudflare, and Cloudflare to the server: here both are this machine.
  forgetName = await nameLeadsTo(NAME, SERVER);
  const [up, ...status] = blocks[5]!.text.trim().split("\n");
  let text = await type(up!, [["Update the stack? (yes or no) ", "yes"]]);
  // With this Cloudflare, whose names the world cannot look up, `up` does not ask by the name, nor wait for the CA.
  await expect.poll(() => get().catch(() => undefined), { timeout: 90_000 }).toMatchObject({ status: 200 });
  text += await type(status.join("\n"));
  expect(text).toContain(`Open https://${NAME}\n`);
  expect(text).toContain(`for ${NAME}, *.${NAME} until `);
  expect(text).toContain("All is well with the stack prod.\n");
  expect(await get()).toEqual({ status: 200, text: "answered\n" });
});

/** Types a block at a terminal, in the folder of the program; each line has to succeed. */
async function type(
  block: string,
  answers: readonly (readonly [shown: string, typed: string])[] = [],
): Promise<string> {
  const script = `set -e\n[ ! -e ${shell} ] || . ${shell}\ncd ${program}\n${block}\nexport -p >${shell}\n`;
  const ended = await atTerminal(["bash", "-c", script], { env, answers, timeoutMs: 300_000 });
  if (ended.code !== 0) throw new Error(`exit ${ended.code}:\n${block}\n${ended.text}`);
  return stripVTControlCharacters(ended.text).replaceAll("\r", "");
}

/** A server as a provider hands it out: sshd that lets root in by a key, and nothing else. */
async function emptyServer(): Promise<void> {
  const address = new URL(host.url).hostname;
  await run("ip", ["route", "add", `${SERVER}/32`, "via", address]);
  const { code, stderr } = await host.exec("sh", ["-ec", EMPTY.replaceAll("SERVER", SERVER)]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  // The name leads to Cloudflare, which is this machine: its requests come from here.
  const [gateway] = /\bvia (\S+)/.exec((await host.exec("ip", ["route", "show", "default"])).stdout)!.slice(1);
  emulator.ranges.ipv4_cidrs = [`${gateway}/32`];
}

/** Docker's packages come from an archive that is not reached from here: apt-get finds them on the host. */
const EMPTY = `
ip address add SERVER/32 dev eth0
install -d -m 700 /root/.ssh
cp /home/deploy/.ssh/authorized_keys /root/.ssh/
chown root:root /root/.ssh/authorized_keys
userdel --remove deploy
rm /etc/ssh/sshd_config.d/keys-only.conf
pkill -HUP -x sshd
mv /usr/bin/docker /usr/bin/docker.away
mv /run/docker.sock /run/docker.away
cat >/usr/local/bin/apt-get <<'END'
#!/bin/sh
[ "$*" = update ] || [ "$*" = "install -y docker.io" ] || exit 1
[ "$1" = update ] || { mv /usr/bin/docker.away /usr/bin/docker && mv /run/docker.away /run/docker.sock; }
END
chmod 755 /usr/local/bin/apt-get
`;

/** Programs that a person has: npm, which gets the package from its registry, and ssh, which knows the server's key. */
async function stubs(): Promise<string> {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  const tarball = await packPackage(directory);
  const known = join(directory, "known_hosts");
  const [line] = readFileSync(host.knownHostsFile, "utf8").trim().split("\n");
  writeFileSync(known, `${line}\n${line!.replace(/^\S+/, SERVER)}\n`);
  const programs = {
    npm: `for word do shift; [ "$word" = bulkhead ] && word=${tarball}; set -- "$@" "$word"; done\nexec ${npm} "$@"`,
    ssh: `exec ${findProgram("ssh")!} -o UserKnownHostsFile=${known} -o StrictHostKeyChecking=yes "$@"`,
  };
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

function get(): Promise<{ status: number | undefined; text: string }> {
  const ca = readFileSync(join(directory, "ca.pem"));
  return new Promise((resolve, reject) => {
    const request = https.get(`https://${NAME}/`, { ca, agent: false, timeout: 10_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("timeout", () => request.destroy(new Error("no answer in 10 s")));
    request.on("error", reject);
  });
}
