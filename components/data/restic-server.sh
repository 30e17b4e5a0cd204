# Serves the vault's restic repositories to readers of volumes, which have the key and no way out: on port 8000 whoever asks
# may add and read, and delete nothing but locks; on 8001 who knows the password of old snapshots' removal deletes too. It
# has the storage's credentials, and no key: what it sees is encrypted. It stands behind backup-vault.sh.
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }

# Writes what rclone says, and keeps the last of what went wrong.
note() {
  while read -r line; do
    echo "$line"
    case $line in
    *ERROR*) echo "$line" >/tmp/failed ;;
    esac
  done
}

trap 'exit 0' TERM INT
{
  rclone serve restic --append-only --addr :8000 "s3:$place/restic" 2>&1
  touch /tmp/ended
} | note &
{
  RCLONE_USER=prune RCLONE_PASS=$(cat "$PRUNE_FILE") rclone serve restic --addr :8001 "s3:$place/restic" 2>&1
  touch /tmp/ended
} | note &
# By this readers tell a storage that has nothing of theirs from one that is in trouble.
answers() {
  said=$(rclone cat "s3:$place/restic/answers/config" 2>/tmp/list.error) || [ $? -eq 3 ] || return
  [ "$said" = answers ] || echo answers | rclone rcat "s3:$place/restic/answers/config" 2>/tmp/list.error
}
# What was refused to a reader may be a write, as in a storage that is full: it is well again when a write is taken.
writes() { date +%s | rclone rcat "s3:$place/restic/answers/written" 2>/tmp/list.error; }
while [ ! -e /tmp/ended ]; do
  if answers && { [ ! -e /tmp/failed ] || writes; }; then
    rm -f /tmp/wrong /tmp/failed
    put "$(date +%s)" /tmp/good
  else
    put "$(why /tmp/list.error)" /tmp/wrong
  fi
  [ ! -e /tmp/wrong ] || say "$(cat /tmp/wrong)"
  for _ in 1 2 3 4 5 6; do
    [ -e /tmp/ended ] || sleep 5 &
    wait $!
  done
done
exit 1
