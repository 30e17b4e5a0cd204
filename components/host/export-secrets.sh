#!/bin/sh
# export-secrets.sh NAME… -- PROGRAM ARGUMENT…: gives PROGRAM each NAME as a variable, from the file that NAME_FILE names, and
# becomes it. The values are in the memory of that process alone.
set -eu
while [ "$1" != -- ]; do
  eval "file=\$$1_FILE"
  value=$(cat "$file")
  export "$1=$value"
  shift
done
shift
unset file value
exec "$@"
