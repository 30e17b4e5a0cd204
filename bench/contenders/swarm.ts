import type { Contender } from "./contender.ts";
import { must, type OnHost } from "./on-host.ts";

/** `docker stack deploy` with start-first updates. */
export async function startSwarm(onHost: OnHost, image: string): Promise<Contender> {
  const deploy = "docker stack deploy --detach=false --resolve-image never --compose-file stack.yaml bench";
  const { host, ca, run } = onHost;
  await must(host.exec("docker", ["swarm", "init", "--advertise-addr", "127.0.0.1"]));
  await must(run(deploy, { BACKEND_IMAGE: image }));
  return {
    name: "Swarm, start-first",
    what:
      "`ssh host docker stack deploy --detach=false` of a service with `order: start-first`, behind Traefik with the " +
      "Swarm provider asking every second (its default is 15 s). This kernel has no IPVS, so Swarm's own routing mesh " +
      "and virtual addresses cannot run here: the service is in DNS round-robin mode. The command ends 5 s after the " +
      "new task runs, which is Swarm's default of watching it.",
    port: 8643,
    ca,
    deploy: (next) => run(deploy, { BACKEND_IMAGE: next }),
    stop: async () => {
      await must(host.exec("docker", ["swarm", "leave", "--force"]));
    },
  };
}
