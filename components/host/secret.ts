import * as random from "@pulumi/random/randomPassword.js";
import * as pulumi from "@pulumi/pulumi";
import { Courier, type CourierArgs } from "./file-volume.ts";
import { SECRETS_PATH } from "./secrets-path.ts";

export interface GeneratedSecretArgs {
  /** Characters, letters and digits: 64 of them are 381 bits. @default 64 */
  length?: number;
}

/**
 * A value that nobody typed and nobody sees: made by Pulumi, encrypted in the state, handed to a container as a
 * file. `pulumi up --replace <its urn>` rotates it, and every reader is rolled.
 */
export class GeneratedSecret extends pulumi.ComponentResource {
  readonly value: pulumi.Output<string>;

  constructor(name: string, args: GeneratedSecretArgs = {}, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:GeneratedSecret", name, {}, opts);
    const { length = 64 } = args;
    const password = new random.RandomPassword(`${name}-value`, { length, special: false }, { parent: this });
    this.value = pulumi.secret(password.result);
    this.registerOutputs({});
  }
}

export interface SecretFilesArgs extends Omit<CourierArgs, "files"> {
  /** Name of the setting to its value: API_KEY becomes the file api_key and API_KEY_FILE. */
  secrets: Record<string, pulumi.Input<string>>;
}

/** The secrets of one reader: a volume that holds only them, and the settings that say where they are. */
export class SecretFiles extends pulumi.ComponentResource {
  /** NAME_FILE for each secret: a path, never a value. */
  readonly env: Record<string, string>;
  readonly volume: { name: pulumi.Output<string>; path: string };

  constructor(name: string, args: SecretFilesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:SecretFiles", name, {}, { providers: [args.host.provider], ...opts });
    const { secrets, ...courierArgs } = args;
    const values = Object.entries(secrets).map(([key, value]) => [key.toLowerCase(), pulumi.secret(value)] as const);
    const courier = new Courier(name, { ...courierArgs, files: Object.fromEntries(values) }, { parent: this });
    this.env = Object.fromEntries(
      Object.keys(secrets).map((key) => [`${key}_FILE`, `${SECRETS_PATH}/${key.toLowerCase()}`]),
    );
    this.volume = { name: courier.volumeName, path: SECRETS_PATH };
    this.registerOutputs({});
  }
}
