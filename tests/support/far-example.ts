// An example deployed by `pulumi up` with settings of its own: on another host, or with a vault, or without its former state.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../../components/docker-engine/client.ts";
import { makeCertificates } from "./certificates.ts";
import { lastLines, type CommandResult } from "./command.ts";
import { Example } from "./example.ts";
import { createTestProject, type TestProject } from "./pulumi.ts";
import { inspectAll, removeStack } from "./reach.ts";

export interface Place {
  engine: Engine;
  /** Where its edge listens, and clients ask. */
  address: string;
  /** Added to the stack's configuration, without the project's name. */
  config: Record<string, unknown>;
  env?: Record<string, string>;
  /** Plain names and values, beside the stack file. */
  secrets?: Record<string, string>;
}

export class FarExample extends Example {
  readonly place: Place;
  #project: TestProject | undefined;

  constructor(name: string, httpsPort: number, place: Place) {
    super(name, httpsPort, { stack: "far", engine: place.engine, address: place.address });
    this.place = place;
  }

  override async start(): Promise<void> {
    const { ca, certificate, privateKey } = await makeCertificates(this.host);
    const folder = join(this.program, ".bulkhead/certificates");
    mkdirSync(folder, { recursive: true });
    for (const [file, content] of Object.entries({ "ca.pem": ca, "leaf.pem": certificate, "leaf.key": privateKey }))
      writeFileSync(join(folder, file), content, { mode: 0o600 });
    await this.deployed();
  }

  /** An update, by a state that begins empty unless there is one. */
  async deployed(more: Record<string, unknown> = {}): Promise<CommandResult> {
    const folder = join(this.program, ".bulkhead/certificates");
    const { address, config, env = {}, secrets = {} } = this.place;
    const settings = {
      domain: this.host,
      edge: { address, httpsPort: Number(new URL(this.address).port) },
      certificates: { kind: "files", certificate: join(folder, "leaf.pem"), privateKey: join(folder, "leaf.key") },
      ...{ ...config, ...more },
    };
    const named = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`${this.name}:${key}`, value]));
    if (this.#project === undefined) {
      this.#project = await createTestProject({ stack: "far", program: this.program, config: named, env });
      for (const [key, value] of Object.entries(secrets)) await this.#project.setSecret(key, value);
    }
    const up = await this.#project.up();
    if (up.code !== 0) throw new Error(`${this.name} did not come up:\n${lastLines(up.stdout + up.stderr, 60)}`);
    return up;
  }

  /** All of it is gone from one moment to the next, and its state too. */
  async gone(): Promise<void> {
    await removeStack(this.engine, this.stack);
    this.#project?.remove();
    this.#project = undefined;
  }

  override async remove(): Promise<void> {
    await this.gone();
    this.copy.remove();
  }

  /** What a secret of a service is. */
  override async secrets(service: string, ...files: string[]): Promise<string[]> {
    const { Id } = await this.container(service);
    const read = async (file: string) => {
      const found = await this.engine.files(Id, `/run/secrets/${file}`);
      return found![0]!.content.toString();
    };
    return Promise.all(files.map(read));
  }

  async allHealthy(): Promise<boolean> {
    const found = (await inspectAll(this.engine, this.stack)).filter(
      ({ Config }) => Config.Healthcheck !== undefined && ROLES.includes(Config.Labels["bulkhead.role"]!),
    );
    return found.every(({ State }) => State.Running && State.Health?.Status === "healthy");
  }
}

const ROLES = ["door", "edge", "service", "database"];
