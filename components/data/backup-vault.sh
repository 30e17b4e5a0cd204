# The vault as rclone knows it: what goes there is encrypted before it leaves. $1: endpoint, $2: bucket and folder, $3:
# region. It stands before the other scripts. The files are in memory alone.
set -u
umask 077
endpoint=$1 place=$2 region=$3
shift 3
cat >/tmp/rclone.conf <<CONF
[s3]
type = s3
provider = Other
endpoint = $endpoint
region = $region
access_key_id = $(cat "$ACCESS_KEY_ID_FILE")
secret_access_key = $(cat "$SECRET_ACCESS_KEY_FILE")
no_check_bucket = true
CONF
# Whoever serves what others have encrypted has no key.
[ -z "${KEY_FILE:-}" ] || cat >>/tmp/rclone.conf <<CONF
[vault]
type = crypt
remote = s3:$place
filename_encryption = off
directory_name_encryption = false
password = $(rclone obscure - <"$KEY_FILE")
CONF
export RCLONE_CONFIG=/tmp/rclone.conf RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=2 RCLONE_CONTIMEOUT=10s RCLONE_TIMEOUT=60s
say() { echo "vault: $1"; }

# What went wrong, in a line with its cure; $1 has what rclone wrote.
why() {
  line=$(grep -v '^$' "$1" | tail -1 | sed 's/^[0-9/]* [0-9:]* //' | cut -c1-300)
  case $(cat "$1") in
  *'failed to authenticate decrypted block'* | *'not an encrypted file'* | *'bad magic'* | *'bad password'*)
    echo "what is there cannot be decrypted: it was changed, or the key is another: see the page on backups. $line"
    ;;
  *'unexpected EOF'*) echo "what is there ends too early, or was changed. $line" ;;
  *InvalidAccessKeyId* | *SignatureDoesNotMatch* | *AccessDenied* | *'status code: 403'* | *ExpiredToken* | *'StatusCode: 403'*)
    echo "the storage refuses the credentials: give valid ones in the stack, and bulkhead up. $line"
    ;;
  *'status code: 503'* | *SlowDown* | *ServiceUnavailable* | *'StatusCode: 503'*)
    echo "the storage has trouble of its own (503): it is tried again until it takes it. $line"
    ;;
  *QuotaExceeded* | *InsufficientStorage* | *'status code: 507'* | *'StatusCode: 507'* | *StorageFull* | *'status code: 413'*)
    echo "the storage is full, or its quota is used up: give it more room, or keep fewer backups (keep). It is tried again. $line"
    ;;
  *NoSuchBucket*) echo "there is no such bucket: make it, or give another. $line" ;;
  *'no such host'* | *'connection refused'* | *'i/o timeout'* | *'dial tcp'*)
    echo "the storage cannot be reached: is the endpoint right, and may the host connect to it? $line"
    ;;
  *) echo "$line" ;;
  esac
}

# Writes to the file $1 the base backups that are complete, oldest first: TIME_SEGMENT CHAIN. The manifest was sent last.
bases() {
  rclone lsf -R --files-only vault:base >"$1.all" 2>"$1.error" || [ $? -eq 3 ] || return 1
  sed -n 's|^\([^/]*\)/\([^/]*\)/backup_manifest$|\2 \1|p' "$1.all" | sort >"$1"
}

# Fetches into the folder $1 what a restore to $2 needs: that base backup alone, if it is one's name; else the newest that
# ended before it (of all, for "latest"), and the WAL since. A gap in the WAL is an error here, because Postgres would take it for the end.
fetch() {
  into=$1 before=$2
  [ "$before" != latest ] || before=99999999T999999Z
  bases /tmp/there || {
    why /tmp/there.error
    return 1
  }
  case $before in
  *_*) found=$(awk -v name="$before" '$1 == name' /tmp/there | tail -1) ;;
  *) found=$(awk -v before="$before" '$1 < before' /tmp/there | tail -1) ;;
  esac
  [ -n "$found" ] || {
    echo "the vault has no base backup of before $2, or of that name"
    return 1
  }
  base=${found% *} chain=${found#* }
  first=${base#*_}
  rm -rf "$into/base" "$into/wal" "$into/open"
  mkdir -p "$into/base" "$into/wal" "$into/open"
  rclone copy "vault:base/$chain/$base" "$into/base" 2>/tmp/fetch.error || {
    echo "base backup $base: $(why /tmp/fetch.error)"
    return 1
  }
  [ "$base" != "$before" ] || {
    echo "$base"
    return
  }
  rclone lsf --files-only "vault:wal/$chain" 2>/dev/null | sort >/tmp/all
  awk -v first="$first" '/history/ || substr($1, 1, 24) >= first' /tmp/all >/tmp/wal
  rclone lsf --files-only "vault:open/$chain" 2>/dev/null | sort >/tmp/open
  last=$((0x$(echo "$first" | cut -c9-16) * 256 + 0x$(echo "$first" | cut -c17-24) - 1))
  for file in $(grep -E '^[0-9A-F]{24}\.zst$' /tmp/wal); do
    number=$((0x$(echo "$file" | cut -c9-16) * 256 + 0x$(echo "$file" | cut -c17-24)))
    [ "$number" -le $((last + 1)) ] || {
      # Several are sent at once, and the host may have been lost just then: what came before them is whole.
      [ "$(awk -v from="$file" '$1 >= from' /tmp/wal | grep -cE '^[0-9A-F]{24}\.zst$')" -ge 4 ] || {
        echo "WAL before ${file%.zst} was not sent any more: what follows it is left out" >&2
        awk -v from="$file" '/history/ || $1 < from' /tmp/wal >/tmp/whole && mv /tmp/whole /tmp/wal
        break
      }
      echo "WAL before ${file%.zst} is missing in the vault: make a base backup now (bulkhead backup), from which WAL is whole again"
      return 1
    }
    last=$number
  done
  rclone copy --transfers 4 --files-from-raw /tmp/wal "vault:wal/$chain" "$into/wal" 2>/tmp/fetch.error || {
    echo "WAL: $(why /tmp/fetch.error)"
    return 1
  }
  # The open segment goes on from the last closed one, or is of before.
  next=$(printf '%s%08X%08X' "$(echo "$first" | cut -c1-8)" $(((last + 1) / 256)) $(((last + 1) % 256)))
  if grep -qx "$next.zst" /tmp/open; then
    rclone copy "vault:open/$chain/$next.zst" "$into/open" 2>/tmp/fetch.error || {
      echo "the open WAL segment: $(why /tmp/fetch.error)"
      return 1
    }
  fi
  echo "$base"
}
