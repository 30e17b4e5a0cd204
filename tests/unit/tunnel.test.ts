import type { ZeroTrustTunnelCloudflaredConfigArgs } from "@pulumi/cloudflare/zeroTrustTunnelCloudflaredConfig.js";
import type * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import { CloudflareAccount } from "../../components/cloudflare/cloudflare-account.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { Tunnel } from "../../components/cloudflare/tunnel.ts";
import type { Certificates } from "../../components/settings/certificates.ts";
import { container, hex, ofType, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const FILES: Certificates = { kind: "files", certificatePem: "the certificate", privateKeyPem: "the private key" };
const ACME: Certificates = {
  ...{ kind: "acme", email: "ops@example.com", caServer: "https://ca.example.com/dir", validityHours: 2160 },
};
const TUNNEL_ID = hex("tunnel-tunnel", 32);

async function tunnelOf(certificates: Certificates = FILES, networksHaveOne = true): Promise<Recording> {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const networks = new Networks("networks", { host, tunnel: networksHaveOne });
    const edge = new Proxy("edge", {
      ...{ networks, images: { traefik: IMAGE, haproxy: IMAGE }, domain: "example.com", certificates },
      ...{
        address: "192.0.2.1",
        httpsPort: 443,
        tcp: { clients: 2222 },
        requestsPerSecond: 50,
        burst: 75,
        maxBodyMb: 5,
      },
      dnsApiToken: "a-token-that-nobody-may-see",
    });
    const account = new CloudflareAccount("cloudflare", { id: "0".repeat(32), apiToken: "t".repeat(40) });
    new Tunnel("tunnel", { account, image: IMAGE, edge, certificates });
    edge.endOfServices();
  });
}

const configOf = (recording: Recording) =>
  ofType<pulumi.Unwrap<ZeroTrustTunnelCloudflaredConfigArgs>>(recording, "ZeroTrustTunnelCloudflaredConfig")[0]!;
const secretsOf = (recording: Recording) => container(recording, "tunnel-secrets-courier");

describe("a tunnel", () => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await tunnelOf();
  });

  test("is made through the API, under the stack's name", () => {
    const [tunnel] = ofType(recording, "ZeroTrustTunnelCloudflared");
    expect(tunnel!.inputs).toEqual({ accountId: "0".repeat(32), name: "reach-test", configSrc: "cloudflare" });
  });

  test("leads the domain to the door, whose certificate is checked, and all else nowhere", () => {
    expect(configOf(recording).inputs).toEqual({
      accountId: "0".repeat(32),
      tunnelId: TUNNEL_ID,
      source: "cloudflare",
      config: {
        ingresses: [
          {
            hostname: "example.com",
            service: "https://door:8443",
            originRequest: { originServerName: "example.com", caPool: "/run/secrets/ca_certificate" },
          },
          { service: "http_status:404" },
        ],
      },
    });
  });

  test("gives its connector the token as a file, of which the container says the path alone", () => {
    const { inputs, secretPaths } = secretsOf(recording);
    const token = recording.secrets.find((secret) => secret === hex(`token of the tunnel ${TUNNEL_ID}`, 64));
    expect(inputs.uploads).toMatchObject([
      { file: "/bulkhead/tunnel_token", content: token, permissions: "0400", owner: "65532" },
      { file: "/bulkhead/ca_certificate", content: "the certificate" },
    ]);
    expect(secretPaths).toContain("uploads.0.content");
    expect(container(recording, "tunnel").inputs.envs).toEqual(["TUNNEL_TOKEN_FILE=/run/secrets/tunnel_token"]);
  });

  test("has a connector that is on its network alone, stays what it is, and lets requests end", () => {
    const { inputs, options } = container(recording, "tunnel");
    expect(inputs).toMatchObject({ image: IMAGE, user: "65532:65532", readOnly: true, ports: [], restart: "always" });
    expect(inputs.networksAdvanced).toEqual([{ name: "reach-test-tunnel" }]);
    expect([...inputs.entrypoints!, ...inputs.command!].join(" ")).toBe(
      "cloudflared tunnel --no-autoupdate --metrics 127.0.0.1:2000 --management-diagnostics=false --grace-period 30s run",
    );
    expect(inputs.destroyGraceSeconds).toBeGreaterThan(30);
    expect(options.deleteBeforeReplace).toBe(false);
  });

  test("is healthy when Cloudflare has its connection", () => {
    expect(container(recording, "tunnel").inputs.healthcheck!.tests).toEqual([
      "CMD",
      "cloudflared",
      "tunnel",
      "--metrics",
      "127.0.0.1:2000",
      "ready",
    ]);
  });

  test("is opened when it is known where it leads, and the door is there", () => {
    const connector = ofType(recording, "bulkhead:index:Container").find(({ name }) => name === "tunnel")!;
    expect(connector.options.dependencies).toEqual(
      expect.arrayContaining([configOf(recording).urn, container(recording, "edge-door").urn]),
    );
  });

  test("trusts the CA that the stack names, and else those that everybody knows", async () => {
    const known = await tunnelOf(ACME);
    expect(configOf(known).inputs.config!.ingresses![0]!.originRequest).toEqual({ originServerName: "example.com" });
    expect(secretsOf(known).inputs.uploads).toHaveLength(1);
    const own = await tunnelOf({ ...ACME, caCertificatePem: "the CA" });
    expect(configOf(own).inputs.config!.ingresses![0]!.originRequest).toHaveProperty("caPool");
    expect(secretsOf(own).inputs.uploads![1]).toMatchObject({ content: "the CA" });
  });

  test("needs a network", async () => {
    await expect(tunnelOf(FILES, false)).rejects.toThrow(
      "tunnel: edge: its networks have none for a tunnel: make them with tunnel: true",
    );
  });
});
