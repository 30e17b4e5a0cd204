import type { Config } from "@pulumi/pulumi";
import { DockerHost } from "../../components/host/docker-host.ts";
import type { NetworkSettings } from "../../components/host/subnets.ts";
import { Networks } from "../../components/host/networks.ts";
import { Proxy } from "../../components/edge/proxy.ts";
import type { ProxyArgs } from "../../components/edge/proxy-args.ts";

export interface TestImages {
  traefik: string;
  haproxy: string;
  node: string;
}

/** An edge of a test's program, on the engine that DOCKER_HOST names. */
export async function testEdge(
  config: Config,
  given: Partial<ProxyArgs> = {},
): Promise<{ edge: Proxy; images: TestImages }> {
  const images = config.requireObject<TestImages>("images");
  const host = new DockerHost("host", {
    ...{ host: "local", jobImage: images.traefik },
    networks: config.getObject<NetworkSettings>("networks"),
  });
  await host.check({});
  const edge = new Proxy("edge", {
    networks: new Networks("networks", { host }),
    images,
    domain: config.require("domain"),
    certificates: {
      kind: "files",
      certificatePem: config.require("certificatePem"),
      privateKeyPem: config.require("privateKeyPem"),
    },
    ...{ address: "0.0.0.0", httpsPort: 8443 },
    ...{ requestsPerSecond: 100, burst: 200 },
    ...given,
    ...config.getObject<Partial<ProxyArgs>>("edge"),
  });
  return { edge, images };
}
