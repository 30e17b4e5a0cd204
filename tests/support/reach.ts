import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { Engine } from "../../components/docker-engine/client.ts";
import { everyStacks } from "./images.ts";
import { provideImages } from "../../toolchain/images.ts";
import { makeCertificates } from "./certificates.ts";
import { lastLines, type CommandResult } from "./command.ts";
import { createTestProject, type TestProject } from "./pulumi.ts";
import { SOAK } from "./soak.ts";

export interface ReachOptions {
  stack: string;
  domain: string;
  httpsPort: number;
  tcpPort: number;
  /** Where the edge listens. @default "127.0.0.1" */
  listen?: string;
  /** Where the tests connect to. @default "127.0.0.1" */
  address?: string;
  /** More of reach:edge, and other keys. */
  edge?: Record<string, unknown>;
  config?: Record<string, unknown>;
  /** Where the program is. @default this repository */
  program?: string;
  /** Added to the environment of every pulumi command. */
  env?: Record<string, string>;
  /** The engine that the stack runs on. @default the test engine */
  engine?: Engine;
}

/** The whole program as one stack of its own, with a certificate by an authority of its own. Nothing is deployed yet. */
export async function prepareReach(options: ReachOptions): Promise<Reach> {
  const here = new Engine(process.env["DOCKER_HOST"]!);
  const engine = options.engine ?? here;
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-reach-"));
  try {
    const images = await provideImages(here, everyStacks);
    const { ca, certificate, privateKey } = await makeCertificates(options.domain);
    const files = { certificate: join(directory, "leaf.pem"), privateKey: join(directory, "leaf.key") };
    writeFileSync(files.certificate, certificate);
    writeFileSync(files.privateKey, privateKey, { mode: 0o600 });
    const { listen = "127.0.0.1", httpsPort, tcpPort } = options;
    const config = {
      "reach:host": "local",
      "reach:domain": options.domain,
      "reach:edge": {
        address: listen,
        httpsPort,
        tcp: { clients: tcpPort },
        // A test sends more than a person: the limit has its own test.
        requestsPerSecond: 100_000,
        burst: 200_000,
        // An edge that is replaced is waited for as long.
        keepAliveSeconds: 4,
        ...options.edge,
      },
      "reach:certificates": { kind: "files", ...files },
      "reach:images": images,
      // What stays open in a test is not worth waiting for.
      "reach:backend": { drainSeconds: 5 },
      "reach:frontend": { drainSeconds: 5 },
      ...options.config,
    };
    const project = await createTestProject({ ...options, config });
    return new Reach(options, { engine, project, config, ca, privateKey, directory });
  } catch (error) {
    engine.close();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  } finally {
    if (engine !== here) here.close();
  }
}

interface Parts {
  engine: Engine;
  project: TestProject;
  config: Record<string, unknown>;
  ca: string;
  privateKey: string;
  directory: string;
}

export interface Outputs {
  url: string;
  services: Record<"door" | "edge" | "backend" | "frontend", { container: string; image: string; url?: string }>;
}

export class Reach {
  readonly engine: Engine;
  readonly project: TestProject;
  /** The configuration as it was at first. */
  readonly config: Record<string, unknown>;
  readonly domain: string;
  readonly address: string;
  readonly httpsPort: number;
  readonly tcpPort: number;
  /** PEM of the authority to trust. */
  ca: string;
  /** PEM of the edge's key. */
  readonly privateKey: string;
  /** What every pulumi command printed. */
  readonly runs: CommandResult[] = [];
  readonly #directory: string;

  constructor(options: ReachOptions, parts: Parts) {
    this.engine = parts.engine;
    this.project = parts.project;
    this.config = parts.config;
    this.domain = options.domain;
    this.address = options.address ?? "127.0.0.1";
    this.httpsPort = options.httpsPort;
    this.tcpPort = options.tcpPort;
    this.ca = parts.ca;
    this.privateKey = parts.privateKey;
    this.#directory = parts.directory;
  }

  get url(): string {
    return `https://${this.domain}:${this.httpsPort}`;
  }

  /** Puts some keys of the configuration in place of those given at first. */
  configure(changes: Record<string, unknown>): void {
    this.project.setConfig({ ...this.config, ...changes });
  }

  async up(args: string[] = []): Promise<CommandResult> {
    return this.#recorded(await this.project.up(args));
  }

  /** An update that has to succeed. */
  async deploy(args: string[] = []): Promise<CommandResult> {
    return mustSucceed("pulumi up", await this.up(args));
  }

  async refresh(): Promise<CommandResult> {
    return mustSucceed("pulumi refresh", this.#recorded(await this.project.refresh(["--diff"])));
  }

  async destroy(): Promise<CommandResult> {
    return mustSucceed("pulumi destroy", this.#recorded(await this.project.destroy()));
  }

  outputs(): Promise<Outputs> {
    return this.project.outputs<Outputs>();
  }

  /** Takes away all that was deployed and made. That Pulumi can destroy it is shown where a test says so, and in `make soak`. */
  async stop(): Promise<void> {
    try {
      if (SOAK) await this.destroy();
      else await removeStack(this.engine, `reach-${this.project.stack}`);
    } finally {
      this.engine.close();
      this.project.remove();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  /** One HTTP/1.1 request on a connection of its own, the certificate checked. Any status is an answer. */
  request(path: string, options: RequestOptions = {}): Promise<Answer> {
    const { method = "GET", headers = {}, body, connection } = options;
    return new Promise((resolve, reject) => {
      const secure = { servername: this.domain, ca: this.ca, ALPNProtocols: ["http/1.1"] };
      const agent = new https.Agent({ keepAlive: false });
      if (connection) agent.createConnection = () => tls.connect({ socket: connection, ...secure });
      const call = https.request({
        agent,
        ...secure,
        host: this.address,
        port: this.httpsPort,
        method,
        path,
        headers: { host: `${this.domain}:${this.httpsPort}`, ...headers },
        timeout: 15_000,
      });
      call.on("timeout", () => call.destroy(new Error(`${method} ${path}: no answer in 15 s`)));
      call.on("error", reject);
      call.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("error", reject);
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          // A stream has no end to wait for.
          if (options.firstBytes) finish();
        });
        const finish = () => {
          const content = Buffer.concat(chunks);
          resolve({ status: response.statusCode!, headers: response.headers, body: content, text: content.toString() });
          if (options.firstBytes) call.destroy();
        };
        response.on("end", finish);
      });
      call.end(body);
    });
  }

  /** Every container of the stack, running or not, by the name that the program gave it. */
  async containers(): Promise<Map<string, ContainerInspect>> {
    const found = await inspectAll(this.engine, `reach-${this.project.stack}`);
    return new Map(found.map((container) => [container.Config.Labels["bulkhead.name"]!, container]));
  }

  /** The name of every container of the stack, running or not; one that is there twice is named twice. */
  async containerNames(): Promise<string[]> {
    const found = await inspectAll(this.engine, `reach-${this.project.stack}`);
    return found.map(({ Config }) => Config.Labels["bulkhead.name"]!).sort();
  }

  #recorded(result: CommandResult): CommandResult {
    this.runs.push(result);
    return result;
  }
}

/** The containers of a stack whose certificate comes from files, by the names that the program gives them. */
export const CONTAINERS = [
  "backend",
  "backend-route-job",
  "backend-secrets-courier",
  "edge",
  "edge-door",
  "edge-door-config-courier",
  "edge-plugin-courier",
  "edge-secrets-courier",
  "edge-settings-job",
  "frontend",
  "frontend-route-job",
  "routes-job",
];

export interface RequestOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** A connection to the edge from elsewhere. @default a new one from here */
  connection?: Duplex;
  /** Hang up when the first bytes of the body are here. */
  firstBytes?: boolean;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
}

/** What the tests look at in `docker inspect`. */
export interface ContainerInspect {
  Id: string;
  Name: string;
  Image: string;
  LogPath: string;
  RestartCount: number;
  State: {
    Status: string;
    Running: boolean;
    Pid: number;
    StartedAt: string;
    ExitCode: number;
    Health?: { Status: string };
  };
  Config: {
    Hostname: string;
    User: string;
    Image: string;
    Env: string[];
    Labels: Record<string, string>;
    Healthcheck?: { Test: string[] };
  };
  HostConfig: Record<string, unknown> & { NetworkMode: string; PidsLimit: number | null; Memory: number };
  Mounts: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[];
  NetworkSettings: {
    Ports: Record<string, { HostIp: string; HostPort: string }[] | null>;
    Networks: Record<string, { IPAddress: string; Gateway: string; Aliases: string[] | null }>;
  };
  GraphDriver: { Data: { UpperDir: string } };
}

export async function inspectAll(engine: Engine, stackLabel?: string): Promise<ContainerInspect[]> {
  const filters = stackLabel ? { label: [`bulkhead.stack=${stackLabel}`] } : {};
  const query = `all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const list = await engine.get<{ Id: string }[]>(`/containers/json?${query}`);
  return Promise.all(list.map(({ Id }) => engine.get<ContainerInspect>(`/containers/${Id}/json`)));
}

/** What there is on an engine, and since when it runs: equal before and after means that nothing was touched. */
export async function snapshot(engine: Engine, stackLabel?: string) {
  const belongs = ({ Labels }: { Labels: Record<string, string> | null }) =>
    stackLabel === undefined || Labels?.["bulkhead.stack"] === stackLabel;
  type Labelled = { Id: string; Name: string; Labels: Record<string, string> | null };
  const networks = await engine.get<Labelled[]>("/networks");
  const { Volumes: volumes } = await engine.get<{ Volumes: Labelled[] | null }>("/volumes");
  const containers = await inspectAll(engine, stackLabel);
  return {
    containers: containers
      .map(({ Id, Name, State, RestartCount }) => ({ Id, Name, StartedAt: State.StartedAt, RestartCount }))
      .sort((a, b) => a.Name.localeCompare(b.Name)),
    networks: networks
      .filter(belongs)
      .map(({ Id }) => Id)
      .sort(),
    volumes: (volumes ?? [])
      .filter(belongs)
      .map(({ Name }) => Name)
      .sort(),
  };
}

/** Takes away what Docker has of a stack at once, without a drain and without Pulumi. */
export async function removeStack(engine: Engine, stackLabel: string): Promise<void> {
  const { containers, networks, volumes } = await snapshot(engine, stackLabel);
  await Promise.all(containers.map(({ Id }) => engine.delete(`/containers/${Id}?force=1&v=1`)));
  await Promise.all(networks.map((id) => engine.delete(`/networks/${id}`)));
  await Promise.all(volumes.map((name) => engine.delete(`/volumes/${name}`)));
  const filters = encodeURIComponent(JSON.stringify({ label: [`bulkhead.stack=${stackLabel}`] }));
  for (const { Id } of await engine.get<{ Id: string }[]>(`/images/json?filters=${filters}`))
    // One that another is built from stays.
    await engine.delete(`/images/${Id}?force=1`).catch(() => undefined);
}

function mustSucceed(what: string, result: CommandResult): CommandResult {
  if (result.code === 0) return result;
  throw new Error(`${what}: exit ${result.code}\n${lastLines(result.stderr + result.stdout, 40)}`);
}
