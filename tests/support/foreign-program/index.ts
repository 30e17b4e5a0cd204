// On @pulumi/docker alone, as somebody else would write it: as weak as many are, or with what the policies ask for.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const image = config.require("image");

if (config.requireBoolean("weak")) {
  new docker.Volume("folder", { driverOpts: { type: "none", device: "/srv", o: "bind" } });
  new docker.Container("web", {
    image: "nginx:1.29",
    envs: ["DB_PASSWORD=hunter2"],
    privileged: true,
    ports: [{ internal: 80, external: 8080 }],
    volumes: [{ hostPath: "/var/run/docker.sock", containerPath: "/var/run/docker.sock", readOnly: true }],
  });
} else {
  const network = new docker.Network("inside", { internal: true });
  const volume = new docker.Volume("rows");
  new docker.Container("web", {
    image,
    command: ["sleep", "600"],
    envs: ["DB_PASSWORD_FILE=/run/secrets/db_password"],
    user: "1000:1000",
    // The engine's own field for it is missing in the provider; the label says what was done about it.
    labels: [
      { label: "bulkhead.pids", value: "64" },
      {
        label: "bulkhead.exceptions",
        value: JSON.stringify([{ rule: "container-read-only-root", why: "it writes beside its program" }]),
      },
    ],
    capabilities: { drops: ["ALL"] },
    init: true,
    securityOpts: ["no-new-privileges:true"],
    memory: 32,
    memorySwap: 32,
    cpus: "0.5",
    healthcheck: { tests: ["CMD", "true"] },
    restart: "always",
    logDriver: "json-file",
    logOpts: { "max-size": "1m", "max-file": "2" },
    destroyGraceSeconds: 1,
    networksAdvanced: [{ name: network.name }],
    volumes: [{ volumeName: volume.name, containerPath: "/rows" }],
  });
}
