# PgBouncer until its clients have left: Docker's SIGTERM makes it take no new ones (SHUTDOWN WAIT_FOR_CLIENTS).
set -eu
fail() { echo "bulkhead: $1" >&2; exit 1; }
command -v psql > /dev/null || fail 'the image has no psql, by which its health is seen: give one that has it'
version=$(pgbouncer --version | sed -n 's/^PgBouncer \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
major=${version% *} minor=${version#* }
if [ "$major" -lt 1 ] || { [ "$major" = 1 ] && [ "$minor" -lt 26 ]; }; then
  fail "PgBouncer $major.$minor has CVE-2026-19888: give an image of 1.26 or newer"
fi
exec pgbouncer -q /etc/pgbouncer/pgbouncer.ini
