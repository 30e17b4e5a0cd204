// Images that are built on the host: what BuildKit can do, on this host and over ssh.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lastLines, runCommand } from "../support/command.ts";
import { currentTestEngine } from "../support/engine.ts";
import { createTestProject } from "../support/pulumi.ts";
import { startRemoteHost } from "../support/remote-host.ts";
import { provideSmallImage } from "../support/small-image.ts";

const TOKEN = "a-token-that-no-layer-may-have";
const folder = mkdtempSync(join(tmpdir(), "bulkhead-builds-"));

afterAll(() => rmSync(folder, { recursive: true }));

/** Heredocs, cache mounts, secrets, COPY --chmod; stages that must not be built. */
const DOCKERFILE = `
ARG BASE
FROM \${BASE} AS made
RUN --mount=type=cache,id=builds-${process.pid},target=/cache <<END
  echo x >>/cache/builds
  wc -l </cache/builds >/builds
END
ARG RELEASE
RUN --mount=type=secret,id=token,required=true wc -c </run/secrets/token >/length
FROM \${BASE} AS web
COPY --from=made /length /builds /
COPY --chmod=0750 run.sh /run.sh
COPY . /context
FROM web AS unwanted
RUN exit 1
`;

test("a build has secrets, caches, heredocs, a target and an ignore file of its own, here and over ssh", async () => {
  const context = join(folder, "shop");
  mkdirSync(join(context, "docker"), { recursive: true });
  writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE);
  writeFileSync(join(context, "docker/web.Dockerfile.dockerignore"), "*.md\ndocker\n");
  writeFileSync(join(context, ".dockerignore"), "run.sh\n");
  for (const file of ["run.sh", "notes.md"]) writeFileSync(join(context, file), "", { mode: 0o644 });
  chmodSync(join(context, "run.sh"), 0o600);
  symlinkSync("run.sh", join(context, "link"));
  const engine = currentTestEngine();
  const small = await provideSmallImage(engine);
  const far = await startRemoteHost(engine, "far");
  try {
    await far.loadImages([small]);
    const hosts = [
      { host: "local", env: {}, docker: (args: string[]) => runCommand("docker", args) },
      { host: far.url, env: far.env, docker: far.docker },
    ];
    for (const { host, env, docker } of hosts) {
      const config = {
        ...{
          "image:host": host,
          "image:context": context,
          "image:buildArgs": { BASE: small },
          "image:jobImage": small,
        },
        "image:knownHosts": far.knownHostsFile,
        "image:build": { dockerfile: "docker/web.Dockerfile", target: "web" },
      };
      const project = await createTestProject({
        ...{ stack: "builds", program: new URL("../programs/image", import.meta.url).pathname },
        ...{ config, env },
      });
      try {
        await project.setSecret("image:token", TOKEN);
        const { code, stdout, stderr } = await project.up();
        expect(code, lastLines(stdout + stderr, 40)).toBe(0);
        const { image } = await project.outputs<{ image: string }>();
        const run = async (script: string) => {
          const answer = await docker(["run", "--rm", "--network", "none", image, "/bin/sh", "-c", script]);
          return answer.stdout.trim().split("\n");
        };
        expect(await run("cat /length /builds; stat -c %a /run.sh; ls /context; readlink /context/link")).toEqual([
          ...[String(TOKEN.length), "1", "750", "docker", "link", "run.sh", "run.sh"],
        ]);
        const { stdout: history } = await docker(["history", "--no-trunc", image]);
        const { stdout: archive } = await docker(["save", image]);
        const { stdout: state } = await runCommand("grep", ["-rl", TOKEN, join(project.directory, "state")]);
        for (const text of [history, archive, state, stdout, stderr]) expect(text).not.toContain(TOKEN);
        expect(archive).toContain("run.sh");
        // A file that the ignore file names is none of it; a mode and a link are.
        const again = async () => (await project.up()).stdout;
        writeFileSync(join(context, "notes.md"), host);
        expect(await again()).not.toMatch(/replaced|created/);
        chmodSync(join(context, "run.sh"), 0o644);
        expect(await again()).toMatch(/1 replaced/);
        chmodSync(join(context, "run.sh"), 0o600);
        // The cache outlives a build.
        writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE.replace("echo x", "echo y"));
        expect(await again()).toMatch(/1 replaced/);
        const after = await project.outputs<{ image: string }>();
        expect((await docker(["run", "--rm", "--network", "none", after.image, "/bin/cat", "/builds"])).stdout).toBe(
          "2\n",
        );
        writeFileSync(join(context, "docker/web.Dockerfile"), DOCKERFILE);
      } finally {
        await project.destroy();
        project.remove();
      }
    }
  } finally {
    await far.stop();
  }
});
