import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "./docker-host.ts";
import { Job } from "./job.ts";

export interface RouteFileArgs {
  host: DockerHost;
  /** The network on which every edge answers to the alias `edge`. */
  doorNetwork: pulumi.Input<string>;
  routesVolume: pulumi.Input<string>;
  /** Traefik's dynamic configuration, whole: the file is replaced by it. */
  content: pulumi.Input<DynamicConfiguration>;
  /** Name of the new release. Only the new content has a route under `/release/<release>` of the release entry point. */
  release: pulumi.Input<string>;
  /**
   * Configuration beside the content that leads `/candidate/<release>` of the release entry point to the new release, and
   * no client anywhere. @default none: the content is safe to serve before it was tried
   */
  candidate?: pulumi.Input<DynamicConfiguration>;
  /** Path below both that must answer 2xx. @default "" */
  checkPath?: string;
  /** Seconds that one answer there may take, at most 10. @default 5 */
  checkSeconds?: number;
}

export interface DynamicConfiguration {
  http?: { routers?: object; [section: string]: unknown };
  tcp?: { routers?: object; [section: string]: unknown };
}

/**
 * Switches one route file: a job asks every running edge for the candidate, writes the file in one step, and asks again
 * until each edge serves the new release and has rejected none of its routes. If they do not, the old file stays or
 * comes back and the job fails: the old release goes on serving, a broken one never got a request, and the next update
 * tries again.
 */
export class RouteFile extends pulumi.ComponentResource {
  constructor(name: string, args: RouteFileArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:RouteFile", name, {}, { providers: [args.host.provider], ...opts });
    const { checkSeconds = 5 } = args;
    if (!(checkSeconds >= 1 && checkSeconds <= 10))
      throw new Error(
        `${name}: healthTimeoutSeconds: ${checkSeconds} is not from 1 to 10: give the seconds of one answer`,
      );
    new Job(
      `${name}-job`,
      {
        host: args.host,
        script: CUTOVER,
        user: "0:0",
        exceptions: [
          { rootUser: true, why: "root owns the volume with the routes; without capabilities it can do nothing more" },
        ],
        // 15 s of tries for each of the two routes together, and the last try of each.
        deadlineSeconds: 20 + 2 * checkSeconds,
        networks: [{ name: args.doorNetwork }],
        volumes: [{ name: args.routesVolume, path: "/routes", writable: true }],
        env: {
          ROUTE_FILE: name,
          ROUTE: pulumi.output(args.content).apply(routeFile),
          ...(args.candidate && {
            CANDIDATE: pulumi.output(args.candidate).apply(routeFile),
            CANDIDATE_ROUTERS: pulumi.output(args.candidate).apply(routersOf),
          }),
          ROUTERS: pulumi.output(args.content).apply(routersOf),
          RELEASE: args.release,
          CHECK_PATH: args.checkPath ?? "",
          CHECK_SECONDS: String(checkSeconds),
        },
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** As Traefik's API names them. */
function routersOf({ http, tcp }: DynamicConfiguration): string {
  const names = (kind: string, routers: object = {}) =>
    Object.keys(routers).map((name) => `${kind}/routers/${name}@file`);
  return [...names("http", http?.routers), ...names("tcp", tcp?.routers)].join(" ");
}

/** Traefik reads a file as a template, in which {{ would begin an action. */
function routeFile(content: object): string {
  return JSON.stringify(content).replaceAll("{{", "{\\u007b");
}

/**
 * Tries for 15 s. The turn is that of the newest job: one that a killed run has left can still be at work, and must not
 * switch the route after a newer one did.
 */
const CUTOVER = `
file="/routes/$ROUTE_FILE.yml" turn="/routes/$ROUTE_FILE.turn" edge= answer= path= heard= status=
me=$(cat /proc/sys/kernel/random/uuid)
candidate="/routes/$ROUTE_FILE.$me.candidate.yml"
put() { cat "$1" > "$2.tmp" && chmod 0644 "$2.tmp" && mv "$2.tmp" "$2"; }
edges() { nslookup edge 2>/dev/null | awk '/^Name:/ { answers = 1 } answers' | grep -oE '([0-9]+[.]){3}[0-9]+' | sort -u; }
serves() {
  found=$(edges)
  [ -n "$found" ] || { answer="no edge in the network's DNS"; return 1; }
  for edge in $found; do
    path=/$1/$RELEASE$CHECK_PATH
    heard=$(timeout "$CHECK_SECONDS" wget -q -S -O /dev/null "http://$edge:8082$path" 2>&1)
    status=$? answer=$(printf '%s\\n' "$heard" | tail -n 1)
    # wget goes where it is sent to, and the answer from there is another one.
    case $heard in *"HTTP/1."?" 30"[12378]*) answer="it answered $(redirect)"; return 1 ;; esac
    case $status in
      0) ;;
      # As timeout ends, of busybox and of others.
      143 | 124) answer="it took longer than $CHECK_SECONDS s"; return 1 ;;
      *) return 1 ;;
    esac
  done
}
redirect() {
  printf '%s\\n' "$heard" | sed -n 's|^ *HTTP/1[.]. \\(30[12378]\\).*|\\1|p; s|^ *[Ll]ocation: *|to |p' | head -n 2 | tr '\\n' ' '
}
# Of what came with an error. It tells more than its number: a Host that is not allowed, a database that is away.
first_line() {
  # By a pipe that stays open: at its end nc would hang up, and Traefik take that for a client that has left.
  rm -f /tmp/ask && mkfifo /tmp/ask && exec 3<>/tmp/ask || return 0
  printf 'GET %s HTTP/1.0\\r\\nHost: edge\\r\\n\\r\\n' "$path" >&3
  timeout "$CHECK_SECONDS" nc "$edge" 8082 <&3 2>/dev/null |
    sed '1,/^\\r*$/d' | head -n 1 | tr -cd ' -~' | cut -c 1-200
  exec 3>&-
}
began=$(date +%s)
until_serves() {
  while [ $(($(date +%s) - began)) -lt 15 ]; do
    serves "$1" && return 0
    sleep 0.1
  done
  return 1
}
rejected() {
  for edge in $(edges); do
    for router in $1; do
      answer=$(timeout 2 wget -q -O - "http://$edge:8082/api/$router" 2>/dev/null)
      case $answer in *'"status":"disabled"'*) return 0 ;; esac
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
said() {
  case $answer in *"server returned error"*) line=$(first_line) ;; *) line= ;; esac
  echo "Asked for $CHECK_PATH, the edge $edge said: $answer\${line:+: $line}"
}
rejection() { echo "The edge $edge rejects the route: $answer"; }
superseded() { fail "it got no request" "A newer update switches this route"; }
echo "$me" > /tmp/turn
put /tmp/turn "$turn"
rm -f "/routes/$ROUTE_FILE."*.candidate.yml
if [ -n "\${CANDIDATE:-}" ]; then
  printf '%s' "$CANDIDATE" > /tmp/candidate
  put /tmp/candidate "$candidate"
  if ! until_serves candidate; then
    reason=$(said)
    rejected "$CANDIDATE_ROUTERS" && reason=$(rejection)
    fail "it got no request" "$reason"
  fi
fi
is_my_turn || superseded
[ -e "$file" ] && cp "$file" /tmp/old
printf '%s' "$ROUTE" > /tmp/new
put /tmp/new "$file"
if ! until_serves release; then reason=$(said)
elif rejected "$ROUTERS"; then reason=$(rejection)
else
  rm -f "$candidate"
  echo "serving $RELEASE"
  finish
fi
is_my_turn || superseded
if [ -e /tmp/old ]; then put /tmp/old "$file"; else rm -f "$file"; fi
fail "the old route is back" "$reason"
`;
