import * as pulumi from "@pulumi/pulumi";
import { Job } from "../host/job.ts";
import type { Proxy } from "./proxy.ts";

export interface ServedRoutesArgs {
  edge: Proxy;
}

/**
 * Takes away the routes of services that are gone from the program, when all others are in place and before Pulumi removes
 * their containers: their paths answer 404, and not 502 for ever. It comes after the last service of its edge; each has
 * registered itself there, and one that comes later is refused.
 */
export class ServedRoutes extends pulumi.ComponentResource {
  constructor(name: string, args: ServedRoutesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("bulkhead:index:ServedRoutes", name, {}, { providers: [args.edge.host.provider], ...opts });
    const { edge } = args;
    const services = [...edge.endOfServices().values()];
    new Job(
      `${name}-job`,
      {
        host: edge.host,
        script: SWEEP,
        user: "0:0",
        exceptions: [{ rootUser: true, why: "root owns the volume with the routes" }],
        volumes: [{ name: edge.routeFiles.routesVolume, path: "/routes", writable: true }],
        env: { SERVED: [edge, ...services].map(({ routeFile }) => routeFile).join(" ") },
      },
      { parent: this, dependsOn: services },
    );
    this.registerOutputs({});
  }
}

const SWEEP = `
for file in /routes/*.yml; do
  name=\${file#/routes/} name=\${name%.yml}
  case " $SERVED " in *" $name "*) ;; *) rm -f "$file" "/routes/$name.turn" "/routes/$name."*.beside.* || exit 1; echo "no more: $name" ;; esac
done
finish
`;
