// Who may work on a stack, and what is said to whoever may not: with a `pulumi` that says what the real one says.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ensureAlone,
  holdersIn,
  isPulumi,
  lockHolders,
  release,
  runAlone,
  processStatus,
} from "../../cli/stack/lock.ts";
import { fakePulumi } from "./fake-pulumi.ts";

let directory: string;
let said: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bulkhead-lock-"));
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said += String(text)), true));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

const ELSEWHERE = { username: "deploy", hostname: "ci-7", pid: 4711, timestamp: "2026-02-03T05:05:06.789+01:00" };
const RUN_ELSEWHERE = "The run of deploy@ci-7 (process 4711, since 2026-02-03 04:05:06 UTC)";

/** As pulumi 3.259 wrote it, for a state in a bucket. */
const MESSAGE = `error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with \`pulumi cancel\`.
  s3://bucket/.pulumi/locks/organization/reach/prod/0b5f0a0e-98a8-4b5e-a5f4-8a3c8a5b5a11.json: created by deploy@ci-7 (pid 4711) at 2026-02-03T05:05:06+01:00
`;

describe("a state in files", () => {
  test("what nobody holds is free", async () => {
    await ensureAlone(stackInFiles());
    expect(said).toBe("");
  });

  test("the lock of a run that is gone is released, and only that one", async () => {
    const gone = spawn("true");
    await once(gone, "exit");
    const file = lock({ ...ELSEWHERE, hostname: hostname(), pid: gone.pid! });
    writeFileSync(`${file}.attrs`, "{}");
    await ensureAlone(stackInFiles());
    expect([existsSync(file), existsSync(`${file}.attrs`)]).toEqual([false, false]);
    expect(said).toMatch(/^The run of deploy@\S+ \(process \d+, since .*\) was killed: releasing its lock\n$/);
  });

  test("its number may be another program's by now", async () => {
    const file = lock({ ...ELSEWHERE, hostname: hostname(), pid: process.pid });
    await ensureAlone(stackInFiles());
    expect(existsSync(file)).toBe(false);
  });

  test("a run that is alive keeps it, and who comes second is told", async () => {
    const running = spawn(fakePulumi("while :; do sleep 1; done").path, { stdio: "ignore" });
    try {
      const file = lock({ ...ELSEWHERE, hostname: hostname(), pid: running.pid! });
      await expect(ensureAlone(stackInFiles())).rejects.toThrow(
        /^The run of deploy@\S+ \(process \d+, since 2026-02-03 04:05:06 UTC\) works on the stack prod and is alive\. This run has changed nothing: wait for that one to end, then try again$/,
      );
      expect(existsSync(file)).toBe(true);
    } finally {
      running.kill();
    }
  });

  test("the lock of a run on another machine stays, and so does a dead one beside it", async () => {
    const gone = spawn("true");
    await once(gone, "exit");
    const files = [lock({ ...ELSEWHERE, hostname: hostname(), pid: gone.pid! }), lock(ELSEWHERE)];
    await expect(ensureAlone(stackInFiles())).rejects.toThrow(
      `${RUN_ELSEWHERE} holds the lock of the stack prod. This run has changed nothing. Whether that one is still alive ` +
        "cannot be seen from here: wait for it to end, or if you know that it was killed, `bulkhead unlock --stack prod`",
    );
    expect(files.map((file) => existsSync(file))).toEqual([true, true]);
    const holders = await lockHolders(stackInFiles());
    expect(holders).toHaveLength(2);
    await release(stackInFiles(), holders);
    expect(files.map((file) => existsSync(file))).toEqual([false, false]);
  });

  test("what a killed run has left half written is removed, unless somebody may be writing it", async () => {
    const stacks = join(directory, "state/.pulumi/stacks/reach");
    mkdirSync(stacks, { recursive: true });
    const held = lock(ELSEWHERE);
    const torn = [join(stacks, "prod.json.attrs"), join(stacks, "prod.json.18ab.tmp"), `${held}.18ab.tmp`];
    const whole = [join(stacks, "prod.json"), join(stacks, "other.json.attrs"), join(stacks, "prod.json.bak.attrs")];
    for (const file of [...torn, ...whole]) writeFileSync(file, file.endsWith("bak.attrs") ? "{}" : "");
    await expect(ensureAlone(stackInFiles())).rejects.toThrow(RUN_ELSEWHERE);
    expect([...torn, ...whole].filter((file) => existsSync(file))).toEqual([...torn, ...whole]);
    rmSync(held);
    await ensureAlone(stackInFiles());
    expect([...torn, ...whole].filter((file) => existsSync(file))).toEqual(whole);
  });

  let number = 0;
  function lock(content: typeof ELSEWHERE): string {
    const locks = join(directory, "state/.pulumi/locks/organization/reach/prod");
    mkdirSync(locks, { recursive: true });
    const file = join(locks, `${++number}.json`);
    writeFileSync(file, JSON.stringify(content));
    return file;
  }

  function stackInFiles() {
    return {
      name: "prod",
      env: { PULUMI_BACKEND_URL: `file://${directory}/state?no_tmp_dir=true` },
    };
  }
});

describe("a state elsewhere", () => {
  test("is not asked about locks before a run, and what pulumi recommends when it finds one is not passed on", async () => {
    const stack = stackInBucket(`cat >&2 <<'END'\n${MESSAGE}END\nexit 255`);
    await ensureAlone(stack);
    const refused = runAlone(stack, ["up"]);
    await expect(refused).rejects.toThrow(`${RUN_ELSEWHERE} holds the lock of the stack prod. This run has changed`);
    expect(said).toBe("");
  });

  test("other errors are passed on as they are", async () => {
    const stack = stackInBucket("echo 'error: no such thing' >&2; exit 255");
    expect(await runAlone(stack, ["up"])).toBe(255);
    expect(said).toBe("error: no such thing\n");
  });

  test("tells who holds the lock, by a command that changes nothing", async () => {
    const locked = stackInBucket(`cat >&2 <<'END'\n${MESSAGE}END\nexit 255`);
    expect(await lockHolders(locked)).toEqual(holdersIn(MESSAGE));
    expect(asked()).toEqual(["stack rename prod --stack prod --non-interactive"]);
    const free = stackInBucket("echo 'error: a stack named prod already exists' >&2; exit 255");
    expect(await lockHolders(free)).toEqual([]);
    const unknown = stackInBucket("echo \"error: no stack named 'prod' found\" >&2; exit 255");
    await expect(lockHolders(unknown)).rejects.toThrow(
      "prod: Pulumi has no state of it: `pulumi stack init prod` makes one",
    );
  });

  test("is unlocked by pulumi itself", async () => {
    await release(stackInBucket("true"), holdersIn(MESSAGE));
    expect(asked()).toEqual(["cancel --yes --stack prod --non-interactive"]);
  });

  let asked: () => string[];
  function stackInBucket(script: string) {
    const pulumi = fakePulumi(script);
    asked = pulumi.asked;
    return { name: "prod", env: { PATH: pulumi.PATH, PULUMI_BACKEND_URL: "s3://bucket" } };
  }
});

test("what pulumi says of a lock is understood", () => {
  expect(holdersIn(MESSAGE)).toEqual([
    { user: "deploy", machine: "ci-7", pid: 4711, since: new Date("2026-02-03T04:05:06Z") },
  ]);
  expect(holdersIn("error: update failed")).toEqual([]);
});

test("a run elsewhere is neither alive nor gone", async () => {
  expect(await processStatus({ ...holdersIn(MESSAGE)[0]!, pid: process.pid })).toBe("elsewhere");
});

test("pulumi is told from another program, and from what its parent has not buried yet", () => {
  for (const seen of ["S pulumi", "R .pulumi-wrapped", "Ss+  /usr/local/my bin/pulumi\n"])
    expect(isPulumi(seen)).toBe(true);
  for (const seen of ["Z pulumi", "Z+ pulumi", "S node", ""]) expect(isPulumi(seen), seen).toBe(false);
});
