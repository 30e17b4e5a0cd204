import * as pulumi from "@pulumi/pulumi";

import type { DockerHost } from "./docker-host.ts";
import { Job } from "./job.ts";

export interface RouteFileArgs {
  host: DockerHost;
  /** The network on which every edge answers to the alias `edge`. */
  doorNetwork: pulumi.Input<string>;
  routesVolume: pulumi.Input<string>;
  /** Traefik's dynamic configuration, whole: the file is replaced by it. */
  content: pulumi.Input<object>;
  /** Name of the new release. Only the new content has a route under `/release/<release>` of the release entry point. */
  release: pulumi.Input<string>;
  /** Path below it that must answer 2xx. @default "" */
  checkPath?: string;
}

/**
 * Switches one route file: a job writes it in one step, then asks every running edge until each serves the new release.
 * If they do not, it puts the old file back and fails, the old release goes on serving, and the next update tries again.
 */
export class RouteFile extends pulumi.ComponentResource {
  constructor(name: string, args: RouteFileArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:RouteFile", name, {}, { providers: [args.host.provider], ...opts });
    new Job(
      `${name}-job`,
      {
        host: args.host,
        script: CUTOVER,
        rootWhy: "root owns the volume with the routes; without capabilities it can do nothing more",
        deadlineSeconds: 25,
        networks: [{ name: args.doorNetwork }],
        volumes: [{ name: args.routesVolume, path: "/routes", writable: true }],
        env: {
          ROUTE_FILE: name,
          // Traefik reads the file as a template, in which {{ would begin an action.
          ROUTE: pulumi.output(args.content).apply((content) => JSON.stringify(content).replaceAll("{{", "{\\u007b")),
          RELEASE: args.release,
          CHECK_PATH: args.checkPath ?? "",
        },
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** Tries for 15 s. */
const CUTOVER = `
file="/routes/$ROUTE_FILE.yml" edge= answer=
put() { cat "$1" > "$file.tmp" && chmod 0644 "$file.tmp" && mv "$file.tmp" "$file"; }
edges() { nslookup edge 2>/dev/null | awk '/^Name:/ { answers = 1 } answers' | grep -oE '([0-9]+[.]){3}[0-9]+' | sort -u; }
served() {
  found=$(edges)
  [ -n "$found" ] || { answer="no edge in the network's DNS"; return 1; }
  for edge in $found; do
    answer=$(timeout 2 wget -q -O /dev/null "http://$edge:8082/release/$RELEASE$CHECK_PATH" 2>&1) || return 1
  done
}
[ -e "$file" ] && cp "$file" /tmp/old
printf '%s' "$ROUTE" > /tmp/new
put /tmp/new
began=$(date +%s)
while [ $(($(date +%s) - began)) -lt 15 ]; do
  if served; then
    echo "serving $RELEASE"
    finish
  fi
  sleep 0.1
done
if [ -e /tmp/old ]; then put /tmp/old; else rm -f "$file"; fi
echo "not serving $RELEASE, the old route is back. Asked for $CHECK_PATH, the edge $edge said: $answer"
sleep 15
exit 1
`;
