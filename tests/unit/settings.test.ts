import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { z } from "zod";
import { settingsPage, stackSchema } from "../../cli/report/settings-page.ts";
import { images as platformImages } from "../../components/images.ts";
import { serviceSettings, text, wholeNumber } from "../../components/settings/fields.ts";
import { type ConfigError } from "../../components/settings/parse.ts";
import { defineSettings } from "../../components/settings/settings.ts";
import { makeCertificates } from "../support/certificates.ts";

const DIGEST = `sha256:${"a1".repeat(32)}`;
const settings = defineSettings({
  images: { redis: `redis:8@${DIGEST}` },
  builtImages: ["shop"],
  keys: {
    shop: serviceSettings({ memoryMb: 64, cpus: 0.2, pids: 32, drainSeconds: 5 }),
    currency: text(/^[A-Z]{3}$/, "is not a currency", "give three letters, like EUR").default("EUR"),
    items: z.strictObject({ most: wholeNumber(1, 9, "give the most items") }).optional(),
  },
  secrets: {
    mailKey: { description: "The API key of the mail provider." },
    payKey: { description: "The key of the payment provider." },
    mapsKey: { description: "The key of the maps.", optional: true },
  },
});

const { certificate, privateKey } = await makeCertificates("localhost");
const files: Record<string, string> = { "certificate.pem": certificate, "private.key": privateKey };
const platform = {
  host: "local",
  domain: "localhost",
  certificates: JSON.stringify({ kind: "files", certificate: "certificate.pem", privateKey: "private.key" }),
};

function parsed(given: Record<string, string>, secretKeys = ["mailKey", "payKey", "mapsKey"]) {
  const raw = Object.entries({ ...platform, ...given }).map(([key, value]) => [`store:${key}`, value]);
  return settings.parse(Object.fromEntries(raw) as Record<string, string>, {
    project: "store",
    secretKeys: secretKeys.map((key) => `store:${key}`),
    readFile: (path) => files[path]!,
  });
}

function problemsOf(given: Record<string, string>, secretKeys?: string[]): readonly string[] {
  try {
    parsed(given, secretKeys);
  } catch (error) {
    return (error as ConfigError).problems;
  }
  return [];
}

const raw = (edge: object) =>
  Object.fromEntries(
    Object.entries({ ...platform, edge: JSON.stringify(edge) }).map(([key, value]) => [`store:${key}`, value]),
  );
const source = { project: "store", secretKeys: [], readFile: (path: string) => files[path]! };

test("a program's TCP ports are the host's that it says, or those of the stack file", () => {
  const { parse, tcp } = defineSettings({ tcp: { clients: 2222, mail: 25 } });
  expect(tcp).toEqual({ clients: 2222, mail: 25 });
  expect(parse(raw({}), source).edge.tcp).toEqual({ clients: 2222, mail: 25 });
  expect(parse(raw({ tcp: { mail: 2525 } }), source).edge.tcp).toEqual({ clients: 2222, mail: 2525 });
  expect(defineSettings().parse(raw({}), source).edge).not.toHaveProperty("tcp");
});

const MOVED =
  "is called edge.tcp.<name> now: give the port there, `tcp: { <name>: 2222 }`, by the name that tcp in settings.ts has";
test.each<[Record<string, number>, object, string[]]>([
  [{ clients: 2222 }, { tcp: { client: 1 } }, ["edge.tcp.client: unknown key: did you mean store:edge.tcp.clients?"]],
  [{ a: 2222, b: 2300 }, { tcp: { b: 2222 } }, ["edge.tcp.b: 2222 is edge.tcp.a too: give another port"]],
  [{ a: 443 }, {}, ["edge.tcp.a: 443 is the httpsPort too: give another port"]],
  [
    { a: 2222 },
    { tcp: { a: 0, c: 1 }, tunnelPort: 2222 },
    [
      "edge.tcp.a: 0 is not a whole number from 1 to 65535: give the port of the host on which TCP clients of a connect",
      "edge.tcp.c: unknown key: give one of a",
      `edge.tunnelPort: ${MOVED}`,
    ],
  ],
  [
    {},
    { tcp: { a: 1 } },
    [
      "edge.tcp: unknown key: give one of address, httpsPort, httpRedirect, httpPort, requestsPerSecond, burst, maxBodyMb, maxHeaderKb, memoryMb, " +
        "connectionsPerClient, sharedAddresses, keepAliveSeconds, idleSeconds",
    ],
  ],
])("with the TCP ports %j, edge: %j is refused", (tcp, edge, problems) => {
  let found: readonly string[] = [];
  try {
    defineSettings({ tcp }).parse(raw(edge), source);
  } catch (error) {
    found = (error as ConfigError).problems;
  }
  expect(found).toEqual(problems.map((problem) => `store:${problem}`));
});

test("a name of a TCP port that Traefik or HAProxy could not take is a mistake of the program, as is no port", () => {
  expect(() => defineSettings({ tcp: { "My port": 1, "-a": 2, ok: 70_000 } })).toThrow(
    "tcp.My port: is not a name for a port: give small letters, digits and hyphens, like clients\n" +
      "tcp.-a: is not a name for a port: give small letters, digits and hyphens, like clients\n" +
      "tcp.ok: 70000 is not a port: give a whole number from 1 to 65535",
  );
});

const SECRETS = { mailKey: "the-mail-key-nobody-may-see", payKey: "the-pay-key-nobody-may-see" };

test("a program's keys stand beside the platform's, with their defaults", () => {
  const { domain, currency, shop, items, images } = parsed(SECRETS);
  expect({ domain, currency, items }).toEqual({ domain: "localhost", currency: "EUR", items: undefined });
  expect(shop).toMatchObject({ memoryMb: 64, cpus: 0.2, pids: 32, drainSeconds: 5, healthTimeoutSeconds: 5 });
  expect(images).toEqual({ ...platformImages, redis: `redis:8@${DIGEST}` });
});

test("a stack file takes other images, the program's own too", () => {
  const other = { redis: `mirror.test/redis:9@${DIGEST}`, shop: `shop:1@${DIGEST}` };
  expect(parsed({ ...SECRETS, images: JSON.stringify(other) }).images).toEqual({ ...platformImages, ...other });
});

test("a secret comes as Pulumi's secret, and one that is optional and not given does not come", async () => {
  const { mailKey, mapsKey } = parsed(SECRETS);
  expect(await pulumi.isSecret(mailKey)).toBe(true);
  expect(await new Promise((resolve) => mailKey.apply(resolve))).toBe(SECRETS.mailKey);
  expect(mapsKey).toBeUndefined();
});

test("every problem is named at once: the platform's, the program's, and each secret with its command", () => {
  expect(
    problemsOf({
      domain: "no domain",
      currency: "Euro",
      shop: JSON.stringify({ memoryMb: 1 }),
      items: JSON.stringify({ most: 10, least: 1 }),
      shpo: "{}",
    }),
  ).toEqual([
    "store:shpo: unknown key: did you mean store:shop?",
    'store:domain: "no domain" is not a domain name: give the name that the edge serves, like example.com',
    "store:shop.memoryMb: 1 is not a whole number from 16 to 1048576: give the memory limit in MiB; there is no swap beyond it",
    'store:currency: "Euro" is not a currency: give three letters, like EUR',
    "store:items.most: 10 is not a whole number from 1 to 9: give the most items",
    "store:items.least: unknown key: give one of most",
    "store:mailKey: missing: set it with `pulumi config set --secret mailKey`",
    "store:payKey: missing: set it with `pulumi config set --secret payKey`",
  ]);
});

test("a secret that stands in clear is refused, and not shown", () => {
  expect(problemsOf(SECRETS, ["payKey"])).toEqual([
    "store:mailKey: stands in clear in the stack file: make a new one, and set it with `pulumi config set --secret mailKey`",
  ]);
});

test("two keys of one name cannot be: a program does not change what the platform's mean", () => {
  const host = text(/./, "is wrong", "give another");
  expect(() => defineSettings({ keys: { host } })).toThrow("host: is a key of the platform: give it another name");
  expect(() => defineSettings({ images: { traefik: `traefik:v3@${DIGEST}` } })).toThrow(
    "images.traefik: is an image of the platform: give it another name, or say it in a stack file",
  );
  const images = { mine: `mine:1@${DIGEST}` };
  expect(() => defineSettings({ images, builtImages: ["mine"] })).toThrow(
    "images.mine: is both taken and built: give one of them another name",
  );
  expect(() => defineSettings({ keys: { one: host }, secrets: { one: { description: "One." } } })).toThrow(
    "one: is a secret and a key: give one of them another name",
  );
  expect(() => defineSettings({ images: { mine: "mine:latest" } })).toThrow(
    'images.mine: "mine:latest" is not pinned: give name:tag@sha256:<64 hex digits>',
  );
});

test("editors and people read of all of them", () => {
  const schema = stackSchema("store", settings) as {
    properties: { config: { properties: object; required: string[] } };
  };
  expect(Object.keys(schema.properties.config.properties)).toContain("store:mailKey");
  expect(schema.properties.config.required).toEqual([
    "store:host",
    "store:domain",
    "store:certificates",
    "store:mailKey",
    "store:payKey",
  ]);
  const page = settingsPage("store", settings);
  expect(page).toContain("| `store:mailKey` | Secret. The API key of the mail provider. | required |");
  expect(page).toContain("| `store:shop.drainSeconds` |");
});
