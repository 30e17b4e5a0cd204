// `bulkhead` and `bulkhead/testing` as a program imports them, shown on the program that init writes.
import { DockerHost, platform } from "bulkhead";
import { defineSettings } from "bulkhead/settings";
import { container, invariants, label, record, type Recording } from "bulkhead/testing";
import { beforeAll, describe, expect, test } from "vitest";
import * as source from "../../components/host/docker-host.ts";

const IMAGE = `ghcr.io/me/app:1.4@sha256:${"0".repeat(64)}`;
const TOKEN = "a-token-of-the-test-0123456789-0123456789";

let recording: Recording;

beforeAll(async () => {
  recording = await record(() => import("../../cli/init/template/index.ts"), {
    project: "shop",
    settings: {
      host: "local",
      domain: "example.com",
      certificates: { kind: "acme", email: "you@example.com" },
      images: { "template-service": IMAGE },
    },
    secretSettings: { dnsApiToken: TOKEN },
  });
});

test("in this repository the package is its own source", () => {
  expect(DockerHost).toBe(source.DockerHost);
});

test("a program is recorded under the name and with the settings that are given", () => {
  expect(recording.stackName).toBe("shop-test");
  expect(label(container(recording, "template-service"), "bulkhead.stack")).toBe("shop-test");
  expect(container(recording, "template-service").inputs.image).toBe(IMAGE);
  expect(recording.secrets).toContain(TOKEN);
  expect(recording.outputs["url"]).toBe("https://example.com");
});

describe("the program that init writes keeps every invariant", () => {
  test.each(Object.entries(invariants))("%s", (_, complaints) => expect(complaints(recording)).toEqual([]));
});

test("without a name it is that of the Pulumi.yaml here", async () => {
  expect((await record(() => undefined)).stackName).toBe("reach-test");
});

test("a restore of what the program does not have is refused at its end", async () => {
  const program = async () => void (await platform(defineSettings().load())).stackOutputs();
  const options = {
    settings: { host: "local", domain: "example.com", certificates: { kind: "acme", email: "you@example.com" } },
    secretSettings: { dnsApiToken: TOKEN },
    config: { "reach:restore": JSON.stringify({ db: { id: "r1", to: "latest", serve: true } }) },
  };
  await expect(record(program, options)).rejects.toThrow("restore.db: the program has no such database or volume");
});

describe("a program that never calls stackOutputs()", () => {
  const settings = { host: "local", domain: "example.com", certificates: { kind: "acme", email: "you@example.com" } };
  const options = { settings, secretSettings: { dnsApiToken: TOKEN } };

  test("is told to, whatever it exports", async () => {
    const program = async () => ({ name: (await platform(defineSettings().load())).edge.containers.edge.name });
    await expect(record(program, options)).rejects.toThrow(
      /^index\.ts: never calls stackOutputs\(\), without which the edge gets no door: end it with `export const/,
    );
  });

  test("and fails before has its own error alone", async () => {
    const program = async () => {
      await platform(defineSettings().load());
      throw new Error("the program's own");
    };
    await expect(record(program, options)).rejects.toThrow("the program's own");
  });
});
