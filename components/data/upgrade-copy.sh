# Copies all of a server into /upgraded/.copy, with the programs of its own version. $1: "live", beside the server that
# serves, as a trial; or "still", from the volume /old of a server that has ended, which loses nothing.
if [ -e /upgraded/bulkhead-upgraded ]; then
  cat /upgraded/bulkhead-upgraded
  finish
fi
umask 077
copy=/upgraded/.copy
rm -rf "$copy" && mkdir "$copy" || exit
if [ "$1" = still ]; then
  exec 9>/old/bulkhead.lock
  flock -n 9 || {
    echo 'the server still has its volume: not copied' >&2
    exit 1
  }
  rm -f /old/postmaster.pid
  start_scratch /old on || exit
else
  export PGHOST=/var/run/postgresql PGUSER=postgres
fi
pg_dumpall --globals-only >"$copy/all" || exit
# It is there already.
grep -v '^CREATE ROLE postgres;$' "$copy/all" >"$copy/globals.sql" && rm "$copy/all" || exit
psql -XqAt -d postgres -c 'select system_identifier from pg_control_system()' >"$copy/system" || exit
psql -XqAt -d postgres -c 'select datname from pg_database where datallowconn and not datistemplate' >"$copy/databases" || exit
while read -r database; do
  # With the rights and settings of the database itself.
  pg_dump --format=custom --compress=1 --create --file="$copy/$database.dump" "$database" </dev/null || exit
done <"$copy/databases" || exit
count_rows >"$copy/rows" || exit
[ "$1" = live ] || stop_scratch || exit
psql --version | sed 's/^.* \([0-9]*\)\..*$/\1/' >"$copy/version"
sync
echo "$1" >"$copy/how"
echo "copied: $(cat "$copy/databases" | tr '\n' ' ')"
finish
