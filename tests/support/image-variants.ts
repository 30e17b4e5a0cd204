import { createHash } from "node:crypto";
import { runCommand } from "./command.ts";

/** Images that differ from another one in some lines of a Dockerfile. */
export interface ImageVariants {
  /** Builds what is in a folder of the repository. */
  build: (context: string, buildArgs: Record<string, string>) => Promise<string>;
  of: (base: string, ...lines: string[]) => Promise<string>;
  remove: () => Promise<void>;
}

export function imageVariants(): ImageVariants {
  const made: string[] = [];
  const build = async (inputs: unknown, args: string[], dockerfile?: string) => {
    const key = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
    // The only names that Bulkhead takes without a digest.
    const name = `bulkhead.local/variant:${key}`;
    made.push(name);
    await docker(["build", "--tag", name, ...args], dockerfile);
    return name;
  };
  return {
    build: (context, buildArgs) => {
      const args = Object.entries(buildArgs).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
      return build([context, args], [...args, context]);
    },
    of: (base, ...lines) => {
      const dockerfile = [`FROM ${base}`, ...lines, ""].join("\n");
      return build(dockerfile, ["-"], dockerfile);
    },
    remove: async () => {
      if (made.length > 0) await docker(["rmi", "--force", ...made]);
    },
  };
}

async function docker(args: string[], input?: string): Promise<void> {
  const { code, stderr } = await runCommand("docker", args, { input, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
}
