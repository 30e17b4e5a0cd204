# Whose backups the vault has. A chain is of the database with a system identifier, which initdb gives it and a restore
# leaves: chains/CHAIN_SYSTEM in the vault. Another database may begin beside those of the first only if that was said:
# else a new, empty one would be the newest backup. $accepted: the base backup up to which that was said, or "none".

# Writes to the file $1 what the vault knows: CHAIN SYSTEM.
chains() {
  rclone lsf --files-only vault:chains >"$1.all" 2>"$1.error" || [ $? -eq 3 ] || return 1
  sed -n 's/^\([^_]*\)_\([0-9]*\)$/\1 \2/p' "$1.all" | sort -u >"$1"
}

mark_chain() { echo "$2" | rclone rcat "vault:chains/$1_$2" 2>/tmp/admit.error; }

# Chains of before there were marks: the manifest says whose they are from PostgreSQL 17 on. What this host has sent is its own.
mark_old_chains() {
  cut -d' ' -f2 /tmp/admit.bases | sort -u | while read -r old; do
    ! grep -q "^$old " /tmp/admit.chains || continue
    last=$(awk -v chain="$old" '$2 == chain { print $1 }' /tmp/admit.bases | tail -1)
    rclone cat "vault:base/$old/$last/backup_manifest" >/tmp/admit.manifest 2>/tmp/admit.error || return 1
    of=$(sed -n 's/.*"System-Identifier": \([0-9]*\).*/\1/p' /tmp/admit.manifest | head -1)
    [ -n "$of" ] || [ ! -e /sent/base-good ] || of=$1
    mark_chain "$old" "${of:-0}" || return 1
    echo "$old ${of:-0}" >>/tmp/admit.chains
  done
}

# Whether this database may send its chain $1. If not, it says why.
admitted() {
  [ ! -e "/sent/admitted-$1" ] || return 0
  # The first is its own, the rest are those of what it was before upgrades.
  systems=$(cat "/spool/systems/$1" 2>/dev/null) own=${systems%% *}
  [ -n "$own" ] || {
    echo "the receiver has not told yet which database this is: see its log"
    return 1
  }
  : >/tmp/admit.error
  { bases /tmp/admit.bases && chains /tmp/admit.chains && mark_old_chains "$own"; } || {
    cat /tmp/admit.*.error >>/tmp/admit.error 2>/dev/null
    why /tmp/admit.error
    return 1
  }
  newest=none
  grep -qE " ($(echo "$systems" | tr ' ' '|'))\$" /tmp/admit.chains ||
    newest=$(awk 'NR == FNR { known[$1]; next } $2 in known { last = $1 } END { print last ? last : "none" }' /tmp/admit.chains /tmp/admit.bases)
  # By their times.
  [ "$newest" = none ] || { [ "$accepted" != none ] && [ "$(printf '%s\n' "$newest" "$accepted" | sort | tail -1)" = "$accepted" ]; } || {
    echo "the vault has backups of another database, up to $newest: get that one back (bulkhead restore $database --latest), or set beginsEmpty.$database to $newest in the stack file if this new one is wanted"
    return 1
  }
  mark_chain "$1" "$own" || {
    why /tmp/admit.error
    return 1
  }
  touch "/sent/admitted-$1"
}
