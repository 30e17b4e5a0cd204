# A volume's restic repository in the vault. RESTIC_REPOSITORY and RESTIC_PASSWORD_FILE say where, and by what key. $1: the
# volume's name, which its snapshots have. It stands before the other scripts.
set -u
umask 077
name=$1
shift
put() { echo "$1" >"$2.new" && mv "$2.new" "$2"; }
# Its temporary files may be larger than memory.
export TMPDIR=${SCRATCH:-/tmp}
repository() { restic --no-cache --retry-lock 10m "$@"; }

# What went wrong, in a line with its cure. $1: the exit code of restic, which wrote the file $2.
cause() {
  line=$(grep -v '^ *$' "$2" | tail -1 | cut -c1-300)
  case $1 in
  11) echo "another run has locked the repository: it is tried again at the next time. $line" ;;
  12) echo "the key is another than the one that the vault was made with: give that one (pulumi config set backupKey --secret), and bulkhead up. $line" ;;
  *)
    case $(cat "$2") in
    *'no space left'*) echo "the disk of the host is full: make room. $line" ;;
    *'ciphertext verification failed'* | *'hash does not match'* | *'does not match'* | *'invalid data returned'* | *'unexpected EOF'*)
      echo "what is there was changed, or is damaged: restore an older one if need be, and see the page on backups of volumes. $line" ;;
    *'unexpected HTTP response'* | *'server response unexpected'* | *'connection refused'* | *'no such host'* | *'i/o timeout'*)
      echo "the vault does not take it, or gives it not: bulkhead status says why, at $SERVER. $line" ;;
    *) echo "$line" ;;
    esac
    ;;
  esac
}

# Of the repositories' server. What is at answers/config is always there: whether the storage answers now.
ask() {
  url=${RESTIC_REPOSITORY#rest:}
  case $1 in
  answers) url=${url%"$name/"}answers/config ;;
  *) url=$url$1 ;;
  esac
  wget -q -T 60 --header 'Accept: application/vnd.x.restic.rest.v2' -O - "$url" 2>/dev/null
}

# Whether the repository can be opened; else $wrong says why not. "make": one that was never there is made. To that server a
# storage in trouble looks like an empty one, so it has to answer before and after. What is away for a moment is asked again.
opened() {
  for pause in 5 10 0; do
    ! opened_now "$1" || return 0
    sleep "$pause"
  done
  return 1
}

opened_now() {
  wrong="the vault does not answer: bulkhead status says why, at $SERVER"
  ask answers >/dev/null || return
  keys=$(ask keys/ | tr -d ' \n')
  case ${keys:-[]} in
  '[]' | null)
    ask answers >/dev/null || return
    wrong='the vault has nothing of it: bulkhead backup makes a snapshot now'
    [ "$1" = make ] || return
    wrong='the vault has nothing of it, while snapshots were sent: who took them away? For a new beginning give the volume another backup'
    [ ! -e /state/base-good ] || return
    repository init >/tmp/out 2>/tmp/error
    ;;
  *) repository cat config >/tmp/out 2>/tmp/error ;;
  esac || {
    wrong=$(cause $? /tmp/error)
    return 1
  }
}

# Its snapshots, oldest first: TIME_ID.
snapshots() {
  repository snapshots --no-lock --host "$name" --tag files --json >/tmp/list 2>/tmp/error || return
  grep -oE '"(time|short_id)":"[^"]*"' /tmp/list | cut -d'"' -f4 | paste -d' ' - - |
    sed -n 's/^\(....\)-\(..\)-\(..\)T\(..\):\(..\):\(..\)[^ ]* \([0-9a-f]*\)$/\1\2\3T\4\5\6Z_\7/p' | sort
}

# Restores the snapshot $1 into the folder $2, and compares it with the checksums that were made of the files beside it.
# Sets $files and $found, or $wrong.
restored() {
  mkdir -p "$2"
  repository restore --no-lock "${1#*_}:/volume" --target "$2" --verify >/tmp/out 2>/tmp/error || {
    wrong=$(cause $? /tmp/error)
    return 1
  }
  repository dump --no-lock --host "$name" --tag "of-${1#*_}" latest /sums >"$SCRATCH/sums" 2>/tmp/error || {
    wrong="its checksums are not there: $(cause $? /tmp/error)"
    return 1
  }
  files=$(find "$2" -type f | wc -l) found=$(wc -l <"$SCRATCH/sums")
  : >/tmp/differ
  [ ! -s "$SCRATCH/sums" ] || (cd "$2" && sha256sum -c "$SCRATCH/sums" 2>&1) | grep -v ': OK$' >/tmp/differ
  [ ! -s /tmp/differ ] || {
    wrong="it differs from what was read: $(head -1 /tmp/differ)"
    return 1
  }
  # What Redis or Valkey reads at its start.
  for list in "$2"/appendonlydir/*.manifest; do
    for file in $(sed -n 's/^file \([^ ]*\) .*/\1/p' "$list" 2>/dev/null); do
      [ -e "${list%/*}/$file" ] || {
        wrong="its append-only file $file is not there"
        return 1
      }
    done
  done
}
