// An image of a folder, and nothing that runs.
import { Config } from "@pulumi/pulumi";
import { BuiltImage } from "../../../components/host/built-image.ts";
import { DockerHost } from "../../../components/host/docker-host.ts";

const config = new Config();
const host = new DockerHost("host", { host: "local", jobImage: config.require("jobImage") });
const built = new BuiltImage("built", {
  host,
  context: config.require("context"),
  buildArgs: config.requireObject<Record<string, string>>("buildArgs"),
});

export const image = built.reference;
