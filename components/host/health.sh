#!/bin/sh
# The health command of a service: /bin/sh -c THIS health MOST TEST... asks as TEST does. When TEST has hung MOST times in
# a row, the service's processes end, and Docker starts the container again: Docker itself restarts nothing that hangs.
#
# Only what hangs is counted. A bad answer within two seconds ("no database", or a port that is closed because the service
# drains: Docker asks on while it stops a container) is one of a process that lives, and a restart would cure nothing.
#
# Docker kills the check of a service that hangs, so the count is written before. It counts from the first good answer on,
# and is gone with the container's end. /dev/shm is in memory, and there whatever the service has in /tmp.
most=$1
shift
state=/dev/shm/bulkhead-health

hundredths() { read -r up _ </proc/uptime && echo "${up%.*}${up#*.}"; }

# Gives whether Docker's init, process 1, is its parent.
is_child_of_init() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  stat=${stat##*) }
  case $stat in "${stat%% *} 1 "*) ;; *) return 1 ;; esac
}

hangs=starting
asked=
[ ! -r "$state" ] || read -r hangs asked <"$state"
# Docker before 25 kills this script and not what it started.
if [ -n "$asked" ] && is_child_of_init "$asked"; then kill -KILL "$asked"; fi

case $hangs in
starting) ;;
*)
  if [ "$hangs" -ge "$most" ]; then
    message="bulkhead: $hangs health checks in a row got no answer: the service is ended, and Docker starts it again"
    echo "$message"
    # The container's log.
    { echo "$message" >/proc/1/fd/2; } 2>/dev/null
    # Init ends with its child.
    for process in /proc/[0-9]*; do
      if is_child_of_init "${process#/proc/}"; then kill -KILL "${process#/proc/}"; fi
    done
    exit 1
  fi
  hangs=$((hangs + 1))
  ;;
esac

began=$(hundredths)
# In the background, so that a signal is seen while it runs.
"$@" &
asked=$!
trap 'kill -KILL "$asked"; exit 1' TERM
echo "$hangs $asked" >"$state"
wait "$asked"
status=$?
ended=$(hundredths)
if [ "$status" -eq 0 ]; then
  hangs=0
elif [ "$hangs" != starting ] && [ "$((ended - began))" -lt 200 ]; then
  hangs=0
fi
echo "$hangs" >"$state"
exit "$status"
