# Makes the volume /upgraded a data directory of this version from the copy in it, and reads all of it. $1: "live" or
# "still", as the copy has to be.
if [ -e /upgraded/bulkhead-upgraded ]; then
  cat /upgraded/bulkhead-upgraded
  finish
fi
copy=/upgraded/.copy
[ "$(cat "$copy/how" 2>/dev/null)" = "$1" ] || {
  echo "there is no copy of this kind ($1)" >&2
  exit 1
}
find /upgraded -mindepth 1 -maxdepth 1 ! -name .copy -exec rm -rf {} + || exit
initdb --pgdata=/upgraded/.new --username=postgres --data-checksums --encoding=UTF8 --locale=C.UTF-8 \
  --auth-local=peer --auth-host=scram-sha-256 >/dev/null || exit
mv /upgraded/.new/* /upgraded/ && rmdir /upgraded/.new && chmod 0700 /upgraded || exit
start_scratch /upgraded on || exit
psql -XqAt -v ON_ERROR_STOP=1 -d postgres -f "$copy/globals.sql" >/dev/null || exit
for dump in "$copy"/*.dump; do
  instead=
  # It is there already, and would keep none of its rights and settings.
  [ "$dump" != "$copy/postgres.dump" ] || instead='--clean --if-exists'
  # shellcheck disable=SC2086 # None or two.
  pg_restore --exit-on-error --create $instead -d template1 "$dump" || exit
done
vacuumdb --all --analyze-only --quiet || exit
if [ "$1" = still ]; then
  count_rows >/tmp/rows || exit
  cmp -s /tmp/rows "$copy/rows" || {
    echo "the rows are not those of before: $(diff "$copy/rows" /tmp/rows | sed -n 2p)" >&2
    exit 1
  }
fi
without=$(without_amcheck)
found=$(check_all) || exit
for database in $without; do psql -XqAt -d "$database" -c 'drop extension amcheck' || exit; done
# Whose backups those of before are: the receiver tells the shipper.
psql -XqAt -v ON_ERROR_STOP=1 -v before="$(cat "$copy/system")" -d postgres <<'SQL' || exit
create schema if not exists bulkhead;
create table if not exists bulkhead.before (system text primary key, at timestamptz not null default now());
insert into bulkhead.before (system) values (:'before') on conflict do nothing;
SQL
stop_scratch || exit
rows=${found%% *} found=${found#* }
said="upgraded from $(cat "$copy/version"): $rows rows in ${found%% *} tables of the databases ${found#* }"
rm -rf "$copy" || exit
[ "$1" = live ] || echo "$said" >/upgraded/bulkhead-upgraded
sync
echo "$said"
finish
