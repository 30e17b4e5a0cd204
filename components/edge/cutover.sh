# shellcheck shell=sh
# The job of a cutover, after FINISH of job.ts: asks every running edge for the candidate, writes the route file in one
# step, and asks again until each edge serves the new release and has rejected none of its routes. Tries for 15 s each,
# and for 60 s while it may be that the host has too much to do, and no release is at fault: no answer in time, or an edge
# that has not read the file.
#
# The turn is that of the newest job: one that a killed run has left can still be at work, and must not switch the route
# after a newer one did.

file="/routes/$ROUTE_FILE.yml" turn="/routes/$ROUTE_FILE.turn" edge='' replica='' said=''
me=$(cat /proc/sys/kernel/random/uuid)
candidate="/routes/$ROUTE_FILE.$me.candidate.yml"

put() { cat "$1" >"$2.tmp" && chmod 0644 "$2.tmp" && mv "$2.tmp" "$2"; }

edges() {
  nslookup edge-2 2>/dev/null | awk '/^Name:/ { answers = 1 } answers' | grep -oE '([0-9]+[.]){3}[0-9]+' | sort -u
}

# Leaves what $edge answers to a GET of $1 in /tmp/heard. Not by wget, which goes wherever it is sent to: the answer from
# there would be another's.
ask() {
  # By a pipe that stays open: at its end nc would hang up, and Traefik take that for a client that has left.
  rm -f /tmp/ask && mkfifo /tmp/ask && exec 3<>/tmp/ask || return
  printf 'GET %s HTTP/1.0\r\nHost: edge\r\nUser-Agent: bulkhead\r\n\r\n' "$1" >&3
  {
    timeout "$CHECK_SECONDS" nc "$edge" 8082 <&3 2>/tmp/complaint
    echo "$?" >/tmp/status
  } | head -c 65536 >/tmp/heard
  exec 3>&-
}

body() { sed '1,/^\r*$/d' /tmp/heard; }
# One line that is fit for a log.
shown() { head -n 1 | tr -cd ' -~' | cut -c 1-200; }

serves() {
  found=$(edges)
  edge='' slow=''
  [ -n "$found" ] || { said="there is no edge in the network's DNS" && return 1; }
  # The route of the release leads to all replicas, and the candidate's to each.
  replicas=$RELEASE
  [ "$1" = candidate ] || replicas=${RELEASE%% *}
  for pair in $(for each in $found; do for replica in $replicas; do echo "$each/$replica"; done; done); do
    edge=${pair%%/*} replica=${pair#*/}
    ask "/$1/$replica$CHECK_PATH"
    line=$(shown </tmp/heard) reason=$(body | shown)
    case $(cat /tmp/status):$line in
    # As timeout ends, of busybox and of others.
    143:* | 124:*) said="took longer than $CHECK_SECONDS s" slow=yes ;;
    *:HTTP/1.?\ 2??*) continue ;;
    *:HTTP/1.?\ 30[12378]*) said="answered ${line#* }, to $(sed -n 's|^[Ll]ocation: *||p' /tmp/heard | shown)" ;;
    *:HTTP/*)
      said="answered ${line#* }${reason:+: $reason}"
      case $line in *\ 504*) slow=yes ;; *\ 404*) slow=perhaps ;; esac
      ;;
    *) said="gave no answer: $(shown </tmp/complaint)" ;;
    esac
    return 1
  done
}

# Asks by the route $1, of whose file $2 are the routers.
until_serves() {
  began=$(date +%s)
  until serves "$1"; do
    passed=$(($(date +%s) - began))
    if [ "$passed" -ge 60 ] || { [ "$passed" -ge 15 ] && ! is_slow "$1" "$2"; }; then
      # That was a while ago, on a host that is busy.
      serves "$1" && return
      [ "$passed" -lt 60 ] || said="$said, for a minute: something hangs, or the host has too much to do"
      return 1
    fi
    # Each ask takes some of the processor, which an edge that is slow may lack.
    if [ "$passed" -lt 3 ]; then sleep 0.1; else sleep 0.5; fi
  done
}

# Whether it may be the host that has too much to do, and not the release that is wrong.
is_slow() { [ "$slow" = yes ] || { [ "$slow" = perhaps ] && is_unread "$1" "$2"; }; }

# Whether 404 was the answer of an edge that does not know the route, and not of the service.
is_unread() {
  for router in $2; do
    ask "/api/$router"
    case $(body) in *"/$1/$replica/"*) return 1 ;; esac
  done
}

rejected() {
  for edge in $(edges); do
    for router in $1; do
      ask "/api/$router"
      case $(body) in *'"status":"disabled"'*) return 0 ;; esac
    done
  done
  return 1
}

is_my_turn() { [ "$(cat "$turn")" = "$me" ]; }

fail() {
  rm -f "$candidate"
  echo "not serving $RELEASE, $1. $2"
  exit 1
}

answer() {
  of=
  [ "$RELEASE" = "${RELEASE%% *}" ] || of=" of $replica"
  echo "Asked for $CHECK_PATH$of, ${edge:+the edge $edge }$said"
}
rejection() { echo "The edge $edge rejects the route: $(body | head -c 2000)"; }
superseded() { fail "it got no request" "A newer update switches this route"; }

echo "$me" >/tmp/turn
put /tmp/turn "$turn"
rm -f "/routes/$ROUTE_FILE."*.candidate.yml
if [ -n "${CANDIDATE:-}" ]; then
  printf '%s' "$CANDIDATE" >/tmp/candidate
  put /tmp/candidate "$candidate"
  if ! until_serves candidate "$CANDIDATE_ROUTERS"; then
    why=$(answer)
    rejected "$CANDIDATE_ROUTERS" && why=$(rejection)
    fail "it got no request" "$why"
  fi
fi
is_my_turn || superseded
# What the route names, before it does. Nobody but the edge and such jobs has this volume.
for beside in /beside/*; do
  [ -z "${BESIDE:-}" ] || put "$beside" "/routes/$ROUTE_FILE.$BESIDE.beside.${beside##*/}"
done
[ -e "$file" ] && cp "$file" /tmp/old
printf '%s' "$ROUTE" >/tmp/new
put /tmp/new "$file"
if ! until_serves release "$ROUTERS"; then
  why=$(answer)
elif rejected "$ROUTERS"; then
  why=$(rejection)
else
  rm -f "$candidate"
  # No route names those of before any more.
  for beside in "/routes/$ROUTE_FILE."*.beside.*; do
    case $beside in "/routes/$ROUTE_FILE.${BESIDE:-none}.beside."*) ;; *) rm -f "$beside" ;; esac
  done
  echo "serving $RELEASE"
  finish
fi
is_my_turn || superseded
if [ -e /tmp/old ]; then put /tmp/old "$file"; else rm -f "$file"; fi
fail "the old route is back" "$why"
