// Which address PgBouncer is told, as the name of its server comes and goes. With stand-ins of all that the script runs.
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { SHELLS } from "../support/shells.ts";

const LOOKUPS = {
  getent: (answer: string) => `[ -e ${answer} ] && echo "$(cat ${answer}) db"`,
  nslookup: (answer: string) =>
    `printf 'Server:\\t\\t127.0.0.11\\nAddress:\\t127.0.0.11:53\\n\\n'; [ -e ${answer} ] && printf 'Name:\\tdb\\nAddress: %s\\n' "$(cat ${answer})"`,
};

// busybox takes its own nslookup before one of the path.
const pairs = SHELLS.flatMap(([shell]) =>
  (["getent", "nslookup"] as const)
    .filter((by) => shell === "dash" || by === "getent")
    .map((by) => [shell, by] as const),
);

test.each(pairs)("in %s, by %s: a server that comes later, at another address, and goes", async (shell, by) => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-pgbouncer-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const [answer, reloads] = [join(directory, "answer"), join(directory, "reloads")];
  const stub = (name: string, text: string) => {
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(directory, name), 0o755);
  };
  stub("psql", "exit 0");
  stub(by, LOOKUPS[by](answer));
  stub(
    "pgbouncer",
    `case $1 in --version) echo 'PgBouncer 1.26.1'; exit ;; esac
trap 'echo reload >> ${reloads}' HUP
trap exit TERM
while :; do /bin/sleep 0.05; done`,
  );
  writeFileSync(join(directory, "pgbouncer.ini"), "[databases]\napp = host=db port=5432\n");
  const script = readFileSync(join(import.meta.dirname, "../../components/data/pgbouncer-start.sh"), "utf8")
    .replaceAll("/etc/pgbouncer/", `${directory}/`)
    .replaceAll(/\/tmp\/(pgbouncer|end|ask|answer)/g, `${directory}/told-$1`)
    .replaceAll("while sleep 1;", "while /bin/sleep 0.1;")
    // Only the one that is tried, whatever this machine has.
    .replaceAll(`command -v ${by === "getent" ? "nslookup" : "getent"}`, "false")
    .replaceAll("timeout 2 ", "");
  const before = shell === "busybox" ? ["sh"] : [];
  const child = spawn(shell, [...before, "-c", script, "pool", "pool_1", "db"], {
    env: { PATH: `${directory}:${process.env["PATH"]}` },
    stdio: "inherit",
    detached: true,
  });
  onTestFinished(() => void process.kill(-child.pid!, "SIGKILL"));
  const told = () => /host=(\S+) port/.exec(readFileSync(join(directory, "told-pgbouncer.ini"), "utf8"))?.[1];
  const reloaded = () => (existsSync(reloads) ? readFileSync(reloads, "utf8").split("\n").length - 1 : 0);
  const until = (address: string, times: number) =>
    vi.waitFor(() => expect([told(), reloaded()]).toEqual([address, times]), { timeout: 20_000 });

  await until("127.0.0.1", 0);
  writeFileSync(answer, "172.20.0.5");
  await until("172.20.0.5", 1);
  writeFileSync(answer, "172.20.0.9");
  await until("172.20.0.9", 2);
  rmSync(answer);
  await until("127.0.0.1", 3);
});
