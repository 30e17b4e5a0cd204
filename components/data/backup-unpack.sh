# Lays out what was fetched to $1 as the data directory $2, which recovers to $3: "point:NAME", "latest", a time, or the end
# of a base backup by its name. Short of a point or a time Postgres refuses to open; short of "latest" it cannot know. It stands before the other scripts.
unpack() {
  from=$1 data=$2
  mkdir -p "$data"
  chmod 0700 "$data"
  zstd -q -dc "$from/base/base.tar.zst" | tar -xf - -C "$data" || return
  # What was sent beside it is the same: who changes one of them is seen.
  cmp -s "$from/base/backup_manifest" "$data/backup_manifest" || {
    echo "the manifest of the base backup is another than the one in it" >&2
    return 1
  }
  pg_verifybackup --quiet --ignore=.fetched "$data" || return
  rm -rf "$from/plain"
  mkdir "$from/plain"
  for file in "$from"/wal/*.zst "$from"/open/*.zst; do
    [ -e "$file" ] || continue
    name=${file##*/}
    # One that is closed stands for itself.
    [ -e "$from/plain/${name%.zst}" ] || zstd -q -d "$file" -o "$from/plain/${name%.zst}" || return
  done
  {
    echo "restore_command = 'cp $from/plain/%f %p'"
    case $3 in
    latest) ;;
    point:*) echo "recovery_target_name = '${3#point:}'" ;;
    *_*) echo "recovery_target = 'immediate'" ;;
    *) echo "recovery_target_time = '$3'" ;;
    esac
    echo "recovery_target_action = 'promote'"
  } >/tmp/recovery.conf
  cat /tmp/recovery.conf >>"$data/postgresql.auto.conf"
  touch "$data/recovery.signal"
}

# Starts the server of the data directory $1 for nobody but this container, waits until it has recovered, and says why not.
start_scratch() {
  echo 'local all all trust' >/tmp/hba.conf
  postgres -D "$1" -c listen_addresses= -c unix_socket_directories=/tmp -c hba_file=/tmp/hba.conf -c hot_standby=off \
    -c shared_buffers=32MB -c max_connections=10 -c statement_timeout=0 -c lock_timeout=0 -c shared_preload_libraries= -c logging_collector=off \
    -c archive_mode=off -c fsync="$2" >/tmp/server.log 2>&1 &
  server=$!
  export PGHOST=/tmp PGUSER=postgres
  while kill -0 "$server" 2>/dev/null; do
    if [ "$(psql -XqAt -d postgres -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ]; then return; fi
    sleep 0.5
  done
  grep -E 'FATAL|PANIC|could not' /tmp/server.log | tail -1 | sed 's/^.*\(FATAL\|PANIC\|LOG\): *//' >&2
  return 1
}

stop_scratch() { kill -INT "$server" && wait "$server"; }

# The databases without the extension amcheck, which check_all leaves in each.
without_amcheck() {
  for database in $(psql -XqAt -d postgres -c 'select datname from pg_database where datallowconn'); do
    [ "$(psql -XqAt -d "$database" -c "select count(*) from pg_extension where extname = 'amcheck'")" = 1 ] || echo "$database"
  done
}

# Reads every row of every table, and every page and index; writes ROWS TABLES DATABASES.
check_all() {
  pg_amcheck --all --install-missing --heapallindexed >/tmp/amcheck.log 2>&1 || {
    grep -v '^$' /tmp/amcheck.log | tail -1 >&2
    return 1
  }
  rows=0 tables=0 databases=''
  for database in $(psql -XqAt -d postgres -c 'select datname from pg_database where datallowconn order by datname'); do
    databases="$databases $database"
    psql -XqAt -d "$database" -c "select format('%I.%I', nspname, relname) from pg_class join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'm') and relpersistence = 'p' and nspname <> 'pg_catalog' and nspname <> 'information_schema' and nspname <> 'pg_toast'" >/tmp/tables || return
    while read -r table; do
      count=$(psql -XqAt -d "$database" -c "select count(*) from $table" </dev/null) || return
      rows=$((rows + count)) tables=$((tables + 1))
    done </tmp/tables
  done
  echo "$rows $tables$databases"
}
