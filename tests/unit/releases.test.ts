import { expect, onTestFinished, test, vi } from "vitest";
import { isBuiltFor, lostImages, removePulled } from "../../cli/stack/release-images.ts";
import { keepInFiles, recordInFiles } from "../../cli/stack/release-record.ts";
import type { Release } from "../../cli/stack/release.ts";
import { forgetReleases, releases } from "../../cli/stack/releases.ts";
import type { Stack } from "../../cli/stack/stack.ts";
import { Engine } from "../../components/docker-engine/client.ts";
import { startFakeEngine } from "./fake-engine.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const pulled = (letter: string, name = "app") => `registry.test/${name}:1@${digest(letter)}`;
const release = (number: number, backend: string): Release => ({
  ...{ number, deployedAt: "2026-01-01T00:00:00Z", settings: {} },
  images: { backend },
});
const edge = { Id: "edge", ImageID: digest("e"), Mounts: [{ Name: "reach-prod-routes", Destination: "/routes" }] };

async function stackOn(answer: Parameters<typeof startFakeEngine>[0]) {
  const fake = await startFakeEngine((request, body) => answer(decodeURIComponent(request), body));
  const engine = new Engine(fake.host);
  const said: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  onTestFinished(() => {
    vi.restoreAllMocks();
    engine.close();
  });
  return { stack: { name: "prod", env: {}, engine } satisfies Stack, fake, said };
}

test("the record is read from beside the routes where the volumes are gone, and from both where they are not", async () => {
  let archive = "";
  let volumes: object[] = [];
  const { stack } = await stackOn((request, body) => {
    if (request.startsWith("GET /containers/json")) return request.includes("bulkhead.role=edge") ? [edge] : [];
    if (request.startsWith("DELETE /containers/")) return {};
    if (request.startsWith("POST /containers/create")) {
      expect(body).toMatchObject({
        Image: digest("e"),
        HostConfig: { Binds: ["reach-prod-routes:/routes"], NetworkMode: "none" },
      });
      return { Id: "writer" };
    }
    if (request === "PUT /containers/writer/archive?path=/routes") return ((archive = String(body)), {});
    if (request === "GET /containers/edge/archive?path=/routes/releases.json") return Buffer.from(archive);
    if (request.startsWith("GET /volumes")) return { Volumes: volumes };
    return undefined;
  });
  const known = [release(2, pulled("b")), release(1, pulled("a"))];
  await keepInFiles(stack, known);
  expect(await recordInFiles(stack)).toEqual(known);
  expect(await releases(stack)).toEqual(known);
  const label = JSON.stringify({ images: { backend: pulled("c") }, settings: {} });
  volumes = [{ Name: "reach-prod-release-3", CreatedAt: "now", Labels: { "bulkhead.release": label } }];
  expect((await releases(stack)).map(({ number }) => number)).toEqual([3, 2, 1]);
  // As a run leaves it that is killed while it writes.
  archive = archive.replace('"number"', "#number#");
  expect((await releases(stack)).map(({ number }) => number)).toEqual([3]);
});

test("a record that a vault keeps is written too, and is where a new host goes on from", async () => {
  const snapshot = { Id: "snapshot", ImageID: digest("f"), Mounts: [{ Name: "kept", Destination: "/volume" }] };
  const written: Record<string, Buffer> = {};
  let running = [snapshot, edge];
  const { stack } = await stackOn((request, body) => {
    if (request.startsWith("GET /containers/json"))
      return running.filter(({ Id }) =>
        request.includes(Id === "edge" ? "bulkhead.role=edge" : "bulkhead.holds=releases"),
      );
    if (request.startsWith("DELETE /containers/")) return {};
    if (request.startsWith("POST /containers/create"))
      return { Id: (body as { HostConfig: { Binds: string[] } }).HostConfig.Binds[0] };
    const [, into] = /^PUT \/containers\/(\S+)\/archive/.exec(request) ?? [];
    if (into !== undefined) return ((written[into] = Buffer.from(String(body))), {});
    const [, from] = /^GET \/containers\/(\w+)\/archive/.exec(request) ?? [];
    if (from !== undefined) return written[from === "edge" ? "reach-prod-routes:/routes" : "kept:/volume"];
    if (request.startsWith("GET /volumes")) return { Volumes: [] };
    return undefined;
  });
  await keepInFiles(stack, [release(2, pulled("b")), release(1, pulled("a"))]);
  expect(Object.keys(written).sort()).toEqual(["kept:/volume", "reach-prod-routes:/routes"]);
  running = [snapshot];
  expect((await releases(stack)).map(({ number }) => number)).toEqual([2, 1]);
  // What the edge of this host has is newer than what a vault gave back.
  running = [snapshot, edge];
  delete written["reach-prod-routes:/routes"];
  const kept = written["kept:/volume"]!;
  await keepInFiles(stack, [release(2, pulled("c"))]);
  written["kept:/volume"] = kept;
  expect((await releases(stack)).map(({ images }) => images["backend"])).toEqual([pulled("c"), pulled("a")]);
});

test("of pulled images those go that only forgotten releases name, and nobody else has", async () => {
  const images: Record<string, { Id: string; RepoTags?: string[]; RepoDigests?: string[] }> = {};
  for (const letter of ["1", "2", "3", "4", "5", "6", "7"])
    images[pulled(letter)] = { Id: `id-${letter}`, RepoDigests: [`registry.test/app@${digest(letter)}`] };
  images[pulled("4")]!.RepoTags = ["registry.test/app:mine"];
  images[pulled("5")]!.RepoDigests!.push(`elsewhere.test/app@${digest("5")}`);
  const label = JSON.stringify({ images: { backend: pulled("6") } });
  const { stack, fake, said } = await stackOn((request) => {
    if (request === "GET /containers/json?all=1") return [{ ImageID: "id-3" }];
    if (request.startsWith("GET /volumes"))
      return { Volumes: [{ Labels: { "bulkhead.stack": "reach-staging", "bulkhead.release": label } }] };
    if (request.startsWith("DELETE /images/")) return request.includes(digest("7")) ? undefined : [];
    return images[/^GET \/images\/(.*)\/json$/.exec(request)?.[1] ?? ""];
  });
  const forgotten = ["1", "2", "3", "4", "5", "6", "7", "9"].map((letter, index) => release(index, pulled(letter)));
  await removePulled(stack, [...forgotten, release(20, digest("8"))], new Set([pulled("2")]));
  expect(fake.requests.filter((request) => request.startsWith("DELETE"))).toEqual(
    ["1", "7"].map((letter) => `DELETE /images/registry.test/app@${digest(letter)}`),
  );
  expect(said.join("")).toContain(`Removed an image that no rollback needs any more: ${pulled("1")}`);
  expect(said.join("")).toContain(`An image that no rollback needs stays: ${pulled("7")}`);
});

test("an image that was built from one of the stack's, under a name of somebody's, is not the stack's to remove", () => {
  const image = (RepoTags: string[] | null, RepoDigests: string[] | null = null) => ({
    Id: "x",
    RepoTags,
    RepoDigests,
  });
  const names = ["reach-prod-backend:1", "reach-staging-backend:1", "registry.test/backend:1", "<none>:<none>"];
  expect(names.map((name) => isBuiltFor("prod", image([name])))).toEqual([true, false, false, true]);
  expect(isBuiltFor("prod", image(["reach-prod-backend:1"], ["registry.test/backend@sha256:1"]))).toBe(false);
  expect(isBuiltFor("prod", image(null, ["<none>@<none>"]))).toBe(true);
});

test("a release that is forgotten takes its images along, and those of the kept ones stay, whatever label they bear", async () => {
  const volume = (number: number, backend: string) => ({
    ...{ Name: `reach-prod-release-${number}`, CreatedAt: "now" },
    Labels: {
      ...{ "bulkhead.stack": "reach-prod" },
      "bulkhead.release": JSON.stringify({ images: { backend }, settings: {} }),
    },
  });
  const built = (letter: string) => ({
    Id: digest(letter),
    RepoTags: [`reach-prod-backend:${letter}`],
    RepoDigests: null,
  });
  // Built from one of the stack's, pushed, and pulled again.
  const pulledOne = (letter: string) => ({
    Id: `id-${letter}`,
    RepoTags: null,
    RepoDigests: [`r/app@${digest(letter)}`],
  });
  const { stack, fake } = await stackOn((request) => {
    if (request.startsWith("DELETE")) return {};
    if (request.startsWith("GET /volumes"))
      return {
        Volumes: [volume(1, pulled("1")), volume(2, digest("2")), volume(3, pulled("3")), volume(4, digest("4"))],
      };
    if (request.startsWith("GET /images/json")) return [built("2"), built("4"), pulledOne("1"), pulledOne("3")];
    if (request.startsWith("GET /containers/json")) return [];
    return request.includes(digest("1")) ? pulledOne("1") : undefined;
  });
  await forgetReleases(stack, 2);
  expect(fake.requests.filter((request) => request.startsWith("DELETE")).sort()).toEqual([
    `DELETE /images/r/app@${digest("1")}`,
    `DELETE /images/${digest("2")}`,
    "DELETE /volumes/reach-prod-release-1",
    "DELETE /volumes/reach-prod-release-2",
  ]);
});

test("only images that were built can be lost: the others are pulled again", async () => {
  const { stack } = await stackOn((request) => (request.includes(digest("a")) ? {} : undefined));
  const images = { there: digest("a"), gone: digest("b"), pulled: pulled("c") };
  expect(await lostImages(stack, { ...release(1, ""), images })).toEqual([["gone", digest("b")]]);
});
