// An example as its users have it: a clean copy, `bulkhead up` in its folder, and what is asked of it from outside.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import * as https from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import type { LookupFunction } from "node:net";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, vi } from "vitest";
import { Engine } from "../../components/docker-engine/client.ts";
import { startBrowser, type Browser } from "./browser.ts";
import type { CommandResult } from "./command.ts";
import { repository, RepositoryCopy } from "./copy.ts";
import { startLoad } from "./load.ts";
import type { Point } from "./points.ts";
import { inspectAll, type ContainerInspect } from "./reach.ts";
import { placesOf, placesOfEdge, reachedFrom, withPlacesBeyond } from "./reachability.ts";

export interface Answer {
  status: number;
  text: string;
  headers: IncomingHttpHeaders;
}

export class Example {
  readonly name: string;
  readonly stack: string;
  readonly host: string;
  readonly address: string;
  readonly copy = new RepositoryCopy();
  readonly program: string;
  readonly engine: Engine;
  /** Where its edge listens. */
  readonly #listens: string;

  /**
   * @param httpsPort as Pulumi.local.yaml has it
   * @param place @default the stack `local`, on the test engine
   */
  constructor(name: string, httpsPort: number, place: { stack?: string; engine?: Engine; address?: string } = {}) {
    const { stack = "local", engine, address = "127.0.0.1" } = place;
    this.name = name;
    this.stack = `${name}-${stack}`;
    this.engine = engine ?? new Engine(process.env["DOCKER_HOST"]!);
    this.#listens = address;
    this.host = `${name}.localhost`;
    this.address = `https://${this.host}:${httpsPort}`;
    this.program = join(this.copy.directory, "examples", name);
  }

  /** The first deployment, from nothing. */
  async start(): Promise<void> {
    const up = await this.bulkhead("up");
    expect(up, up.stdout + up.stderr).toMatchObject({ code: 0 });
    console.log(`From a clean clone to an answer, tools cached: ${up.seconds.toFixed(0)} s.`);
  }

  /** Takes it away with its data, and sees that nothing is left. */
  async remove(): Promise<void> {
    const down = await this.bulkhead("down", "--delete-data", "--yes");
    const left = await inspectAll(this.engine, this.stack);
    this.engine.close();
    this.copy.remove();
    expect(down, down.stderr).toMatchObject({ code: 0 });
    expect(left).toEqual([]);
  }

  /** The command, from source. */
  bulkhead(...args: string[]): Promise<CommandResult> {
    return this.copy.bulkhead(args, { cwd: this.program, timeoutMs: 400_000 });
  }

  /** Puts other text in the place of some that a file of it has once; gives what undoes it. */
  edit(file: string, from: string, to: string): () => void {
    return this.copy.edit(join("examples", this.name, file), from, to);
  }

  ca(): string {
    return readFileSync(join(this.program, ".bulkhead/certificates/ca.pem"), "utf8");
  }

  /** What secrets of a service are, by their files. */
  async secrets(service: string, ...files: string[]): Promise<string[]> {
    const paths = files.map((file) => `/run/secrets/${file}`);
    const each = ["sh", "-c", 'for file; do cat "$file"; echo; done', "sh", ...paths];
    const { code, stdout, stderr } = await this.bulkhead("exec", service, "--", ...each);
    expect(code, stderr).toBe(0);
    const values = stdout.trimEnd().split("\n");
    expect(values.map(({ length }) => length > 20)).toEqual(files.map(() => true));
    return values;
  }

  /** The picture in its README, taken anew with SCREENSHOTS=1: its pixels differ from machine to machine. */
  async picture(page: Page, file: string): Promise<void> {
    const takes = process.env["SCREENSHOTS"] === "1";
    const path = join(takes ? repository : this.copy.directory, "examples", this.name, file);
    const before = readFileSync(path);
    const taken = await page.screenshot({ path, scale: "css" });
    // A page that lacks its styles or its rows is smaller by far.
    if (!takes) expect(taken.length).toBeGreaterThan(before.length / 2);
  }

  browser(): Promise<Browser> {
    return startBrowser({ ca: this.ca(), hosts: { [this.host]: "127.0.0.1" } });
  }

  containers(): Promise<ContainerInspect[]> {
    return inspectAll(this.engine, this.stack);
  }

  async running(): Promise<ContainerInspect[]> {
    return (await this.containers()).filter(({ State }) => State.Running);
  }

  /** Those that run, by the name that the program gave them. */
  async byName(): Promise<Record<string, ContainerInspect>> {
    return Object.fromEntries((await this.running()).map((each) => [each.Config.Labels["bulkhead.name"]!, each]));
  }

  async container(name: string): Promise<ContainerInspect> {
    const found = await this.containers();
    return found.find(({ Config }) => Config.Labels["bulkhead.name"] === name)!;
  }

  ask(method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { "Content-Type": "application/json", ...more };
      const request = https.request(
        new URL(path, this.address),
        { ...{ method, headers, ca: this.ca(), agent: false, timeout: 15_000 }, lookup: leadingTo(this.#listens) },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (part: string) => (text += part));
          answer.on("end", () => resolve({ status: answer.statusCode!, text, headers: answer.headers }));
        },
      );
      request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer in 15 s`)));
      request.on("error", reject);
      request.end(body && JSON.stringify(body));
    });
  }

  /**
   * An update while clients ask for a path: all of them are answered, by another container in the end.
   *
   * @param requestsPerSecond so few that what they make up for after a pause stays below the route's rate limit
   */
  async releasedUnderLoad(service: string, path: string, requestsPerSecond = 15): Promise<void> {
    const load = startLoad({
      ...{ url: this.address + path, address: "127.0.0.1", ca: this.ca() },
      // Longer than the slowest update takes: it is ended below.
      ...{ connections: 4, requestsPerSecond, seconds: 900 },
    });
    const before = await this.container(service);
    try {
      await load.advance(20);
      const up = await this.bulkhead("up");
      expect(up, up.stderr).toMatchObject({ code: 0 });
      console.log(JSON.stringify({ release: "under load", seconds: up.seconds }));
      await load.advance(20);
    } finally {
      await load.stop();
    }
    const { requests, failed, failures } = await load.result;
    console.log(JSON.stringify({ release: "under load", requests, failed }));
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect((await this.container(service)).Id).not.toBe(before.Id);
  }

  /** An update that fails, and leaves the release of a service that there is. */
  async refusedRelease(service: string): Promise<CommandResult> {
    const before = await this.container(service);
    const up = await this.bulkhead("up");
    expect(up.code).not.toBe(0);
    expect((await this.container(service)).Id).toBe(before.Id);
    return up;
  }

  /** A release whose migration makes a table and then fails: the old one serves on, and there is no such table. */
  async failedMigration(service: string, database: string): Promise<void> {
    const file = join(this.program, service, "migrations/versions/0002_breaks.py");
    writeFileSync(file, FAILING);
    const up = await this.refusedRelease(service);
    rmSync(file);
    expect(up.stdout + up.stderr).toContain("division by zero");
    const sql = "select to_regclass('half') is null, version_num from alembic_version";
    const psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres", "--command"];
    const { stdout } = await this.bulkhead("exec", "database", "--", ...psql, sql, database);
    expect(stdout).toBe("t|0001\n");
  }

  /** Ends the first process of a container, and waits until Docker has it healthy again. */
  async killed(name: string): Promise<void> {
    const before = await this.container(name);
    process.kill(before.State.Pid, "SIGKILL");
    await vi.waitFor(
      async () => {
        const { State, RestartCount } = await this.container(name);
        expect(State.Health?.Status).toBe("healthy");
        expect(RestartCount).toBeGreaterThan(before.RestartCount);
      },
      { timeout: 90_000, interval: 500 },
    );
  }

  /** No process is root, and nothing has more rights than it needs. */
  async hardened(): Promise<void> {
    for (const { Id, Config, HostConfig } of await this.running()) {
      const name = Config.Labels["bulkhead.name"]!;
      const path = `/containers/${Id}/top?ps_args=-eo%20pid,uid`;
      const { Processes } = await this.engine.get<{ Processes: string[][] }>(path);
      expect(
        Processes.map(([, uid]) => uid).filter((uid) => uid === "0"),
        name,
      ).toEqual([]);
      expect(HostConfig, name).toMatchObject({
        ...{ ReadonlyRootfs: true, CapAdd: null, CapDrop: ["ALL"], Privileged: false },
        SecurityOpt: ["no-new-privileges:true"],
      });
      const { Memory, NanoCpus, PidsLimit } = HostConfig as Record<string, number>;
      expect(Math.min(Memory!, NanoCpus!, PidsLimit!), name).toBeGreaterThan(0);
    }
  }

  /** Whom each container reaches beside itself, as `NAME:PORT`: of the edge also what it keeps from its neighbours. */
  async reachability(): Promise<Record<string, string[]>> {
    const containers = await this.byName();
    const services = Object.fromEntries(
      Object.entries(containers).filter(([, { Config }]) => Config.Labels["bulkhead.role"] === "service"),
    );
    const inside = placesOfEdge(containers["edge"]!, services);
    for (const [name, each] of Object.entries(containers)) Object.assign(inside, placesOf(name, each));
    return withPlacesBeyond(this.engine, async (beyond) => {
      const each = Object.entries(containers).map(async ([name, container]) => {
        const reached = (await reachedFrom(container, { ...inside, ...beyond })).map((place) =>
          place.replace(/^host .*/, "host").replace(/ on [^:]*/, ""),
        );
        return [name, [...new Set(reached)].filter((place) => place.split(/[: ]/)[0] !== name)] as const;
      });
      return Object.fromEntries(await Promise.all(each));
    });
  }

  /** Values that stand in no setting of any container, and in no log. */
  async hidden(...secrets: string[]): Promise<void> {
    const found = JSON.stringify(await this.containers());
    const logs = await this.bulkhead("logs");
    expect(logs.code).toBe(0);
    for (const [index, secret] of secrets.entries())
      expect({ index, inspected: found.includes(secret), logged: logs.stdout.includes(secret) }).toEqual({
        ...{ index, inspected: false, logged: false },
      });
  }
}

const FAILING = `"""Breaks."""
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("create table half (id int)")
    op.execute("select 1 / 0")
`;

/** Points that name a test of this file which did not pass. What `make soak` alone runs is told as skipped. */
export function unshown(points: readonly Point[], file: string, tasks: readonly Task[]): string[] {
  const passed = tasks
    .filter(({ mode, result }) => result?.state === "pass" || mode === "skip")
    .map(({ name }) => `${file}: ${name}`);
  const named = points.flatMap(({ shownBy }) => shownBy).filter((each) => each.startsWith(file));

  return [...new Set(named)].filter((each) => !passed.includes(each));
}

interface Task {
  name: string;
  mode: string;
  result?: { state: string };
}

function leadingTo(address: string): LookupFunction {
  return (_, { all }, done) => {
    if (all) done(null, [{ address, family: 4 }]);
    else done(null, address, 4);
  };
}
