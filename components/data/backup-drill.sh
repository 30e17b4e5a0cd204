# Restores the newest backup from the vault into a scratch server without a network, up to a row that was written just
# before, and reads all of it. Nothing but that makes the backup's health green.
say() { echo "drill: $1"; }
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }
umask 077
began=$(date +%s) token=$(date -u +%Y%m%d%H%M%S)_$$
server='' fetched=none bytes=0

# Says how it ended, takes the scratch away, and leaves.
finish_drill() {
  trap '' TERM INT
  [ -z "$server" ] || kill -KILL "$server" 2>/dev/null
  # shellcheck disable=SC2115
  rm -rf /restore/in /restore/data
  rm -f /restore/wanted
  now=$(date +%s)
  put "$1 $now $((now - began)) $bytes $fetched $2" /state/drill
  cat /state/drill >>/state/drills
  tail -400 /state/drills >/state/drills.new && mv /state/drills.new /state/drills
  good=0
  [ "$1" != ok ] || good=1
  put "bulkhead_backup_drill_success $good
bulkhead_backup_drill_timestamp_seconds $now
bulkhead_backup_drill_duration_seconds $((now - began))
bulkhead_backup_drill_restored_bytes $bytes" /state/drill.prom
  say "$2 (base backup $fetched, $bytes bytes, $((now - began)) s)"
  [ "$1" = ok ]
  exit
}
fail() { finish_drill failed "$1"; }
trap 'fail "it was ended before it was done"' TERM INT

# A file whose first word is the token, of somebody else, within $2 seconds.
await() {
  until [ "$(cut -d' ' -f1 "$1" 2>/dev/null)" = "$token" ]; do
    [ $(($(date +%s) - began)) -lt "$2" ] || return 1
    sleep 1
  done
}

rm -rf /restore/in /restore/data
put "$token" /state/probe-wanted
await /state/probe-done 120 || fail "no probe row was written: does the receiver run, and does Postgres answer?"
read -r _ chain segment databases </state/probe-done
while [ -e "/spool/out/wal/$chain/$segment.zst" ]; do
  # What the storage refuses for a minute it goes on to refuse.
  waited=$(($(date +%s) - began))
  [ "$waited" -lt 60 ] || [ ! -r /sent/wal-error ] || fail "the WAL with the probe row is not sent: $(cat /sent/wal-error)"
  [ "$waited" -lt 300 ] || fail "the WAL with the probe row is not sent: see the log of the shipper"
  sleep 1
done
put "$token" /restore/wanted
await /restore/fetched 86400 || fail "nothing was fetched: does the shipper run?"
read -r _ how answer </restore/fetched
[ "$how" = ok ] || fail "$answer"
fetched=$answer
wrong=$( (unpack /restore/in /restore/data "point:bulkhead_$token") 2>&1) || fail "the base backup does not verify: $(echo "$wrong" | tail -1)"
bytes=$(du -sk /restore/data | cut -f1)000
start_scratch /restore/data off 2>/tmp/wrong || fail "Postgres does not recover: $(cat /tmp/wrong)"
[ "$(psql -XqAt -d postgres -c "select count(*) from bulkhead.probe where token = '$token'" 2>&1)" = 1 ] ||
  fail "the row that was written just before is not there"
found=$(check_all 2>/tmp/wrong) || fail "what was restored is damaged: $(cat /tmp/wrong)"
rows=${found%% *} found=${found#* }
[ "${found#* }" = "$databases" ] || fail "the databases are ${found#* } and not $databases"
stop_scratch
server=''
finish_drill ok "restored to the row of just before: $rows rows in ${found%% *} tables, every page and index read"
