# PgBouncer until its clients have left. Docker's SIGTERM makes it take no new ones (SHUTDOWN WAIT_FOR_CLIENTS), at a moment
# when nobody is about to log in: whoever is, it would refuse. $1: its own login, which may administer it. $2: its server.
set -u
fail() { echo "bulkhead: $1" >&2; exit 1; }
command -v psql > /dev/null || fail 'the image has no psql, by which its health is seen: give one that has it'
version=$(pgbouncer --version | sed -n 's/^PgBouncer \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
major=${version% *} minor=${version#* }
if [ "$major" -lt 1 ] || { [ "$major" = 1 ] && [ "$minor" -lt 26 ]; }; then
  fail "PgBouncer $major.$minor has CVE-2026-19888: give an image of 1.26 or newer"
fi

# PgBouncer is told the server's address and asks for no name itself: its resolver, c-ares from 1.31, keeps an answer that
# was empty for an hour (c-ares issue 1293), as of a server that is replaced, or that starts after this one. Where the name
# leads nowhere, the address is one that refuses at once, and is not waited for.
configure() {
  sed "s/ host=$1 / host=${2:-127.0.0.1} /" /etc/pgbouncer/pgbouncer.ini > /tmp/pgbouncer.ini.new &&
    mv /tmp/pgbouncer.ini.new /tmp/pgbouncer.ini
}
address_of() {
  if command -v getent > /dev/null; then timeout 2 getent hosts "$1"
  else timeout 2 nslookup "$1" 2> /dev/null | sed -n '/^Name:/,$s/^Address[ 0-9]*: *//p'
  fi | while read -r address _; do echo "$address"; break; done
}
command -v getent > /dev/null || command -v nslookup > /dev/null ||
  fail 'the image has neither getent nor nslookup, by which the server is found: give one that has'
address=$(address_of "$2")
configure "$2" "$address" || exit
pgbouncer /tmp/pgbouncer.ini &
pooler=$!
(
  missed=0
  while sleep 1; kill -0 "$pooler" 2> /dev/null; do
    now=$(address_of "$2")
    if [ -n "$now" ]; then missed=0; else missed=$((missed + 1)); fi
    # Twice may be a busy Docker, and connections that are good would be given up.
    if [ "$now" = "$address" ] || [ "$missed" = 1 ] || [ "$missed" = 2 ]; then continue; fi
    address=$now
    configure "$2" "$address" && kill -HUP "$pooler"
  done
) &

# One connection that is open already asks who logs in, and ends it with the next word: no process starts in between.
shut_down() {
  rm -f /tmp/ask /tmp/answer
  mkfifo -m 600 /tmp/ask /tmp/answer || return
  {
    PGCONNECT_TIMEOUT=5 psql -XqAtwv ON_ERROR_STOP=1 -h 127.0.0.1 -p 6432 -U "$1" -d pgbouncer
    echo "gone|$?" > /tmp/answer
  } < /tmp/ask &
  exec 3> /tmp/ask 4<> /tmp/answer
  looks=0 line=
  until [ "$line" = 'login_clients|0' ] || [ "$looks" = 2000 ]; do
    looks=$((looks + 1))
    # Into a file, as what goes to a pipe is kept back.
    echo 'show lists \g /tmp/answer' >&3 || return
    while read -r line <&4; do
      case $line in login_clients*) break ;; gone*) return 1 ;; esac
    done
  done
  echo 'shutdown wait_for_clients;' >&3 || return
  exec 3>&-
  while read -r line <&4; do
    case $line in 'gone|0') return ;; gone*) return 1 ;; esac
  done
}

# A process of its own, as busybox's `read` waits for ever in a shell that has trapped a signal.
rm -f /tmp/end
mkfifo -m 600 /tmp/end || exit
(
  # Of a console that is gone.
  trap '' PIPE
  read -r _ < /tmp/end
  shut_down "$1" || kill -TERM "$pooler"
) &
trap 'echo > /tmp/end &' TERM
while wait "$pooler"; code=$?; kill -0 "$pooler" 2> /dev/null; do :; done
exit "$code"
