import { createHash } from "node:crypto";
import { join } from "node:path";
import { Engine } from "../../components/docker-engine/client.ts";
import { images } from "./images.ts";
import { lastLines, runCommand } from "./command.ts";
import { createTestProject } from "./pulumi.ts";

/** Images that differ from another one in some lines of a Dockerfile. */
export interface ImageVariants {
  /** Builds what is in a folder of the repository, as a program does: with BuildKit, and this machine's settings. */
  build: (context: string, buildArgs: Record<string, string>) => Promise<string>;
  of: (base: string, ...lines: string[]) => Promise<string>;
  remove: () => Promise<void>;
}

export function imageVariants(): ImageVariants {
  const made: string[] = [];
  const nameOf = (inputs: unknown) => {
    const key = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
    // The only names that Bulkhead takes without a digest.
    const name = `bulkhead.local/variant:${key}`;
    made.push(name);
    return name;
  };
  return {
    build: async (context, buildArgs) => {
      const name = nameOf([context, buildArgs]);
      await buildFolder(name, context, buildArgs);
      return name;
    },
    of: async (base, ...lines) => {
      const dockerfile = [`FROM ${base}`, ...lines, ""].join("\n");
      const name = nameOf(dockerfile);
      await docker(["build", "--tag", name, "-"], dockerfile);
      return name;
    },
    remove: async () => {
      if (made.length > 0) await docker(["rmi", "--force", ...made]);
    },
  };
}

/** The docker CLI has no BuildKit of its own, and its plugin for it is not everywhere: Pulumi's provider has it. */
export async function buildFolder(name: string, context: string, buildArgs: Record<string, string>): Promise<void> {
  const project = await createTestProject({
    stack: "built",
    program: join(import.meta.dirname, "../programs/image"),
    config: { "image:context": context, "image:buildArgs": buildArgs, "image:jobImage": images.traefik },
  });
  const engine = new Engine(process.env["DOCKER_HOST"]!);
  try {
    const { code, stdout, stderr } = await project.up();
    if (code !== 0) throw new Error(`building ${context}: ${lastLines(stdout + stderr, 40)}`);
    const { image } = await project.outputs<{ image: string }>();
    const { RepoTags: given } = await engine.get<{ RepoTags: string[] }>(`/images/${image}/json`);
    const [repository, tag] = name.split(":") as [string, string];
    await engine.post(`/images/${image}/tag?repo=${repository}&tag=${tag}`);
    for (const other of given.filter((other) => other.startsWith("image-built-")))
      await engine.delete(`/images/${other}`);
  } finally {
    engine.close();
    project.remove();
  }
}

async function docker(args: string[], input?: string): Promise<void> {
  const { code, stderr } = await runCommand("docker", args, { input, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
}
