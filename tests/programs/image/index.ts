// An image of a folder, and nothing that runs.
import { Config } from "@pulumi/pulumi";
import { BuiltImage, type Build } from "../../../components/host/built-image.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";

const config = new Config();
const host = new DockerHost("host", {
  host: config.get("host") ?? "local",
  knownHosts: config.get("knownHosts"),
  jobImage: config.require("jobImage"),
});
const token = config.getSecret("token");
const built = new BuiltImage("built", {
  host,
  context: config.require("context"),
  buildArgs: config.requireObject<Record<string, string>>("buildArgs"),
  ...config.getObject<Partial<Build>>("build"),
  ...(token && { secrets: { token } }),
});

export const image = built.reference;
