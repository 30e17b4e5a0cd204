#!/bin/sh
# Streams every record of the write-ahead log (WAL) into the spool as Postgres writes it, and packs it for the shipper: a
# closed segment once, the open one whenever it grew. What was not received yet the replication slot keeps in Postgres.
#
# receive.sh BASE_SCRIPT SECONDS SPOOL_MB. A chain is the life of one slot: WAL without a gap, and the base backups that it goes on
# from. Where the slot is new or was given up, a new chain begins, and with it a base backup.
set -u
base=$1 every=$2 spool_mb=$3
say() { echo "receiver: $1"; }
umask 077
printf '*:*:*:*:%s\n' "$(cat "$PASSWORD_FILE")" >/tmp/pgpass
export PGPASSFILE=/tmp/pgpass PGCONNECT_TIMEOUT=5
sql() { psql -XqAt -v ON_ERROR_STOP=1 -d postgres -c "$1" 2>/tmp/error; }
# Replaces the file $2 by the text $1 in one step.
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }
# Which database this is: what initdb gave it, and a restore leaves.
system() { psql -XqAt -d 'dbname=postgres replication=true' -c IDENTIFY_SYSTEM 2>/tmp/error | cut -d'|' -f1; }
# What is wrong, for the health checks. In memory too, as the disk may be what is.
trouble() {
  [ "$1" = "$(cat /tmp/trouble 2>/dev/null)" ] || say "$1"
  echo "$1" >/tmp/trouble
  put "$1" /state/received-error 2>/dev/null
}
well() {
  rm -f /tmp/trouble /state/received-error
  put "$(date +%s)" /state/packed
}
pack() { zstd -q -f -1 "$1" -o "$2.new" && sync "$2.new" && mv "$2.new" "$2"; }

# For the shipper, which reaches no database: whose the chain is.
tell_system() {
  [ ! -s "/spool/systems/$chain" ] || return 0
  own=$(system)
  [ -n "$own" ] || {
    say "Postgres does not say which database it is: $(tail -1 /tmp/error)"
    return 1
  }
  mkdir -p /spool/systems
  # A table of one that was upgraded says what it was before.
  before=$(sql "select to_regclass('bulkhead.before')") || return
  [ -z "$before" ] || before=$(sql 'select system from bulkhead.before') || return
  # shellcheck disable=SC2086 # A word each.
  put "$(echo $own $before)" "/spool/systems/$chain"
}

# Gives whether there is a chain to go on with; begins one where there is none.
ensure_chain() {
  chain=$(cat /spool/chain 2>/dev/null)
  status=$(sql "select coalesce(wal_status, 'none') from pg_replication_slots where slot_name = 'bulkhead'") || {
    trouble "Postgres does not answer: $(tail -1 /tmp/error)"
    return 1
  }
  if [ -n "$chain" ] && [ -n "$status" ] && [ "$status" != lost ]; then
    tell_system
    return
  fi
  lost=$status
  [ -z "$status" ] || sql "select pg_drop_replication_slot('bulkhead')" >/dev/null || return
  sql "select pg_create_physical_replication_slot('bulkhead', true)" >/dev/null || return
  chain=$(date -u +%Y%m%dT%H%M%SZ)
  rm -rf /spool/wal
  tell_system || return
  put "$chain" /spool/chain
  [ "$lost" != lost ] || {
    say "Postgres gave the slot up (max_slot_wal_keep_size), as WAL was not fetched in time"
    put "$chain" /state/given-up
  }
  say "the chain $chain begins, with a base backup"
}

pack_all() {
  for file in "$in"/????????????????????????; do
    [ -e "$file" ] || continue
    name=${file##*/}
    pack "$file" "$out/wal/$chain/$name.zst" && rm -f "$file" "$out/open/$chain/$name.zst" || return
  done
  for file in "$in"/*.history; do
    [ ! -e "$file" ] || { pack "$file" "$out/wal/$chain/${file##*/}.zst" && rm -f "$file"; } || return
  done
  for file in "$in"/*.partial; do
    [ -e "$file" ] || continue
    now=$(stat -c '%n %y' "$file") name=${file##*/}
    # It is closed, and has another name, when pg_receivewal has filled it meanwhile.
    [ "$now" = "$seen" ] || { pack "$file" "$out/open/$chain/${name%.partial}.zst" && seen=$now; } ||
      [ ! -e "$file" ] || return
  done
}

# What the storage does not take must not fill the disk: Postgres holds what comes then, as long as its slot may.
spool_is_full() {
  waiting=$(du -sm "$out/wal" | cut -f1)
  [ "$waiting" -gt "$spool_mb" ] || return 1
  trouble "the spool is full, $waiting MB wait to be sent: $(cat /sent/wal-error 2>/dev/null || echo 'the storage is too slow for them'). Postgres holds what comes, and gives its slot up when that is a quarter of maxMb"
}

# One base backup of a new chain; again, until there is one.
ensure_base() {
  [ ! -e "/spool/based-$chain" ] || return 0
  [ -z "$basing" ] || ! kill -0 "$basing" 2>/dev/null || return 0
  (
    until /bin/sh -c "$base" base; do sleep 60; done
    rm -f /spool/based-* && touch "/spool/based-$chain"
  ) &
  basing=$!
}

# What the vault has is not kept twice.
forget_sent() {
  for mark in /sent/wal/*/*; do rm -f "$out/wal/${mark#/sent/wal/}"; done
  for mark in /sent/base/*/*; do rm -rf "$out/base/${mark#/sent/base/}"; done
  for folder in "$out"/open/*; do [ "${folder##*/}" = "$chain" ] || rm -rf "$folder"; done
}

# A row for the drill, and a place in the WAL to restore to. The segment is closed, so that it is sent as a whole.
probe() {
  wanted=$(cat /state/probe-wanted 2>/dev/null) || return 0
  [ -n "$wanted" ] && [ "$wanted" != "$probed" ] || return 0
  sql "delete from bulkhead.probe; insert into bulkhead.probe (token) values ('$wanted')" &&
    lsn=$(sql "select pg_create_restore_point('bulkhead_$wanted')") &&
    segment=$(sql "select pg_walfile_name('$lsn')") && sql "select pg_switch_wal()" >/dev/null &&
    databases=$(sql "select string_agg(datname, ' ' order by datname) from pg_database where datallowconn") || {
    say "no probe row could be written: $(tail -1 /tmp/error)"
    return 0
  }
  # It is there, and later gone, when it was sent.
  until [ -e "$out/wal/$chain/$segment.zst" ]; do
    kill -0 "$receiver" 2>/dev/null && pack_all || return 0
    sleep 1
  done
  # Not before: what did not come so far is tried again.
  put "$wanted $chain $segment $databases" /state/probe-done && probed=$wanted
}

out=/spool/out receiver='' probed='' seen='' basing=''
trap '[ -z "$receiver" ] || kill "$receiver" 2>/dev/null; exit 0' TERM INT
while :; do
  if [ -d "$out/wal" ] && spool_is_full; then
    forget_sent
    sleep 2 &
    wait $!
    continue
  fi
  if ! ensure_chain; then
    sleep 2 &
    wait $!
    continue
  fi
  in=/spool/wal/$chain
  mkdir -p "$in" "$out/wal/$chain" "$out/open/$chain" "$out/base/$chain"
  pg_receivewal --slot=bulkhead --synchronous --no-loop -w --status-interval=5 --directory="$in" 2>/tmp/stream &
  receiver=$!
  turn=0 packed=no
  while kill -0 "$receiver" 2>/dev/null; do
    if [ $((turn % every)) -eq 0 ]; then
      packed=no
      if ! pack_all; then
        trouble "WAL could not be packed: $(df -Pm /spool | awk 'NR == 2 { print $4 }') MB are free on the disk of the host: make room, and it goes on"
      elif spool_is_full; then
        kill "$receiver"
      else
        packed=yes
      fi
    fi
    # A stream that ends at once has received nothing.
    [ $packed = no ] || [ $turn -lt 2 ] || well
    turn=$((turn + 1))
    probe
    forget_sent
    ensure_base
    sleep 1 &
    wait $!
  done
  wait "$receiver"
  [ ! -s /tmp/stream ] || trouble "the stream from Postgres ended: $(tail -1 /tmp/stream | cut -c1-300)"
  say "the stream from Postgres ended, and is begun again"
  sleep 1 &
  wait $!
done
