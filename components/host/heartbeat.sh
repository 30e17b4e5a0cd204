#!/bin/sh
# The health command of a worker with a heartbeat: /bin/sh -c THIS heartbeat FILE SECONDS. It is well when the file was
# written in the last so many seconds. Besides the shell it needs `date`, which knows -r in coreutils and in busybox.
beat=$(date -r "$1" +%s 2>/dev/null) || {
  echo "there is no heartbeat $1"
  exit 1
}
age=$(($(date +%s) - beat))
[ "$age" -gt "$2" ] || exit 0
echo "the heartbeat $1 is $age s old, and may be $2"
# Such a worker hangs. What takes less than two seconds counts as an answer: see health.sh.
sleep 2
exit 1
