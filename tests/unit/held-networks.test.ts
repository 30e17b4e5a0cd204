import { expect, onTestFinished, test } from "vitest";
import { heldNetworks } from "../../cli/stack/held-networks.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";

const engineWith = async (answer: (request: string) => object | undefined) => {
  const engine = new Engine((await startFakeEngine(answer)).host);
  onTestFinished(() => engine.close());
  return engine;
};

test("a container that is not the stack's and is on one of its networks is named, with its cure", async () => {
  const engine = await engineWith((request) => {
    if (request.startsWith("GET /containers/json"))
      return [{ Id: "own", Names: ["/reach-prod-backend-1"], Labels: {} }];
    if (request.startsWith("GET /networks?")) return [{ Name: "reach-prod-proxy" }, { Name: "reach-prod-door" }];
    if (request === "GET /networks/reach-prod-proxy")
      return { Containers: { own: { Name: "reach-prod-backend-1" }, other: { Name: "debug" } } };
    return { Containers: null };
  });
  expect(await heldNetworks(engine, "prod")).toEqual([
    "reach-prod-proxy: debug is on this network and is not of the stack reach-prod, so that Docker does not remove it. If " +
      "nothing needs it there: docker network disconnect --force reach-prod-proxy debug",
  ]);
});

test("nothing is said where nobody else is on them, or the host does not answer", async () => {
  expect(await heldNetworks(await engineWith(() => []), "prod")).toEqual([]);
  expect(await heldNetworks(await engineWith(() => undefined), "prod")).toEqual([]);
});
