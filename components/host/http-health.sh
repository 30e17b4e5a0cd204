#!/bin/sh
# Asks a URL by what the image has: /bin/sh -c THIS http-health URL. Says what it asked, and what came if that was not good:
# an update that fails shows it. GNU's wget alone says nothing of that.
has() { command -v "$1" >/dev/null 2>&1; }

echo "GET $1"
if has curl; then exec curl -fsS -o /dev/null "$1"; fi
if has wget; then exec wget -q -O /dev/null "$1"; fi
if has node; then
  exec node -e '
    const end = (why) => (console.log(why), process.exit(1));
    fetch(process.argv[1]).then(
      ({ ok, status }) => (ok ? process.exit(0) : end(`answered ${status}`)),
      ({ message, cause }) => end(cause?.message || cause?.code || message),
    )' "$1"
fi
if has python3; then
  exec python3 -c '
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1])
except Exception as error:
    sys.exit(str(error))' "$1"
fi
echo "the image has no wget, curl, node or python3 to ask $1 with: give health.test a program of its own"
exit 1
