# Makes the volume at /volume what it was as of "$1": "latest", a time, or a snapshot by its name. It bears to be run twice:
# what was restored is left as it is. It stands behind restic-repository.sh.
done=/volume/.bulkhead-restored
if [ -e "$done" ]; then
  cat "$done"
  finish
fi
find /volume -mindepth 1 -maxdepth 1 -exec rm -rf {} + || exit
SCRATCH=/volume/.bulkhead-scratch TMPDIR=/volume/.bulkhead-scratch
mkdir -p "$SCRATCH"
opened read || {
  echo "$wrong" >&2
  exit 1
}
snapshots >/tmp/there || {
  cause $? /tmp/error >&2
  exit 1
}
case $1 in
latest) chosen=$(tail -1 /tmp/there) ;;
*_*) chosen=$(grep -x "$1" /tmp/there) ;;
*) chosen=$(awk -v before="$1" '$1 < before "_~"' /tmp/there | tail -1) ;;
esac
[ -n "$chosen" ] || {
  echo "the vault has no snapshot of $name of before $1, or of that name" >&2
  exit 1
}
restored "$chosen" /volume || {
  echo "$wrong" >&2
  exit 1
}
rm -rf "$SCRATCH"
echo "restored to $chosen: $((files - 1)) files, $found compared with their checksums" >"$done"
sync
cat "$done"
finish
