import type { Limits } from "../host/hardening.ts";

/** What of the server may be set by key. Everything else follows from the limits, or would weaken it. */
export type PostgresSettings = Record<string, string>;

/**
 * postgresql.conf for a server with these limits. Where a figure follows from them, it is the one that PostgreSQL's
 * manual (section 19.4) or, where that gives none, PGTune's "web application" gives.
 *
 * @throws Error with every key that cannot be set, and why.
 */
export function postgresConf(limits: Limits, connections: number, own: PostgresSettings): string {
  const problems = Object.entries(own).flatMap(([key, value]) => problemOf(key, value));
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const memory = limits.memoryMb;
  const cores = Math.max(1, Math.floor(limits.cpus));
  const all = {
    ...FIXED,
    max_connections: String(connections),
    // The manual: 25% of the memory, and for its own page cache the rest, which the limit of a container holds too.
    shared_buffers: `${Math.floor(memory / 4)}MB`,
    effective_cache_size: `${Math.floor((memory * 3) / 4)}MB`,
    // PGTune: a sixteenth of the memory.
    maintenance_work_mem: `${Math.floor(memory / 16)}MB`,
    // PGTune: what the buffers leave, for three sorts or hashes of every connection.
    work_mem: `${Math.max(64, Math.floor(((memory * 3) / 4 / (connections * 3)) * 1024))}kB`,
    max_parallel_workers: String(cores),
    max_parallel_workers_per_gather: String(Math.ceil(cores / 2)),
    ...own,
    ...KEPT,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key} = '${value.replaceAll("'", "''")}'\n`)
    .join("");
}

/** Whatever the limits are. A program may set others. */
const FIXED = {
  checkpoint_completion_target: "0.9",
  min_wal_size: "256MB",
  max_wal_size: "1GB",
  // For SSDs, as PGTune has them.
  random_page_cost: "1.1",
  effective_io_concurrency: "200",
  statement_timeout: "30s",
  lock_timeout: "10s",
  idle_in_transaction_session_timeout: "60s",
  log_min_duration_statement: "500",
  log_checkpoints: "on",
  log_lock_waits: "on",
};

/** Nobody sets these: the server would be open, or lose what it acknowledged. */
const KEPT = {
  listen_addresses: "*",
  port: "5432",
  unix_socket_directories: "/var/run/postgresql",
  hba_file: "/etc/bulkhead/pg_hba.conf",
  password_encryption: "scram-sha-256",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  shared_preload_libraries: "pg_stat_statements",
  // It would keep the text of ALTER ROLE, and with it a password.
  "pg_stat_statements.track_utility": "off",
  logging_collector: "off",
  log_destination: "stderr",
};

const REFUSED = new Set([
  ...Object.keys(KEPT),
  ...["max_connections", "data_directory", "config_file", "ident_file", "archive_command", "archive_library"],
  ...["zero_damaged_pages", "ignore_checksum_failure", "ignore_system_indexes", "allow_system_table_mods"],
  ...["restore_command", "ssl_passphrase_command", "local_preload_libraries", "session_preload_libraries"],
  ...["dynamic_library_path", "log_statement", "include", "include_dir", "include_if_exists"],
]);

function problemOf(key: string, value: string): string[] {
  if (!/^[a-z_]+(\.[a-z_]+)?$/.test(key))
    return [`settings.${key}: is not the name of a setting: give one of PostgreSQL's, like work_mem`];
  if (REFUSED.has(key)) return [`settings.${key}: would weaken the server, or is set by an argument: leave it out`];
  return /[\n\r\0\\]/.test(value) ? [`settings.${key}: has a line break or a backslash: take it out`] : [];
}
