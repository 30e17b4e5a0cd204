#!/bin/sh
# A health check: fresh.sh FILE SECONDS ERROR. The first word of FILE is a time of the last so many seconds.
at=0
[ ! -r "$1" ] || read -r at _ <"$1"
[ $(($(date +%s) - at)) -gt "$2" ] || exit 0
cat "$3" 2>/dev/null
exit 1
