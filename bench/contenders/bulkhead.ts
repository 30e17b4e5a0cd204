import { Engine } from "../../components/docker-engine/client.ts";
import { sshArguments, sshOptions } from "../../components/docker-engine/ssh.ts";
import { runCommand } from "../../tests/support/command.ts";
import { prepareReach } from "../../tests/support/reach.ts";
import type { RemoteHost } from "../../tests/support/remote-host.ts";
import { common, type Contender } from "./contender.ts";

/** The whole program of this repository, as it is. */
export async function startBulkhead(
  host: RemoteHost,
  images: Record<"traefik" | "haproxy" | "frontend", string>,
  image: string,
): Promise<Contender> {
  const port = 8443;
  const ssh = sshOptions(host.url, host.knownHostsFile);
  const reach = await prepareReach({
    ...{ stack: "bench", domain: common.domain, httpsPort: port, tcpPort: 2222, listen: "0.0.0.0" },
    address: host.address,
    engine: new Engine(host.url, ssh),
    env: { ...host.env, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    config: {
      "reach:host": host.url,
      "reach:knownHosts": host.knownHostsFile,
      "reach:backend": { drainSeconds: common.drainSeconds },
    },
  });
  const release = (backend: string) => reach.configure({ "reach:images": { ...images, backend } });
  release(image);
  await reach.deploy();
  return {
    name: "Bulkhead",
    what:
      "`pulumi up --yes --skip-preview` of this repository's program, with all of its parts (door, edge, backend, " +
      "frontend, secrets), its state in a file on the deploying machine, the host over `ssh://`. The edge does more " +
      "than the others' (headers, rate limit, compression, access log) and has one hop more, the door.",
    port,
    ca: reach.ca,
    deploy: async (next) => {
      // The others begin without a connection, so this one does too.
      await runCommand("ssh", ["-O", "exit", ...sshArguments(host.url, ssh)]);
      release(next);
      return reach.up();
    },
    stop: () => reach.stop(),
  };
}
