// A folder in a bucket of an S3 storage.
import * as pulumi from "@pulumi/pulumi";

export interface PlaceArgs {
  /** Where S3 clients find it, like "https://ACCOUNT.r2.cloudflarestorage.com". */
  endpoint: pulumi.Input<string>;
  bucket: pulumi.Input<string>;
  /** Folder in the bucket, for several stacks in one. Letters, digits, `-`, `_`, `.` and `/`. @default the stack's name */
  folder?: string;
  /** @default "auto", as R2 has it */
  region?: string;
  /** Of a key that opens this bucket alone, to read and to write. */
  accessKeyId: pulumi.Input<string>;
  secretAccessKey: pulumi.Input<string>;
}

type Place = Pick<PlaceArgs, "endpoint" | "bucket" | "region"> & { folder: string };

export function placeProblems({ folder, region = "auto" }: Pick<Place, "folder" | "region">): string[] {
  return [
    ...(/^(?!\.\.?(\/|$))[\w.-]+(\/(?!\.\.?(\/|$))[\w.-]+)*$/.test(folder)
      ? []
      : [`folder: ${folder} is no folder: give one like my-app/prod`]),
    ...(/^[a-z0-9-]+$/.test(region) ? [] : [`region: ${region} is none: give one like eu-central-1, or leave it out`]),
  ];
}

/** The first arguments of the scripts of a vault: endpoint, bucket and folder, region. */
export function placeOf(name: string, { endpoint, bucket, folder, region = "auto" }: Place): pulumi.Input<string>[] {
  const known = pulumi.output(endpoint).apply((url) => {
    if (isEndpoint(url)) return url;
    throw new Error(
      `${name}: endpoint: ${url} is no https:// address: give one like https://ACCOUNT.r2.cloudflarestorage.com; ` +
        "http:// is for private addresses alone",
    );
  });
  const inBucket = pulumi.output(bucket).apply((given) => {
    if (/^[A-Za-z0-9][\w.-]{1,62}$/.test(given)) return `${given}/${folder}`;
    throw new Error(
      `${name}: bucket: ${given} is no bucket's name: give one like my-backups; a folder in it is \`folder\``,
    );
  });
  return [known, inBucket, region];
}

/** A half of the storage's key. What is wrong with it is found here, and not by a storage that refuses a signature. */
export function credential(name: string, key: string, value: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.secret(
    pulumi.output(value).apply((given) => {
      if (/^\S+$/.test(given)) return given;
      throw new Error(`${name}: ${key}: is empty, or has blanks: give it as the storage showed it`);
    }),
  );
}

/** What is sent is encrypted before, and a signature shows no key; a private address is still all that may do without TLS. */
function isEndpoint(url: string): boolean {
  return (
    /^https:\/\/[\w.:-]+\/?$/.test(url) ||
    /^http:\/\/(10|127|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d+)+(:\d+)?\/?$/.test(url)
  );
}
