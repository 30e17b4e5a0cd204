import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { dataImages } from "../../components/data/images.ts";
import type { Engine } from "../../components/docker-engine/client.ts";
import { provideImages } from "../../toolchain/images.ts";
import { lastLines } from "./command.ts";
import { images as pinned } from "./images.ts";
import { createTestProject, type TestProject } from "./pulumi.ts";
import { removeStack } from "./reach.ts";
import { docker, insideStack } from "./stack-inside.ts";
import { startVaultStorage } from "./vault-storage.ts";

/** A stack of tests/programs/backup with a PostgreSQL that is not of today. */
export interface UpgradeStack {
  label: string;
  project: TestProject;
  /** Of 17. */
  images: Record<"traefik" | "postgres" | "rclone", string>;
  /** Of the version that it begins with. */
  old: string;
  /** Sets keys of the program. */
  configure: (keys: Record<string, unknown>) => void;
  /** The commits that were acknowledged, those of them that are not there, and how long the longest was waited for. */
  lost: () => Promise<{ acknowledged: number; lost: number; gapSeconds: number }>;
  remove: () => Promise<void>;
}

export async function startUpgradeStack(engine: Engine, stack: string, version: 15 | 16): Promise<UpgradeStack> {
  const label = `backup-${stack}`;
  const { postgres, rclone } = dataImages;
  const wanted = { traefik: pinned.traefik, postgres, rclone };
  const images = { ...wanted, ...(await provideImages(engine, wanted)) };
  const tag = `postgres:${version}-bookworm`;
  const { old = tag } = await provideImages(engine, { old: tag });
  const { stdout } = await docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}");
  const storage = await startVaultStorage(stdout.trim());
  const project = await createTestProject({
    stack,
    config: {
      "backup:host": "local",
      "backup:images": { ...images, postgres: await known(old) },
      "backup:version": version,
      // What stands in for 16 knows no lz4.
      ...(version === 16 && { "backup:settings": { wal_compression: "pglz" } }),
      "backup:storage": { endpoint: storage.endpoint, bucket: storage.bucket },
    },
    program: new URL("../programs/backup", import.meta.url).pathname,
  });
  await project.setSecret("backupKey", randomBytes(32).toString("base64url"));
  await project.setSecret("accessKeyId", "AKIDEXAMPLE");
  await project.setSecret("secretAccessKey", randomBytes(20).toString("base64url"));
  const { code, stdout: said, stderr } = await project.up();
  if (code !== 0) throw new Error(`the stack did not come up:\n${lastLines(said + stderr, 60)}`);
  const { acknowledged, committed } = insideStack(label);
  return {
    ...{ label, project, images, old: await known(old) },
    configure: (keys) => {
      const { config } = parse(readFileSync(project.configFile, "utf8")) as { config: object };
      const own = Object.entries(keys).map(([key, value]) => [`backup:${key}`, value]);
      project.setConfig({ ...config, ...(Object.fromEntries(own) as object) });
    },
    lost: async () => {
      const acks = await acknowledged();
      const there = await committed();
      const gapSeconds = Math.max(...acks.slice(1).map(({ at }, index) => at - acks[index]!.at));
      return { acknowledged: acks.length, lost: acks.filter(({ nonce }) => !there.has(nonce)).length, gapSeconds };
    },
    remove: async () => {
      await removeStack(engine, label);
      project.remove();
      await storage.stop();
    },
  };
}

/** A reference that says which image it is, as a program has to give it: a digest, or the name of what stands in for it. */
async function known(tag: string): Promise<string> {
  const { stdout } = await docker("image", "inspect", tag);
  const [found] = JSON.parse(stdout) as [{ RepoDigests: string[]; RepoTags: string[] }];
  const reference = found.RepoTags.find((each) => each.startsWith("bulkhead.local/")) ?? found.RepoDigests[0];
  if (reference === undefined) throw new Error(`${tag} has neither a digest nor a stand-in's name`);
  return reference;
}
