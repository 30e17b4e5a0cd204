# Of the newest days ($2), weeks ($3) and months ($4) that have a backup the last one stays, and the WAL since the oldest
# daily one. It counts what has a backup, so that neither a wrong clock nor a long pause takes the last ones away. Only what
# is of the database with the system identifiers $1: what another left in the vault is for a person to take away.
prune() {
  bases /tmp/bases.vault || {
    cp /tmp/bases.vault.error /tmp/prune.error
    return 1
  }
  chains /tmp/chains.vault || {
    cp /tmp/chains.vault.error /tmp/prune.error
    return 1
  }
  awk -v own=" $1 " 'index(own, " " $2 " ") { print $1 }' /tmp/chains.vault >/tmp/chains.own
  awk 'NR == FNR { own[$1]; next } $2 in own' /tmp/chains.own /tmp/bases.vault >/tmp/bases
  [ -s /tmp/bases ] || return 0
  sort -r /tmp/bases | awk -v daily="$2" -v weekly="$3" -v monthly="$4" '
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
      # Of the last two days all: a backup that is made by hand takes no way back away.
      if (keep == "" && (day in d) && nd <= 2) keep = "daily"
      if (!(month in m) && nm < monthly) { m[month]; nm++; if (keep == "") keep = "kept" }
      print (keep == "" ? "old" : keep), $0
    }' >/tmp/judged
  awk '$1 == "old" { print $3 "/" $2 }' /tmp/judged | while read -r old; do
    rclone purge "vault:base/$old" 2>/tmp/prune.error || return 1
    say "the base backup ${old#*/} is older than what is kept, and taken away"
  done || return
  rclone lsf --dirs-only vault:wal 2>/tmp/prune.error | tr -d / | while read -r chain; do
    grep -qx "$chain" /tmp/chains.own || continue
    # Of a chain without a base backup that is new enough nobody can use the WAL; the current one may have none yet.
    from=$(awk -v chain="$chain" '$1 == "daily" && $3 == chain { print $2 }' /tmp/judged | sort | head -1)
    [ -n "$from" ] || [ "$(printf '%s\n' "$chain" "$(awk 'NR == 1 { print $3 }' /tmp/judged)" | sort | tail -1)" != "$chain" ] || continue
    rclone lsf --files-only "vault:wal/$chain" | awk -v first="${from#*_}" '!/history/ && (first == "" || substr($1, 1, 24) < first)' >/tmp/old
    [ ! -s /tmp/old ] || rclone delete --files-from-raw /tmp/old "vault:wal/$chain" 2>/tmp/prune.error || return 1
  done || return
  # An open segment that was closed since is there whole. The last one of a chain is all that there is of its end.
  rclone lsf --dirs-only vault:open 2>/tmp/prune.error | tr -d / | while read -r chain; do
    grep -qx "$chain" /tmp/chains.own || continue
    closed=$(rclone lsf --files-only "vault:wal/$chain" 2>/dev/null | grep -E '^[0-9A-F]{24}\.zst$' | sort | tail -1)
    rclone lsf --files-only "vault:open/$chain" | awk -v closed="$closed" '$1 <= closed' >/tmp/old
    [ ! -s /tmp/old ] || rclone delete --files-from-raw /tmp/old "vault:open/$chain" 2>/tmp/prune.error || return 1
  done
}
