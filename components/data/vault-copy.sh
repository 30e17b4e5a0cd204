# Copies the vault to a second place, as it is: encrypted, and without the key. It adds alone: what is there already is never
# written anew, so what was damaged or swapped in the vault is not in the copy. $1: endpoint, $2: bucket and folder, $3:
# region, $4: minutes from one look to the next, $5: after how many days what the vault has no more is taken away here too.
# It stands behind backup-vault.sh.
cat >>/tmp/rclone.conf <<CONF
[copy]
type = s3
provider = Other
endpoint = $1
region = $3
access_key_id = $(cat "$COPY_ACCESS_KEY_ID_FILE")
secret_access_key = $(cat "$COPY_SECRET_ACCESS_KEY_FILE")
no_check_bucket = true
CONF
from=s3:$place to=copy:$2 minutes=$4 days=$5
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }

# Says what is wrong, once. $1: where. What rclone wrote is in /tmp/error, if anything.
wrong() {
  line=$1
  [ ! -s /tmp/error ] || line="$1: $(why /tmp/error)"
  [ "$line" = "$(cat /tmp/wrong 2>/dev/null)" ] || say "$line"
  put "$line" /tmp/wrong
  return 1
}

# Writes the names in the place $1 to the file $2, sorted. Locks of runs that go on are nobody's history.
names() {
  rclone lsf -R --files-only --exclude '/restic/*/locks/**' --exclude '/restic/answers/**' --exclude /gone "$1" >"$2.all" 2>/tmp/error ||
    [ $? -eq 3 ] || return 1
  LC_ALL=C sort "$2.all" >"$2"
}

# Lines of the file $1 that $2 does not have, in their order. Not by comm, which not every busybox has: then nothing would be
# copied, and all would look well.
only_in() { awk -v there="$2" 'BEGIN { while ((getline line <there) > 0) has[line] } !($0 in has)' "$1"; }

# What makes a backup one comes after what it is of.
LAST='^base/[^/]*/[^/]*/backup_manifest|^restic/[^/]*/snapshots/'

copy_list() {
  list=$1
  shift
  [ ! -s "$list" ] || rclone copy --no-traverse --ignore-existing --files-from-raw "$list" "$@" "$from" "$to" 2>/tmp/error
}

copy_new() {
  only_in /tmp/from /tmp/to | grep -v '^open/' >/tmp/missing
  waiting=$(wc -l </tmp/missing)
  [ "$waiting" -eq 0 ] || [ -e /tmp/good ] || put "$waiting files are still to be copied" /tmp/wrong
  grep '^wal/' /tmp/missing >/tmp/wal
  grep -vE "^wal/|$LAST" /tmp/missing >/tmp/rest
  grep -E "$LAST" /tmp/missing >/tmp/last
  # WAL in its order, one by one: where it is cut off there is no gap.
  copy_list /tmp/rest --transfers 4 && copy_list /tmp/wal --transfers 1 --check-first --order-by name,ascending &&
    copy_list /tmp/last --transfers 4 || return
  # The open segment grows, and is replaced.
  ! grep -q '^open/' /tmp/from || rclone copy --checksum "$from/open" "$to/open" 2>/tmp/error || return
  [ "$waiting" -eq 0 ] || say "$waiting files are copied"
}

# What the vault has no more stays here for some days, in which somebody sees who took it away.
forget_gone() {
  only_in /tmp/to /tmp/from >/tmp/gone.now
  rclone cat "$to/gone" >/tmp/gone.before 2>/tmp/error || [ $? -eq 3 ] || return
  now=$(date +%s)
  awk -v now="$now" 'FILENAME == ARGV[1] { since[substr($0, index($0, " ") + 1)] = $1; next }
    { print ($0 in since ? since[$0] : now), $0 }' /tmp/gone.before /tmp/gone.now >/tmp/gone.all
  awk -v before=$((now - days * 86400)) '$1 <= before { print substr($0, index($0, " ") + 1) }' /tmp/gone.all >/tmp/old
  if [ -s /tmp/old ]; then
    rclone delete --files-from-raw /tmp/old "$to" 2>/tmp/error || return
    say "$(wc -l </tmp/old) files went that the vault has had no more for $days days"
    awk -v before=$((now - days * 86400)) '$1 > before' /tmp/gone.all >/tmp/gone.kept
    mv /tmp/gone.kept /tmp/gone.all
  fi
  cmp -s /tmp/gone.before /tmp/gone.all || rclone rcat "$to/gone" </tmp/gone.all 2>/tmp/error
}

round() {
  began=$(date +%s)
  names "$from" /tmp/from || {
    wrong 'the vault is not read'
    return
  }
  names "$to" /tmp/to || {
    wrong 'the second place is not read'
    return
  }
  if ! grep -qE "$LAST" /tmp/from && grep -qE "$LAST" /tmp/to; then
    : >/tmp/error
    wrong 'the vault has no backup any more, while the second place has: who took them away? Here nothing goes. bulkhead restore --from copy gets them back'
    return
  fi
  copy_new || {
    wrong 'the second place is behind'
    return
  }
  forget_gone || {
    wrong 'what is old cannot be taken away in the second place'
    return
  }
  [ ! -e /tmp/wrong ] || say 'the second place has all that the vault has'
  rm -f /tmp/wrong
  put "$began" /tmp/good
}

trap 'exit 0' TERM INT
while :; do
  if round; then next=$((minutes * 60)); else next=30; fi
  sleep "$next" &
  wait $!
done
