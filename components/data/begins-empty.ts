// A database that would begin empty, while the vault has backups: as on a new host, where nobody has restored them yet.
import aws4 from "aws4";
import { setTimeout as delay } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../host/docker-host.ts";
import { saidOf } from "../host/named-data.ts";
import type { Vault } from "./vault.ts";

/**
 * What the stack file says of a database by this name: the base backup beside which it is to begin empty.
 *
 * @throws Error if it is no base backup's name.
 */
export function beginsBesideOf(name: string): string | undefined {
  const beside = saidOf<string>("beginsEmpty", name);
  if (beside === undefined || BASE_BACKUP.test(beside)) return beside;
  throw new Error(
    `beginsEmpty.${name}: ${beside} is no base backup: give the name that the refusal said, or leave it out`,
  );
}

const BASE_BACKUP = /^\d{8}T\d{6}Z_[0-9A-F]{24}$/;

export interface BeginsEmptyArgs {
  host: DockerHost;
  vault: Vault;
  /** The volume that would be made, by its name on the host. */
  volume: string;
  /** The newest base backup of another database that is known to be there. */
  beside: string | undefined;
}

/**
 * Before the volume of a database is made, in a preview too. This machine asks the vault; where it cannot, the shipper is
 * who refuses, before it sends anything.
 */
export function refuseToBeginEmpty(database: string, { host, vault, volume, beside }: BeginsEmptyArgs) {
  const places = [vault, ...(vault.copy ? [vault.copy] : [])].map(knownPlace);
  const place = () => {
    const known = places.flatMap((each) => each() ?? []);
    return known.length === places.length ? known : undefined;
  };
  return new pulumi.ResourceHook(
    `${database}-begins-empty`,
    async () => {
      const isPreview = pulumi.runtime.isDryRun();
      const there = await host.engine.find(`/volumes/${volume}`).catch((error: unknown) => {
        // A preview may run with the host away, which is then taken for a new one.
        if (isPreview) return undefined;
        throw error;
      });
      if (there !== undefined) return;
      // Credentials that this update makes are of a vault that is new, and known in a moment or never.
      for (let left = isPreview ? 0 : KNOWN_SECONDS; place() === undefined && left > 0; left--) await delay(1000);
      const known = place();
      if (known === undefined) return;
      const found = known.map((each) =>
        newestBackup(each).catch(async (error: Error) => {
          await pulumi.log.warn(
            `${database}: begins empty, and whether the vault has backups of it could not be seen from here ` +
              `(${error.message}): if it has, they stay as they are, and its shipper sends nothing`,
          );
          return undefined;
        }),
      );
      const [inVault, inCopy] = await Promise.all(found);
      const newest = inVault ?? inCopy;
      if (newest === undefined || (beside !== undefined && newest <= beside)) return;
      throw new pulumi.RunError(
        `${database}: would begin empty, while the vault has backups of it up to ${newest}. Get it back with ` +
          `\`bulkhead restore ${database} --latest${inVault === undefined ? " --from copy" : ""}\`. Or, if a new and empty one is wanted, say so in the stack file: ` +
          `\`pulumi config set --path 'beginsEmpty.${database}' ${newest}\``,
      );
    },
    { onDryRun: true },
  );
}

const KNOWN_SECONDS = 60;

interface Place {
  endpoint: string;
  bucket: string;
  folder: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** Gives nothing as long as a part of it is still to be made. */
function knownPlace({
  place,
  secrets: { ACCESS_KEY_ID, SECRET_ACCESS_KEY },
}: Pick<Vault, "place" | "secrets">): () => Place | undefined {
  let known: Place | undefined;
  pulumi.all([pulumi.all(place), ACCESS_KEY_ID!, SECRET_ACCESS_KEY!]).apply(([at, accessKeyId, secretAccessKey]) => {
    const [endpoint, path, region] = at as [string, string, string];
    const [bucket, ...folder] = path.split("/");
    known = { endpoint, bucket: bucket!, folder: folder.join("/"), region, accessKeyId, secretAccessKey };
  });
  return () => known;
}

/**
 * The newest base backup that is complete, as the shipper names it. The names in a vault are in clear.
 *
 * @throws Error if the storage does not answer, or refuses.
 */
export async function newestBackup(place: Place): Promise<string | undefined> {
  const { endpoint, bucket, folder, region, ...credentials } = place;
  const { origin, host } = new URL(endpoint);
  let newest: string | undefined;
  for (let more: string | undefined = ""; more !== undefined;) {
    const prefix = encodeURIComponent(`${folder}/base/`);
    const path: string = `/${bucket}?${more}list-type=2&prefix=${prefix}`;
    const { headers } = aws4.sign({ host, path, region, service: "s3" }, credentials);
    const answer: Response = await fetch(origin + path, {
      headers: headers as Record<string, string>,
      signal: AbortSignal.timeout(15_000),
    }).catch((error: Error) => {
      const { cause } = error as { cause?: { code?: string } };
      throw new Error(`${host} does not answer: ${cause?.code ?? error.message}`);
    });
    if (answer.status === 404) return undefined;
    const text: string = await answer.text();
    if (!answer.ok) {
      const [, code] = /<Code>(\w+)<\/Code>/.exec(text) ?? [];
      throw new Error(`${host} answers ${answer.status} ${code ?? ""}`.trim());
    }
    for (const [, name] of text.matchAll(/\/base\/[^/<]+\/(\d{8}T\d{6}Z_[0-9A-F]{24})\/backup_manifest[^/<]*<\/Key>/g))
      if (newest === undefined || name! > newest) newest = name;
    const [, next]: (string | undefined)[] = /<NextContinuationToken>([^<]+)</.exec(text) ?? [];
    more = next === undefined ? undefined : `continuation-token=${encodeURIComponent(next)}&`;
  }
  return newest;
}
