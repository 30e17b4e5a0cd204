# One server for each volume: two would write one append-only file. "$@": settings.
set -eu
fail() { echo "bulkhead: $1" >&2; exit 1; }
command -v flock > /dev/null || fail 'the image has no flock: give an official one of Valkey or Redis'
server=$(command -v valkey-server || command -v redis-server) || fail 'the image has neither valkey-server nor redis-server'
exec 9> /data/bulkhead.lock
flock -n 9 || fail 'another container serves this volume: not starting'
# No dumps beside the append-only file.
exec "$server" "$@" --save ""
