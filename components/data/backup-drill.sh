# Restores the newest backup from the vault into a scratch server without a network, up to a row that was written just
# before, and reads all of it. Nothing but that makes the backup's health green. It stands behind backup-result.sh.
token=$(date -u +%Y%m%d%H%M%S)_$$

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
case $answer in
'base backup '*) fetched=${answer#base backup } fetched=${fetched%%:*} ;;
esac
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
