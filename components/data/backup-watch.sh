#!/bin/sh
# The health of the backup as a whole: watch.sh serve|health BASE_HOURS DRILL_HOURS FOLDER. It is well when the vault has what
# the database acknowledged, a base backup that is new enough, and a drill has restored one not too long ago. FOLDER tells of
# what was sent: /sent of a database, /state of a volume, which has no WAL.
mode=$1 base_hours=$2 drill_hours=$3 sent=${4:-/sent}
now=$(date +%s)

# Whether the time in file $1 is no older than $2 seconds.
fresh() {
  at=0
  [ ! -r "$1" ] || read -r at _ <"$1"
  [ $((now - at)) -le "$2" ]
}

# Whether the vault has no base backup since then.
given_up() {
  [ -r /state/given-up ] || return 1
  chain=''
  [ ! -r "$sent/base-good" ] || read -r _ _ chain <"$sent/base-good"
  newer=$( (cat /state/given-up && echo "$chain") | sort | tail -1)
  [ "$newer" != "$chain" ]
}

complain() {
  if [ "$sent" = /sent ]; then
    fresh /state/packed 60 || echo "no WAL is received: $(cat /state/received-error 2>/dev/null || echo 'does the receiver run? bulkhead up starts it')"
    fresh /sent/wal-good 60 || echo "no WAL is sent: $(cat /sent/wal-error 2>/dev/null || cat /sent/wal-sending 2>/dev/null || echo 'does the shipper run? bulkhead up starts it')"
    ! given_up || echo "WAL was not fetched in time, and Postgres gave the slot up: nobody can go back to the time between. A base backup is made by itself, and ends this"
  fi
  if [ ! -e "$sent/base-good" ]; then
    echo "the vault has no backup yet: $(cat "$sent/base-error" 2>/dev/null || echo 'bulkhead backup makes one now')"
  else
    fresh "$sent/base-good" $((base_hours * 3600)) ||
      echo "the last backup is older than $base_hours h: $(cat "$sent/base-error" 2>/dev/null || echo 'bulkhead backup makes one now')"
    [ ! -e "$sent/base-error" ] || ! fresh "$sent/base-good" $((base_hours * 3600)) ||
      echo "the last backup failed, and the one before it is there: $(cat "$sent/base-error")"
  fi
  if [ ! -r /state/drill ]; then
    echo "no backup was restored yet: bulkhead drill does it now"
  else
    read -r how at _ _ of what </state/drill
    if [ "$how" != ok ]; then
      echo "the last drill failed: $what"
    elif [ $((now - at)) -gt $((drill_hours * 3600)) ]; then
      echo "the last drill ($of) is older than $drill_hours h: bulkhead drill does one now"
    fi
  fi
}

case $mode in
serve)
  said=none
  trap 'exit 0' TERM
  while :; do
    now=$(date +%s) found=$(complain)
    [ "$found" = "$said" ] || echo "backup: ${found:-restored, and up to date}"
    said=$found
    sleep 15 &
    wait $!
  done
  ;;
health)
  found=$(complain)
  echo "${found:-restored, and up to date}"
  [ -z "$found" ]
  ;;
esac
