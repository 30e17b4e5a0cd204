# How a drill ends: `finish_drill`, `fail`, and what they tell. It stands before the scripts of drills.
say() { echo "drill: $1"; }
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }
umask 077
began=$(date +%s)
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
  say "$2 ($fetched, $bytes bytes, $((now - began)) s)"
  [ "$1" = ok ]
  exit
}
fail() { finish_drill failed "$1"; }
trap 'fail "it was ended before it was done"' TERM INT
