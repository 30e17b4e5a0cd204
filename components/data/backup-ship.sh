# Sends what is new in the outbox, and notes what was sent where the receiver and the health check can read it. WAL has a
# lane of its own, which a large base backup does not hold up. $1: the database, $2: the base backup beside which a new one
# may begin, or "none". The rest: how many daily, weekly and monthly backups are kept.
database=$1 accepted=$2
shift 2
mkdir -p /sent/wal /sent/base /sent/open
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }

send_wal() {
  started=$(date +%s)
  : >/tmp/list
  for file in wal/*/*.zst; do
    [ -e "$file" ] && [ ! -e "/sent/$file" ] && echo "$file" >>/tmp/list
  done
  for file in open/*/*.zst; do
    [ -e "$file" ] || continue
    [ "$(stat -c %y "$file")" = "$(cat "/sent/$file" 2>/dev/null)" ] || echo "$file" >>/tmp/list
  done
  # Before there is anything too: an update waits for what is said here.
  chain=$(cat /spool/chain 2>/dev/null) || return 0
  for each in "$chain" $(cut -d/ -f2 /tmp/list | sort -u); do
    refused=$(admitted "$each") || {
      put "$refused" /sent/wal-error
      say "nothing is sent: $refused"
      return 1
    }
  done
  if [ -s /tmp/list ]; then
    # By its time before it is sent, as it may change meanwhile.
    while read -r file; do echo "$file $(stat -c %y "$file" 2>/dev/null)"; done </tmp/list >/tmp/times
    put "$(wc -l </tmp/list) files are being sent since $(date -u +%H:%M:%S) UTC: the storage, or the way to it, is slow" /sent/wal-sending
    # Not compared with the vault first: one request a file, and no listing.
    rclone copy --no-traverse --no-check-dest --transfers 4 --files-from-raw /tmp/list /spool/out vault: 2>/tmp/wal.error || {
      put "$(why /tmp/wal.error)" /sent/wal-error
      rm -f /sent/wal-sending
      say "WAL is not sent: $(cat /sent/wal-error)"
      return 1
    }
    while read -r file time; do
      mkdir -p "/sent/${file%/*}"
      put "$time" "/sent/$file"
    done </tmp/times
  fi
  rm -f /sent/wal-error /sent/wal-sending
  put "$started" /sent/wal-good
  # What the receiver has taken away needs no mark.
  for mark in /sent/wal/*/*.zst /sent/open/*/*.zst; do
    [ ! -e "$mark" ] || [ -e "/spool/out/${mark#/sent/}" ] || rm -f "$mark"
  done
}

send_bases() {
  for folder in base/*/*; do
    [ -e "$folder/backup_manifest" ] && [ ! -e "/sent/$folder" ] || continue
    chain=${folder#base/} chain=${chain%%/*}
    [ -e "/sent/admitted-$chain" ] || {
      [ ! -r /sent/wal-error ] || put "$(cat /sent/wal-error)" /sent/base-error
      continue
    }
    # The manifest last: without it a backup is not complete, and is not looked at.
    rclone copy --exclude backup_manifest "$folder" "vault:$folder" 2>/tmp/base.error &&
      rclone copy "$folder" "vault:$folder" 2>/tmp/base.error || {
      put "$(why /tmp/base.error)" /sent/base-error
      say "a base backup is not sent: $(cat /sent/base-error)"
      return 1
    }
    mkdir -p "/sent/${folder%/*}"
    touch "/sent/$folder"
    rm -f /sent/base-error
    put "$(date +%s) ${folder##*/} $chain" /sent/base-good
    say "the base backup ${folder##*/} is sent"
    prune "$(cat "/spool/systems/$chain")" "$@" || say "old backups could not be taken away: $(tail -1 /tmp/prune.error | cut -c1-300)"
  done
  for mark in /sent/base/*/*; do
    [ ! -e "$mark" ] || [ -e "/spool/out/${mark#/sent/}" ] || rm -f "$mark"
  done
}

# For the drill: what it asks for in one file, the answer in another.
fetch_wanted() {
  wanted=$(cat /restore/wanted 2>/dev/null) && [ -n "$wanted" ] || return 0
  [ "$wanted" != "$(cut -d' ' -f1 /restore/fetched 2>/dev/null)" ] || return 0
  if answer=$(fetch /restore/in latest); then how=ok; else how=failed; fi
  put "$wanted $how $answer" /restore/fetched
}

trap 'exit 0' TERM INT
# The receiver makes it.
until cd /spool/out 2>/dev/null; do sleep 1; done
(
  trap 'exit 0' TERM INT
  while :; do
    send_bases "$@" || sleep 20
    sleep 1
  done
) &
(
  trap 'exit 0' TERM INT
  while :; do
    fetch_wanted
    sleep 1
  done
) &
while :; do
  send_wal || sleep 2
  sleep 1 &
  wait $!
done
