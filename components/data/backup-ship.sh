# Sends what is new in the outbox, and notes what was sent where the receiver and the health check can read it. WAL has a
# lane of its own, which a large base backup does not hold up. "$@": how many daily, weekly and monthly backups are kept.
daily=$1 weekly=$2 monthly=$3
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
  if [ -s /tmp/list ]; then
    # By its time before it is sent, as it may change meanwhile.
    while read -r file; do echo "$file $(stat -c %y "$file" 2>/dev/null)"; done </tmp/list >/tmp/times
    # Not compared with the vault first: one request a file, and no listing.
    rclone copy --no-traverse --no-check-dest --transfers 4 --files-from-raw /tmp/list /spool/out vault: 2>/tmp/wal.error || {
      put "$(why /tmp/wal.error)" /sent/wal-error
      say "WAL is not sent: $(cat /sent/wal-error)"
      return 1
    }
    while read -r file time; do
      mkdir -p "/sent/${file%/*}"
      put "$time" "/sent/$file"
    done </tmp/times
  fi
  rm -f /sent/wal-error
  put "$started" /sent/wal-good
  # What the receiver has taken away needs no mark.
  for mark in /sent/wal/*/*.zst /sent/open/*/*.zst; do
    [ ! -e "$mark" ] || [ -e "/spool/out/${mark#/sent/}" ] || rm -f "$mark"
  done
}

send_bases() {
  for folder in base/*/*; do
    [ -e "$folder/backup_manifest" ] && [ ! -e "/sent/$folder" ] || continue
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
    put "$(date +%s) ${folder##*/}" /sent/base-good
    say "the base backup ${folder##*/} is sent"
    prune || say "old backups could not be taken away: $(tail -1 /tmp/prune.error | cut -c1-300)"
  done
  for mark in /sent/base/*/*; do
    [ ! -e "$mark" ] || [ -e "/spool/out/${mark#/sent/}" ] || rm -f "$mark"
  done
}

# Of the newest days, weeks and months that have a backup the last one stays, and the WAL since the oldest daily one. It
# counts backups and not days, so that neither a wrong clock nor a backup that was long away takes the last ones.
prune() {
  bases /tmp/bases || {
    cp /tmp/bases.error /tmp/prune.error
    return 1
  }
  [ -s /tmp/bases ] || return 0
  sort -r /tmp/bases | awk -v daily="$daily" -v weekly="$weekly" -v monthly="$monthly" '
    function days(t,  y, m, d) {
      y = substr(t, 1, 4) + 0; m = substr(t, 5, 2) + 0; d = substr(t, 7, 2) + 0
      if (m < 3) { y--; m += 12 }
      return 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + d
    }
    {
      day = substr($1, 1, 8); week = int((days($1) + 1) / 7); month = substr($1, 1, 6)
      keep = ""
      if (!(day in d) && nd < daily) { d[day]; nd++; keep = "daily" }
      if (!(week in w) && nw < weekly) { w[week]; nw++; if (keep == "") keep = "kept" }
      if (!(month in m) && nm < monthly) { m[month]; nm++; if (keep == "") keep = "kept" }
      print (keep == "" ? "old" : keep), $0
    }' >/tmp/judged
  awk '$1 == "old" { print $3 "/" $2 }' /tmp/judged | while read -r old; do
    rclone purge "vault:base/$old" 2>/tmp/prune.error || return 1
    say "the base backup ${old#*/} is older than what is kept, and taken away"
  done
  rclone lsf --dirs-only vault:wal 2>/tmp/prune.error | tr -d / | while read -r chain; do
    # Of a chain without a base backup that is new enough nobody can use the WAL; the current one may have none yet.
    from=$(awk -v chain="$chain" '$1 == "daily" && $3 == chain { print $2 }' /tmp/judged | sort | head -1)
    [ -n "$from" ] || [ "$(printf '%s\n' "$chain" "$(awk 'NR == 1 { print $3 }' /tmp/judged)" | sort | tail -1)" != "$chain" ] || continue
    rclone lsf --files-only "vault:wal/$chain" | awk -v first="${from#*_}" '!/history/ && (first == "" || substr($1, 1, 24) < first)' >/tmp/old
    [ ! -s /tmp/old ] || rclone delete --files-from-raw /tmp/old "vault:wal/$chain" 2>/tmp/prune.error || return 1
  done
  # Of segments that were closed long ago.
  rclone delete --min-age 1d vault:open 2>/tmp/prune.error
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
    send_bases || sleep 20
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
