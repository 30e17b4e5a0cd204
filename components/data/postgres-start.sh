# One server for each volume. Postgres's own lock names a process id, which means nothing in another container, so the
# kernel's lock is taken first; who holds it may take away what a killed server left behind. "$@": settings.
set -eu
command -v flock > /dev/null || {
  echo 'bulkhead: the image has no flock: give the official one on Debian' >&2
  exit 1
}
exec 9> "$PGDATA/bulkhead.lock"
flock -n 9 || {
  echo 'bulkhead: another container serves this volume: not starting' >&2
  exit 1
}
rm -f "$PGDATA/postmaster.pid" /var/run/postgresql/.s.PGSQL.5432 /var/run/postgresql/.s.PGSQL.5432.lock
exec postgres "$@"
