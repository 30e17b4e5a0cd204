import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { settings } from "../../settings.ts";
import { readStackFile } from "../../cli/stack/stack.ts";
import { copyStackFile, setImages, type Differences } from "../../cli/stack/stack-file.ts";

const PROD = `# Reach in production.
encryptionsalt: v1:salt
config:
  reach:host: ssh://deploy@203.0.113.10
  reach:domain: reach.example.com
  reach:edge:
    address: 203.0.113.10 # the public one
  reach:certificates:
    kind: acme
    email: ops@example.com
  reach:cloudflare:
    accountId: "0123456789abcdef0123456789abcdef"
    zone: example.com
    addresses: [203.0.113.10]
    directHost: tunnels.reach.example.com
    files:
      bucket: reach-prod-files
  reach:cloudflareApiToken:
    secure: v1:ciphertext
  other:key: stays
`;
const STAGING = {
  name: "staging",
  host: "ssh://deploy@203.0.113.20",
  domain: "staging.example.com",
  address: "203.0.113.20",
};

describe("a stack like another", () => {
  test("has its own host, names and bucket, the rest of the other one, and no secret of it", () => {
    const { text, differences, secrets } = copyStackFile(PROD, "prod", STAGING, settings);
    expect(text).toBe(
      PROD.replace("encryptionsalt: v1:salt\n", "")
        .replace("  reach:cloudflareApiToken:\n    secure: v1:ciphertext\n", "")
        .replace("host: ssh://deploy@203.0.113.10", "host: ssh://deploy@203.0.113.20")
        .replace("domain: reach.", "domain: staging.")
        .replace("address: 203.0.113.10", "address: 203.0.113.20")
        .replace("addresses: [203.0.113.10]", "addresses:\n      - 203.0.113.20")
        .replace("tunnels.reach.", "tunnels.staging.")
        .replace("reach-prod-files", "reach-staging-files"),
    );
    expect(differences).toEqual([
      'reach:host: "ssh://deploy@203.0.113.10" -> "ssh://deploy@203.0.113.20"',
      'reach:domain: "reach.example.com" -> "staging.example.com"',
      'reach:edge.address: "203.0.113.10" -> "203.0.113.20"',
      'reach:cloudflare.addresses: ["203.0.113.10"] -> ["203.0.113.20"]',
      'reach:cloudflare.directHost: "tunnels.reach.example.com" -> "tunnels.staging.example.com"',
      'reach:cloudflare.files.bucket: "reach-prod-files" -> "reach-staging-files"',
    ]);
    expect(secrets).toEqual(["reach:cloudflareApiToken"]);
  });

  test("never shares a bucket, nor a name that does not tell whose it is", () => {
    const other = PROD.replace("tunnels.reach.example.com", "ssh.example.com").replace("reach-prod-files", "uploads");
    const { text } = copyStackFile(other, "prod", STAGING, settings);
    expect(text).toContain("directHost: direct.staging.example.com\n");
    expect(text).toContain("bucket: uploads-staging\n");
  });

  test("says which token it cannot do without, though the other's file has none", () => {
    const [withoutToken] = PROD.split("  reach:cloudflareApiToken");
    expect(copyStackFile(withoutToken!, "prod", STAGING, settings).secrets).toEqual(["reach:cloudflareApiToken"]);
    const [withoutCloudflare] = PROD.split("  reach:cloudflare:");
    expect(copyStackFile(withoutCloudflare!, "prod", STAGING, settings).secrets).toEqual(["reach:dnsApiToken"]);
  });

  test.each<[what: string, wanted: Partial<Differences>, message: string]>([
    [
      "the other's domain",
      { domain: "reach.example.com" },
      "DOMAIN: reach.example.com is that of prod too: two stacks cannot serve the same name",
    ],
    [
      "another host and no address",
      { address: undefined },
      "ADDRESS: missing, and the host is another: give the address on which it is reached from outside",
    ],
    ["a host that is none", { host: "203.0.113.20" }, 'reach:host: "203.0.113.20" is not a Docker host: give local,'],
    ["an address that is none", { address: "box" }, 'reach:edge.address: "box" is not an IP address'],
  ])("is refused with %s", (_, wanted, message) => {
    expect(() => copyStackFile(PROD, "prod", { ...STAGING, ...wanted }, settings)).toThrow(message);
  });

  test("on the same host keeps its address", () => {
    const host = "ssh://deploy@203.0.113.10";
    expect(copyStackFile(PROD, "prod", { ...STAGING, host, address: undefined }, settings).text).toContain(
      "address: 203.0.113.10 #",
    );
  });
});

describe("images of another stack", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const backend = `ghcr.io/you/backend:1.1.0@${digest}`;

  test("come into the file by their digest, beside those that it has", () => {
    const images = `config:\n  reach:images:\n    backend: ghcr.io/you/backend:1.0.0@${digest}\n    node: other # kept\n`;
    expect(setImages(images, { backend })).toBe(images.replace("1.0.0", "1.1.0"));
    expect(setImages("config:\n  reach:domain: a\n", { backend })).toBe(
      `config:\n  reach:domain: a\n  reach:images:\n    backend: ${backend}\n`,
    );
  });

  test("that were built on its host are refused", () => {
    expect(() => setImages("config: {}\n", { backend, frontend: digest })).toThrow(
      "frontend: built on the host, and on no other: push the image to a registry",
    );
  });
});

test("one that is no YAML is named, with the line", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-stack-file-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "Pulumi.prod.yaml");
  writeFileSync(file, "config:\n  shop:edge: {}\n  shop:edge: {}\n");
  await expect(readStackFile(file)).rejects.toThrow(
    `${file}: cannot be read: Map keys must be unique at line 3, column 3: mend that line`,
  );
});
