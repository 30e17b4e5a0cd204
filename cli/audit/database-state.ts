// What a PostgreSQL server of the stack says of those who can read all of it: a password or a slot that the stack did not make.
import type { Engine } from "../../components/docker-engine/client.ts";
import { outputOf } from "../backup/parts.ts";
import type { ExpectedContainer, ExpectedState } from "./expected-state.ts";
import type { Finding } from "./finding.ts";
import { hasRole } from "./expected-state.ts";
import { labelOf } from "../../policy/inputs.ts";

export interface ServerState {
  /** Roles that can read every row, by their rights: superusers, and those that can replicate. */
  powerful: { name: string; right: string }[];
  /** That are kept when nobody is connected. */
  slots: { name: string; usedBy: string | null }[];
}

export function isServer({ inputs }: ExpectedContainer): boolean {
  return hasRole(inputs, "database") && (inputs.envs ?? []).some((entry) => entry.startsWith("PGDATA="));
}

/** Undefined where it does not answer, of which its health tells. */
export async function serverState(engine: Engine, { id }: ExpectedContainer): Promise<ServerState | undefined> {
  const command = ["psql", "-XqAtU", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", QUERY];
  return outputOf(engine, id, command).then(
    (said) => JSON.parse(said) as ServerState,
    () => undefined,
  );
}

const QUERY = `set default_transaction_read_only = on; set statement_timeout = '5s';
select json_build_object(
  'powerful', (select coalesce(json_agg(json_build_object('name', rolname, 'right', case when rolsuper then 'superuser' else 'replication' end) order by rolname), '[]')
    from pg_roles where (rolsuper or rolreplication and rolcanlogin) and rolname <> 'postgres'),
  'slots', (select coalesce(json_agg(json_build_object('name', slot_name, 'usedBy', usename) order by slot_name), '[]')
    from pg_replication_slots left join pg_stat_activity on pid = active_pid where not temporary))`;

/** What is there beside the logins of consumers and the slot of a receiver. */
export function serverFindings(
  { containers }: ExpectedState,
  servers: Readonly<Record<string, ServerState>>,
): Finding[] {
  const logins = new Set(containers.flatMap(({ inputs }) => labelOf(inputs, "bulkhead.login") ?? []));
  const received = containers
    .filter(({ inputs }) => labelOf(inputs, "bulkhead.backup") === "receiver")
    .map(({ inputs }) => labelOf(inputs, "bulkhead.backup-of"));
  return Object.entries(servers).flatMap(([server, { powerful, slots }]): Finding[] => [
    ...powerful
      // Such a login may be of a release that serves until its consumers are rolled.
      .filter(({ name, right }) => right === "superuser" || !logins.has(name))
      .map(({ name, right }) => ({
        ...{ resource: server, field: `role ${name}`, promised: "none", found: right, cure: roleCure(server, name) },
      })),
    ...slots
      .filter(({ name, usedBy }) =>
        name === SLOT ? !received.includes(server) : usedBy === null || !logins.has(usedBy),
      )
      .map(({ name, usedBy }) => ({
        ...{ resource: server, field: `replication slot ${name}`, promised: "none", cure: slotCure(server, name) },
        found: usedBy === null ? "held for nobody" : `used by ${usedBy}`,
      })),
  ]);
}

/** Of a receiver: see backup-receive.sh. */
const SLOT = "bulkhead";

const sql = (server: string, text: string) => `\`bulkhead exec ${server} -- psql -U postgres -c "${text}"\``;

function roleCure(server: string, role: string): string {
  return (
    "It reads every row, and the stack did not make it. Find out who did; whoever knows that nothing needs it can\n" +
    `${sql(server, `alter role \\"${role}\\" nologin nosuperuser noreplication`)}.`
  );
}

function slotCure(server: string, slot: string): string {
  return (
    "Postgres keeps WAL for it, until that is a quarter of the database's maxMb. Whoever knows that nobody comes back for it can\n" +
    `${sql(server, `select pg_drop_replication_slot('${slot}')`)}.`
  );
}
