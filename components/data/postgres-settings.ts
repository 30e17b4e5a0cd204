import type { Limits } from "../host/hardening.ts";

/** Settings of PostgreSQL's own by name, each as in postgresql.conf: `{ work_mem: "8MB" }`. */
export type PostgresSettings = Record<string, string>;

export interface Tuned {
  /** What only another start of the server changes, so that another value replaces its container. */
  atStart: PostgresSettings;
  /** What the server takes while it runs. */
  running: PostgresSettings;
}

/**
 * The settings of a server with these limits. Where a figure follows from them, it is the one that PostgreSQL's manual
 * (section 19.4) or, where that gives none, PGTune's "web application" gives.
 *
 * @param maxMb MiB that the data may take: WAL that nobody fetches gets a quarter of them at most.
 */
export function tuned(limits: Limits, connections: number, maxMb: number, own: PostgresSettings): Tuned {
  const memory = limits.memoryMb;
  const cores = Math.max(1, Math.floor(limits.cpus));
  const all: PostgresSettings = {
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
    max_wal_size: `${Math.min(1024, Math.floor(maxMb / 4))}MB`,
    // A receiver that is away may not fill the disk: its slot is given up instead, and it begins anew.
    max_slot_wal_keep_size: `${Math.floor(maxMb / 4)}MB`,
    ...own,
  };
  const entries = Object.entries(all);
  return {
    atStart: { ...Object.fromEntries(entries.filter(([key]) => AT_START.has(key))), ...KEPT },
    running: Object.fromEntries(entries.filter(([key]) => !AT_START.has(key))),
  };
}

/** Each setting that cannot be set, and why. */
export function settingProblems(own: PostgresSettings): string[] {
  return Object.entries(own).flatMap(([key, value]) => {
    if (!/^[a-z_]+(\.[a-z_]+)?$/.test(key))
      return [`settings.${key}: is not the name of a setting: give one of PostgreSQL's, like work_mem`];
    if (REFUSED.has(key)) return [`settings.${key}: would weaken the server, or is set by an argument: leave it out`];
    return /[\n\r\0]/.test(value) ? [`settings.${key}: has a line break: take it out`] : [];
  });
}

/** Whatever the limits are. A program may set others. */
const FIXED = {
  checkpoint_completion_target: "0.9",
  min_wal_size: "80MB",
  // For SSDs, as PGTune has them.
  random_page_cost: "1.1",
  effective_io_concurrency: "200",
  statement_timeout: "30s",
  lock_timeout: "10s",
  idle_in_transaction_session_timeout: "60s",
  log_min_duration_statement: "500",
  log_checkpoints: "on",
  log_lock_waits: "on",
  // For a receiver, a base backup with its own stream, and one of each that is about to take over.
  max_wal_senders: "6",
  max_replication_slots: "6",
  wal_compression: "lz4",
};

/** Nobody sets these: the server would be open, lose what it acknowledged, or could not be backed up. */
const KEPT = {
  listen_addresses: "*",
  port: "5432",
  unix_socket_directories: "/var/run/postgresql",
  hba_file: "/etc/bulkhead/pg_hba.conf",
  password_encryption: "scram-sha-256",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  wal_level: "replica",
  shared_preload_libraries: "pg_stat_statements",
  // It would keep the text of ALTER ROLE, and with it a password.
  "pg_stat_statements.track_utility": "off",
  logging_collector: "off",
  log_destination: "stderr",
};

const REFUSED = new Set([
  ...Object.keys(KEPT),
  ...["max_connections", "data_directory", "config_file", "ident_file", "archive_mode", "archive_command"],
  ...["archive_library", "archive_cleanup_command", "recovery_end_command", "restore_command", "primary_conninfo"],
  ...["zero_damaged_pages", "ignore_checksum_failure", "ignore_system_indexes", "ignore_invalid_pages"],
  ...["allow_system_table_mods", "allow_in_place_tablespaces", "data_sync_retry", "synchronous_standby_names"],
  ...["ssl_passphrase_command", "local_preload_libraries", "session_preload_libraries", "dynamic_library_path"],
  ...["log_statement", "log_parameter_max_length_on_error", "include", "include_dir", "include_if_exists"],
  ...["row_security", "session_replication_role", "role", "session_authorization", "external_pid_file"],
  ...["unix_socket_group", "unix_socket_permissions", "max_slot_wal_keep_size", "debug_print_parse"],
]);

/** `select name from pg_settings where context = 'postmaster'` of 15, 16 and 17. */
export const AT_START = new Set([
  ...["archive_mode", "autovacuum_freeze_max_age", "autovacuum_max_workers", "autovacuum_multixact_freeze_max_age"],
  ...["bonjour", "bonjour_name", "cluster_name", "commit_timestamp_buffers", "config_file", "data_directory"],
  ...["data_sync_retry", "debug_io_direct", "dynamic_shared_memory_type", "event_source", "external_pid_file"],
  ...["hba_file", "hot_standby", "huge_page_size", "huge_pages", "ident_file", "ignore_invalid_pages", "jit_provider"],
  ...["listen_addresses", "logging_collector", "max_connections", "max_files_per_process", "max_locks_per_transaction"],
  ...["max_logical_replication_workers", "max_notify_queue_pages", "max_pred_locks_per_transaction"],
  ...["max_prepared_transactions", "max_replication_slots", "max_wal_senders", "max_worker_processes"],
  ...["min_dynamic_shared_memory", "multixact_member_buffers", "multixact_offset_buffers", "notify_buffers"],
  ...["old_snapshot_threshold", "port", "recovery_target", "recovery_target_action", "recovery_target_inclusive"],
  ...["recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_timeline"],
  ...["recovery_target_xid", "reserved_connections", "serializable_buffers", "shared_buffers", "shared_memory_type"],
  ...["shared_preload_libraries", "subtransaction_buffers", "superuser_reserved_connections"],
  ...[
    "trace_connection_negotiation",
    "track_activity_query_size",
    "track_commit_timestamp",
    "transaction_buffers",
    "unix_socket_directories",
  ],
  ...["unix_socket_group", "unix_socket_permissions", "wal_buffers", "wal_decode_buffer_size", "wal_level"],
  ...["wal_log_hints", "pg_stat_statements.max"],
]);
