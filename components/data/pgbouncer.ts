import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Network } from "@pulumi/docker/network.js";
import * as pulumi from "@pulumi/pulumi";
import { Container } from "../host/container.ts";
import type { DockerHost } from "../host/docker-host.ts";
import { dataNetwork } from "../host/networks.ts";
import { Courier } from "../host/file-volume.ts";
import type { Limits } from "../host/hardening.ts";
import { refuse } from "../host/refuse.ts";
import { leastLimitProblems, wholeNumber } from "./argument-problems.ts";
import { dataImages } from "./images.ts";
import type { Login, LoginArgs, Postgres } from "./postgres.ts";

export interface PgBouncerArgs {
  host: DockerHost;
  /** The server whose connections it shares out. */
  server: Postgres;
  /** By digest, with psql, of 1.26 or newer: an older one does not start. @default dataImages.pgbouncer */
  image?: pulumi.Input<string>;
  /** @default 128 MiB, 1 CPU, 32 processes */
  limits?: Limits;
  /** The most clients at a time, 10 to 10000. @default 1000 */
  clients?: number;
  /**
   * Connections to the server at most, shared out evenly between its databases: two or more for each. Two PgBouncers run
   * side by side while one is replaced, so twice as many have to fit beside eight others and those of other PgBouncers.
   * @default half of the server's connections that are left beside those
   */
  serverConnections?: number;
  /** Seconds that clients get to leave one that is replaced. Afterwards they are cut off. @default 60 */
  drainSeconds?: number;
}

/**
 * PgBouncer in transaction mode, in front of one Postgres. What consumers may is what their logins may: it asks the server
 * for their passwords' hashes, and knows one password alone, its own. Replaced side by side, under one name.
 */
export class PgBouncer extends pulumi.ComponentResource {
  /** Its name in the program, and in the network. */
  readonly name: string;
  /** What a consumer joins. */
  readonly network: Network;
  readonly container: Container;
  readonly #server: Postgres;

  /** @throws Error with all that is wrong with the arguments. */
  constructor(name: string, args: PgBouncerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:PgBouncer", name, {}, { providers: [args.host.provider], ...opts });
    const { host, server, image = dataImages.pgbouncer, clients = 1000, drainSeconds = 60 } = args;
    const { limits = { memoryMb: 128, cpus: 1, pids: 32 } } = args;
    const beside = pools.get(server) ?? [];
    const taken = beside.reduce((sum, pool) => sum + pool.serverConnections, 0);
    const least = 2 * server.databases.length;
    const most = Math.floor((server.connections - OTHERS) / 2) - taken;
    const { serverConnections = most } = args;
    const problems = [
      ...leastLimitProblems(limits, { memoryMb: 32, pids: 16 }),
      ...wholeNumber("clients", clients, 10, 10_000),
      ...(most < least ||
      (Number.isInteger(serverConnections) && serverConnections >= least && serverConnections <= most)
        ? []
        : [
            `serverConnections: ${serverConnections} is not from ${least} to ${most}: give such a number, or the server ` +
              "more connections, of which two PgBouncers side by side take twice as many",
          ]),
      ...(most >= least ? [] : [tooFew(server, beside, least)]),
      ...wholeNumber("drainSeconds", drainSeconds, 1, 3600),
    ];
    refuse(name, problems);
    pools.set(server, [...beside, { name, serverConnections }]);
    this.name = name;
    this.#server = server;
    this.network = dataNetwork(host, name, this);
    const { env, secrets } = server.poolLogin(name);
    const user = env["DATABASE_USER"]!;
    const configuration = new Courier(
      `${name}-configuration`,
      {
        host,
        readerUid: "1000",
        files: {
          "pgbouncer.ini": user.apply((login) => ini({ server, login, clients, serverConnections })),
          "userlist.txt": pulumi.interpolate`"${user}" "${secrets.DATABASE_PASSWORD}"\n`,
          pgpass: pulumi.interpolate`127.0.0.1:6432:*:${user}:${secrets.DATABASE_PASSWORD}\n`,
        },
      },
      { parent: this },
    );
    this.container = new Container(
      name,
      {
        ...{ host, image, limits, role: "database", run: "always" },
        entrypoint: ["/bin/sh", "-c", START, name],
        command: [user, server.name],
        env: { PGPASSFILE: "/etc/pgbouncer/pgpass", PGUSER: user },
        networks: [
          { name: this.network.name, aliases: [name] },
          { name: server.network.name, aliases: [`${name}-of-${server.name}`] },
        ],
        volumes: [{ name: configuration.volumeName, path: "/etc/pgbouncer" }],
        // Through to the server: that the port is open says nothing of what stands behind it.
        health: { test: ["CMD", "psql", "-XqAt", "-h", "127.0.0.1", "-p", "6432", "-d", "postgres", "-c", "select 1"] },
        graceSeconds: drainSeconds + 5,
      },
      { parent: this, dependsOn: server },
    );
    host.register(name, this.container);
    this.registerOutputs({ container: this.container.name });
  }

  /**
   * A login at its server, used through this: `networks: [pool.network], ...pool.login("api", { database: "app", rights:
   * "read-write" })`.
   *
   * @throws Error with all that is wrong with the arguments.
   */
  login(consumer: string, args: LoginArgs): Login {
    const { env, secrets } = this.#server.login(consumer, args);
    const known = (value: string) => this.container.name.apply(() => value);
    return { env: { ...env, DATABASE_HOST: known(this.name), DATABASE_PORT: known("6432") }, secrets };
  }
}

/** Of the server's connections, for the superuser, logins without a pool, a backup. */
const OTHERS = 8;

interface Pool {
  name: string;
  serverConnections: number;
}
/** All that share one server's connections. */
const pools = new WeakMap<Postgres, Pool[]>();

/** What to do where no number of them would do. */
function tooFew(server: Postgres, beside: readonly Pool[], least: number): string {
  const taken = beside.map((pool) => ` ${2 * pool.serverConnections} may be ${pool.name}'s,`).join("");
  const enough = 2 * (least + beside.reduce((sum, pool) => sum + pool.serverConnections, 0)) + OTHERS;
  const others = beside.length > 0 ? ", or its other PgBouncers fewer serverConnections" : "";
  const of = `${server.databases.length} database${server.databases.length > 1 ? "s" : ""}`;
  return (
    `serverConnections: of ${server.name}'s ${server.connections} connections${taken}${taken && " and"} too few are left ` +
    `for ${of}: give ${server.name} at least ${enough} connections${others}`
  );
}

/** Without its comments, as it stands in every `docker inspect`. */
const START = readFileSync(join(import.meta.dirname, "pgbouncer-start.sh"), "utf8").replace(/^\s*#.*\n/gm, "");

interface IniArgs extends Required<Pick<PgBouncerArgs, "server" | "clients" | "serverConnections">> {
  login: string;
}

function ini({ server, login, clients, serverConnections }: IniArgs): string {
  const at = `host=${server.name} port=5432`;
  const databases = server.databases.map((each) => `${each} = ${at}\n`);
  // PgBouncer knows a limit for each database alone.
  const ofEach = Math.floor(serverConnections / server.databases.length);
  // In postgres it asks for hashes and for its health: one of the others' connections. With as many as a database's, two
  // PgBouncers side by side would take what the server keeps for its superuser.
  return `[databases]
postgres = ${at} pool_size=1 max_db_connections=1
${databases.join("")}
[pgbouncer]
listen_addr = *
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
auth_user = ${login}
auth_dbname = postgres
admin_users = ${login}
auth_query = select name, secret from bulkhead.secret_of($1)
pool_mode = transaction
max_client_conn = ${clients}
max_db_connections = ${ofEach}
default_pool_size = ${ofEach}
max_prepared_statements = 200
query_wait_timeout = 30
server_connect_timeout = 5
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
log_stats = 0
`;
}
