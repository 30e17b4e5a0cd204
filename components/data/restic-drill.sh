# Restores the newest snapshot from the vault into scratch, compares every file with its checksum, and reads a part of all
# that the vault has of it. What is old goes only after that. "$@": how many daily, weekly and monthly snapshots stay. It
# stands behind restic-repository.sh and backup-result.sh.
clean() {
  rm -rf /restore/data "$SCRATCH"
  mkdir -p "$SCRATCH"
}
clean
opened read || fail "$wrong"
snapshots >/tmp/there || fail "$(cause $? /tmp/error)"
newest=$(tail -1 /tmp/there)
[ -n "$newest" ] || fail 'the vault has no snapshot of it: bulkhead backup makes one now'
fetched=$newest
known=$(cut -d' ' -f2 /state/base-good 2>/dev/null)
[ -z "$known" ] || grep -qx "$known" /tmp/there || fail "the snapshot $known was sent, and is in the vault no more: who took it away?"
restored "$newest" /restore/data || fail "$wrong"
bytes=$(du -sk /restore/data | cut -f1)000
clean
# Each part once in twenty drills.
repository check --read-data-subset "$(($(date +%s) / 86400 % 20 + 1))/20" >/tmp/out 2>/tmp/error || fail "an older snapshot: $(cause $? /tmp/error)"
old() {
  RESTIC_REPOSITORY=$PRUNE_REPOSITORY RESTIC_REST_USERNAME=prune RESTIC_REST_PASSWORD=$(cat "$PRUNE_FILE") \
    repository "$@" >/tmp/out 2>/tmp/error
}
stay="--host $name --group-by host --keep-daily $1 --keep-weekly $2 --keep-monthly $3"
# shellcheck disable=SC2086 # Several words.
old forget --tag files $stay && old forget --tag sums $stay && old prune --max-unused 10% ||
  say "old snapshots could not be taken away: $(cause $? /tmp/error)"
clean
finish_drill ok "restored: $files files, $found compared with their checksums"
