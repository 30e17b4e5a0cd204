// As many containers as it is told, all at once: what an update asks of the connection to the host.
import { Config } from "@pulumi/pulumi";
import { Container } from "../../../components/host/container.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";

const config = new Config();
const image = config.require("image");
const host = new DockerHost("host", {
  host: config.require("host"),
  knownHosts: config.require("knownHosts"),
  jobImage: image,
});
await host.check({});

for (let number = 1; number <= config.requireNumber("containers"); number++) {
  const name = `container-${number}`;
  const limits = { memoryMb: 16, cpus: 0.1, pids: 8 };
  // To start one takes far longer than to make it, and asks for more: some are enough.
  const runs = number <= config.requireNumber("running");
  new Container(name, {
    host,
    role: "service",
    image,
    limits,
    run: runs ? "always" : "never",
    command: ["sleep", "3600"],
    health: runs ? { test: ["CMD", "true"], intervalSeconds: 1 } : undefined,
  });
}
