import { describe, expect, test } from "vitest";
import { DataVolume, dataMounts, type DataVolumeArgs } from "../../components/host/data-volume.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Container, type ContainerArgs } from "../../components/host/container.ts";
import { invariants } from "../../testing/invariants.ts";
import { container, hex, label, ofType, record } from "../../testing/recorder.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;

function withVolume(
  args: Partial<DataVolumeArgs> = {},
  use: (host: DockerHost, volume: DataVolume) => void = () => {},
) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    use(host, new DataVolume("uploads", { host, maxMb: 100, ...args }));
  });
}

function service(host: DockerHost, volumes: ContainerArgs["volumes"]) {
  const limits = { memoryMb: 64, cpus: 1, pids: 32 };
  const health = { test: ["CMD", "true"] };
  new Container("it", { host, role: "service", image: IMAGE, run: "always", health, limits, volumes });
}

test("is kept when the stack goes, and its labels are the same for ever", async () => {
  const labels: object[][] = [];
  for (const args of [{}, { maxMb: 5, owner: "33:33", withoutBackup: { why: "it can be fetched again" } }]) {
    const recording = await withVolume(args);
    const [volume] = ofType<{ name: string; labels: object[] }>(recording, "docker:index/volume:Volume");
    expect(volume).toMatchObject({ inputs: { name: "reach-test-uploads" }, options: { retainOnDelete: true } });
    labels.push(volume!.inputs.labels);
  }
  expect(labels[0]).toEqual(labels[1]);
  expect(labels[0]).toContainEqual({ label: "bulkhead.data", value: "true" });
});

test("says on its job how large it may be and why no backup has it", async () => {
  const withoutBackup = { why: "it can be fetched again", until: "2027-01-31" };
  const job = container(await withVolume({ withoutBackup }), "uploads-owner");
  expect(label(job, "bulkhead.max-mb")).toBe("100");
  expect(label(job, "bulkhead.volume")).toBe("reach-test-uploads");
  expect(JSON.parse(label(job, "bulkhead.exceptions")!)).toContainEqual({
    withoutBackup: "reach-test-uploads",
    ...withoutBackup,
  });
  expect(label(container(await withVolume(), "uploads-owner"), "bulkhead.exceptions")).not.toContain("withoutBackup");
});

test("says all that is wrong with its arguments", async () => {
  await expect(withVolume({ owner: "www-data", maxMb: 0.5 })).rejects.toThrow(
    'uploads: owner: www-data is no uid:gid: give two numbers like "1000:1000"\n' +
      "uploads: maxMb: 0.5 is no size: give whole MiB from 1",
  );
});

describe("in a container", () => {
  const every = async (use: (host: DockerHost, volume: DataVolume) => void) => {
    const recording = await withVolume({}, use);
    return Object.values(invariants).flatMap((complaints) => complaints(recording));
  };

  test("keeps every invariant, written or not", async () => {
    for (const writable of [true, false])
      expect(
        await every((host, volume) => {
          const mounts = [{ volume, path: "/app/uploads", writable }];
          service(host, dataMounts("it", mounts, { user: "1000:1000", taken: [] }));
        }),
      ).toEqual([]);
  });

  test("is refused where Docker would copy into it", async () => {
    expect(
      await every((host, { volumeName: name }) => service(host, [{ name, path: "/app", writable: true }])),
    ).toEqual(["it: mounts reach-test-uploads, into which Docker copies what the image has there"]);
  });

  test("says all that is wrong with where it is", async () => {
    await withVolume({}, (_, volume) => {
      const at = (path: string, writable = false) => ({ volume, path, writable });
      const paths = ["app", "/", "/proc/1", "/etc", "/app/../etc", "/run/secrets/it", "/tmp", "/app", "/app/it"];
      const refused = () =>
        dataMounts("shop", [...paths.map((path) => at(path)), at("/data", true)], {
          ...{ user: "33:33", taken: ["/run/secrets", "/tmp"] },
        });
      const noFolder = (path: string) =>
        `shop: volumes: ${path}: is no folder that a volume can have: give one like /app/uploads`;
      const taken = (path: string, by: string) =>
        `shop: volumes: ${path}: ${by} is taken by another mount: give another folder`;
      expect(refused).toThrow(
        [
          ...["app", "/", "/proc/1", "/etc", "/app/../etc"].map(noFolder),
          taken("/run/secrets/it", "/run/secrets"),
          noFolder("/tmp"),
          taken("/app/it", "/app"),
          "shop: volumes: /data: belongs to 1000:1000, and the service runs as 33:33, which cannot write there: " +
            'give the service user: "1000:1000", or the volume owner: "33:33"',
        ].join("\n"),
      );
    });
  });
});
