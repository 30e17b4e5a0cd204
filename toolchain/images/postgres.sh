# The user, the paths and the entry point of the official image, as far as they hold for a user that is not root.
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >> "$1/etc/passwd"
echo 'postgres:x:999:' >> "$1/etc/group"
for program in "$1"/usr/lib/postgresql/*/bin/*; do
  ln -sf "${program#"$1"}" "$1/usr/local/bin/${program##*/}"
done
mkdir -p "$1/var/lib/postgresql/data" "$1/var/run/postgresql" "$1/docker-entrypoint-initdb.d"
chown 999:999 "$1/var/lib/postgresql" "$1/var/lib/postgresql/data" "$1/var/run/postgresql"
chmod 1777 "$1/var/lib/postgresql/data"
chmod 3777 "$1/var/run/postgresql"
cat > "$1/usr/local/bin/docker-entrypoint.sh" <<'SCRIPT'
#!/bin/sh
set -eu
case ${1-} in -*) set -- postgres "$@" ;; esac
if [ "${1-}" != postgres ] || [ -s "$PGDATA/PG_VERSION" ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
  echo 'this stand-in makes a database as no root: run it as 999' >&2
  exit 1
fi

# NAME or NAME_FILE, and not both, as in the official image.
value_of() {
  eval "given=\${$1-} file=\${$1_FILE-}"
  if [ -n "$given" ] && [ -n "$file" ]; then
    echo "error: both $1 and $1_FILE are set (but are exclusive)" >&2
    exit 1
  fi
  if [ -n "$file" ]; then cat "$file"; else printf %s "${given:-$2}"; fi
}
user=$(value_of POSTGRES_USER postgres)
database=$(value_of POSTGRES_DB "$user")
password=$(value_of POSTGRES_PASSWORD '')
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
if [ -z "$password" ] && [ "$method" != trust ]; then
  echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
  exit 1
fi
umask 077
mkdir -p "$PGDATA"
chmod 700 "$PGDATA"
printf '%s\n' "$password" > /tmp/initdb-password
# shellcheck disable=SC2086 # arguments, as the official image takes them
initdb --username="$user" ${password:+--pwfile=/tmp/initdb-password} ${POSTGRES_INITDB_ARGS-}
rm /tmp/initdb-password
printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
printf "\nlisten_addresses = '*'\n" >> "$PGDATA/postgresql.conf"
export PGPASSWORD="$password"
pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
if [ "$database" != postgres ]; then createdb --username="$user" --maintenance-db=postgres "$database"; fi
for script in /docker-entrypoint-initdb.d/*; do
  case $script in
    *.sql) psql -v ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$script" ;;
    *.sh) (. "$script") ;;
  esac
done
pg_ctl -D "$PGDATA" -m fast -w stop
unset PGPASSWORD
exec "$@"
SCRIPT
chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
