import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../toolchain/steps.ts";

/** Lets a name lead to an address, for whatever runs inside this test's engine; gives what takes it back. */
export async function nameLeadsTo(name: string, address: string): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-hosts-"));
  const file = join(directory, "hosts");
  writeFileSync(file, `${readFileSync("/etc/hosts", "utf8")}\n${address} ${name}\n`);
  // The engine has mounts of its own, so that this machine's file stays as it is.
  await run("mount", ["--bind", file, "/etc/hosts"]);
  return async () => {
    await run("umount", ["/etc/hosts"]);
    rmSync(directory, { recursive: true });
  };
}
