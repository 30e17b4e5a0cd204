// Certificates from a CA in the vault: who has them, and what a restore gives the edge.
import { expect, test } from "vitest";
import { Vault } from "../../components/data/vault.ts";
import { VolumeBackup } from "../../components/data/volume-backup.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, label, record, type Recording } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;
const SECRET = "s".repeat(40);

function recorded({ restore, isKept = true }: { restore?: object; isKept?: boolean } = {}): Promise<Recording> {
  const config = restore && { "reach:restore": JSON.stringify({ "edge-certificates": restore }) };
  return record(
    () => {
      const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
      const edge = new Proxy("edge", {
        ...{ networks: new Networks("networks", { host }), images: { traefik: IMAGE, haproxy: IMAGE } },
        ...{ domain: "example.com", address: "127.0.0.1", httpsPort: 443, requestsPerSecond: 1, burst: 1 },
        certificates: { kind: "acme", email: "a@example.com", caServer: "https://ca.test/dir", validityHours: 2160 },
        dnsApiToken: SECRET,
      });
      const vault = new Vault("vault", {
        ...{ host, endpoint: "https://storage.example.com", bucket: "backups" },
        ...{ accessKeyId: "id", secretAccessKey: SECRET },
      });
      if (isKept) new VolumeBackup("certificates-backup", { volume: edge.certificates!, vault });
      edge.endOfServices();
    },
    { secrets: [SECRET], config },
  );
}

const mountOf = (recording: Recording, name: string, target: string) => {
  const { volumes = [], mounts = [] } = container(recording, name).inputs;
  return [
    ...volumes.map(({ containerPath, volumeName, readOnly }) => ({ at: containerPath, of: volumeName, readOnly })),
    ...mounts.map(({ target, source, readOnly }) => ({ at: target, of: source, readOnly })),
  ].find(({ at }) => at === target);
};

test("what reads them has them read-only and no way out, and the edge knows nothing of it", async () => {
  const recording = await recorded();
  for (const complaintsOf of Object.values(invariants)) expect(complaintsOf(recording)).toEqual([]);
  const reader = container(recording, "certificates-backup-snapshot").inputs;
  expect(reader.networksAdvanced?.map(({ name }) => name)).toEqual(["reach-test-vault-restic"]);
  expect(reader.user).toBe("65532:65532");
  expect(mountOf(recording, "certificates-backup-snapshot", "/volume")).toMatchObject({
    ...{ of: "reach-test-acme", readOnly: true },
  });
  expect(label(container(recording, "certificates-backup"), "bulkhead.backs-up")).toBe("reach-test-acme");
  const [kept, plain] = [
    container(recording, "edge").inputs,
    container(await recorded({ isKept: false }), "edge").inputs,
  ];
  expect(kept).toEqual(plain);
});

test("a restore fills another volume, which the edge has when it is told to", async () => {
  const made = await recorded({ restore: { id: "r1", to: "latest" } });
  expect(mountOf(made, "edge", "/acme")?.of).toBe("reach-test-acme");
  expect(container(made, "edge-certificates-restored-r1-restore").inputs.command).toEqual([
    "edge-certificates",
    "latest",
  ]);
  const served = await recorded({ restore: { id: "r1", to: "latest", serve: true } });
  expect(mountOf(served, "edge", "/acme")).toMatchObject({ of: "reach-test-edge-certificates-restored-r1" });
  // Without another setting Docker's provider would see no change.
  expect(container(served, "edge").inputs.envs).toContain("RESTORED=r1");
  expect(mountOf(served, "certificates-backup-snapshot", "/volume")?.of).toBe(
    "reach-test-edge-certificates-restored-r1",
  );
  for (const complaintsOf of Object.values(invariants)) expect(complaintsOf(served)).toEqual([]);
  const again = await recorded({
    restore: { id: "r2", to: "latest", before: { id: "r1", to: "latest", serve: true } },
  });
  expect(mountOf(again, "edge", "/acme")?.of).toBe("reach-test-edge-certificates-restored-r1");
});

test("a restore that no vault can make is refused", async () => {
  await expect(recorded({ restore: { id: "r1", to: "latest", serve: true }, isKept: false })).rejects.toThrow(
    "edge-certificates: has no vault to restore from",
  );
});
