#!/bin/sh
# One base backup into the outbox, verified by its manifest, whole or not at all. It is named by its time and by the WAL
# segment that a restore goes on from. It ends well when the vault has it.
set -eu
umask 077
say() { echo "base backup: $1"; }
[ -e /tmp/pgpass ] || printf '*:*:*:*:%s\n' "$(cat "$PASSWORD_FILE")" >/tmp/pgpass
export PGPASSFILE=/tmp/pgpass PGCONNECT_TIMEOUT=5
exec 9>/spool/base.lock
flock 9
chain=$(cat /spool/chain) || {
  say 'no WAL is received yet: the log of the receiver says why' >&2
  exit 1
}
began=$(date +%s)
new=/spool/base
rm -rf "$new"
mkdir "$new"
# Whatever goes wrong, the disk gets its space again.
trap 'rm -rf "$new"' EXIT
pg_basebackup --pgdata="$new/data" --format=plain --wal-method=stream --checkpoint=fast -w \
  --manifest-checksums=sha256
pg_verifybackup --quiet "$new/data"
range=$(sed -n 's/.*"Timeline": \([0-9]*\), "Start-LSN": "\([0-9A-F]*\)\/\([0-9A-F]*\)".*/\1 0x\2 0x\3/p' "$new/data/backup_manifest" | head -1)
# shellcheck disable=SC2086 # Three numbers.
set -- $range
name=$(date -u +%Y%m%dT%H%M%SZ)_$(printf '%08X%08X%08X' "$1" "$2" $(($3 >> 24)))
mkdir "$new/out"
tar -cf - -C "$new/data" . | zstd -q -3 -o "$new/out/base.tar.zst"
cp "$new/data/backup_manifest" "$new/out/"
sync
mv "$new/out" "/spool/out/base/$chain/$name"
say "$name is made and verified, after $(($(date +%s) - began)) s"
said=
until [ "$(cut -d' ' -f2 /sent/base-good 2>/dev/null)" = "$name" ]; do
  if [ -r /sent/base-error ] && [ "$(cat /sent/base-error)" != "$said" ]; then
    said=$(cat /sent/base-error)
    say "it is not sent yet: $said"
  fi
  sleep 1
done
say "$name is in the vault, after $(($(date +%s) - began)) s"
