# Reads the volume at /volume into a snapshot in the vault, with checksums of all that did not change meanwhile. It stands
# behind restic-repository.sh.
say() { echo "backup: $1"; }
fail() {
  put "$1" /state/base-error
  say "$1" >&2
  exit 1
}
rm -rf "$SCRATCH"
mkdir -p "$SCRATCH"
opened make || fail "$wrong"
# Of runs that were cut off, after half an hour.
repository unlock >/dev/null 2>&1
# Redis and Valkey begin new files while they run: a snapshot is of those that one list names.
lists() { cat /volume/appendonlydir/*.manifest 2>/dev/null | sha256sum; }
tries=0
while :; do
  began=$(date +%s) before=$(lists)
  repository backup --host "$name" --tag files --time "$(date -u -d "@$began" '+%Y-%m-%d %H:%M:%S')" \
    --exclude '/volume/.bulkhead-*' /volume >/tmp/out 2>/tmp/error
  code=$?
  # What was deleted while it was read is no fault.
  [ $code -ne 3 ] || grep -E '^error' /tmp/error | grep -qv 'no such file' || code=0
  [ $code -ne 3 ] || fail "not all of it can be read: $(grep -E '^error' /tmp/error | grep -v 'no such file' | head -1 | cut -c1-300)"
  [ $code -eq 0 ] || fail "$(cause $code /tmp/error)"
  [ "$before" != "$(lists)" ] || break
  tries=$((tries + 1))
  [ $tries -lt 5 ] || fail 'its append-only files were begun anew five times while they were read: it is tried again at the next time'
done
id=$(sed -n 's/^snapshot \([0-9a-f]*\) saved.*/\1/p' /tmp/out | cut -c1-8)
# Names that checksums cannot be written of in a line are verified by restic alone.
odd='*[\
]*'
(cd /volume && find . -type f ! -name "$odd" ! -path './.bulkhead-*' -exec sha256sum {} +) >"$SCRATCH/all" 2>/dev/null
(cd /volume && find . -type f ! -name "$odd" -exec stat -c '%Z %n' {} +) 2>/dev/null |
  awk -v began="$began" '$1 >= began { sub(/^[0-9]+ /, ""); print }' >"$SCRATCH/changed"
awk 'FILENAME == ARGV[1] { changed[$0]; next } !(substr($0, 67) in changed)' "$SCRATCH/changed" "$SCRATCH/all" >"$SCRATCH/sums"
repository backup --host "$name" --tag "sums,of-$id" --stdin --stdin-filename sums <"$SCRATCH/sums" >/tmp/out 2>/tmp/error ||
  fail "$(cause $? /tmp/error)"
snapshot=$(date -u -d "@$began" +%Y%m%dT%H%M%SZ)_$id
files=$(wc -l <"$SCRATCH/sums")
rm -rf "$SCRATCH"
rm -f /state/base-error
put "$(date +%s) $snapshot" /state/base-good
say "$snapshot is in the vault, after $(($(date +%s) - began)) s: $files files with checksums"
