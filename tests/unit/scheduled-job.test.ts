import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { parseCron } from "../../components/host/cron.ts";
import { DockerHost } from "../../components/host/docker-host.ts";
import { Networks } from "../../components/host/networks.ts";
import { ScheduledJob, type ScheduledJobArgs } from "../../components/host/scheduled-job.ts";
import { offsetsOf } from "../../components/host/time-zone.ts";
import { container, containers, hex, label, record } from "../../testing/recorder.ts";
import { SHELLS } from "../support/shells.ts";

const IMAGE = `example:1@sha256:${hex("example", 64)}`;

function jobOf(args: Partial<ScheduledJobArgs>) {
  return record(() => {
    const host = new DockerHost("host", { host: "local", jobImage: IMAGE });
    const networks = new Networks("networks", { host });
    new ScheduledJob("report", {
      ...{ host, image: IMAGE, networks: [networks.internal], schedule: "30 2 * * *", command: ["report", "--all"] },
      limits: { memoryMb: 64, cpus: 1, pids: 32 },
      ...args,
    });
  });
}

const upTo = (most: number) => Array.from({ length: most }, (_, index) => index + 1).join();

describe("a scheduled job", () => {
  test("is a hardened container of its release that has until its time-out to end", async () => {
    const recording = await jobOf({ secrets: { API_KEY: "hidden" }, timeoutSeconds: 60 });
    const report = container(recording, "report");
    expect(report.inputs).toMatchObject({
      ...{ user: "1000:1000", readOnly: true, restart: "always", destroyGraceSeconds: 75, ports: [] },
      networksAdvanced: [{ name: "reach-test-internal" }],
    });
    expect(label(report, "bulkhead.role")).toBe("scheduled-job");
    expect(report.inputs.entrypoints).toEqual(["/bin/sh", "-c", expect.any(String), "schedule"]);
    expect(report.inputs.command).toEqual([
      ...["serve", ",30,", ",2,", `,${upTo(31)},`, `,${upTo(12)},`, ",0,1,2,3,4,5,6,"],
      ...["fixed", "0:0", "60", "report", "--all"],
    ]);
    expect(report.inputs.volumes?.map(({ containerPath, readOnly }) => [containerPath, readOnly])).toEqual([
      ["/run/secrets", true],
      ["/run/schedule", false],
    ]);
    expect(
      containers(recording)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...["report", "report-schedule-folder", "report-secrets-courier"]]);
  });

  test.each<[Partial<ScheduledJobArgs>, string]>([
    [
      { schedule: "30 2 * *" },
      'report: schedule: 30 2 * * has 4 fields: give minute, hour, day, month and weekday, like "30 2 * * *"',
    ],
    [
      { schedule: "60 x * 13 1-9" },
      "report: schedule: 60 is no minute: give * or numbers from 0 to 59, like 0,30 or */5\n" +
        "report: schedule: x is no hour: give * or numbers from 0 to 23, like 2 or 8-18\n" +
        "report: schedule: 13 is no month: give * or numbers from 1 to 12, like 1 or jan-mar\n" +
        "report: schedule: 1-9 is no weekday: give * or numbers from 0 to 7, like mon-fri",
    ],
    [{ schedule: "0 0 31 2,4 *" }, "report: schedule: 0 0 31 2,4 * never comes: no such month has a day 31"],
    [
      { schedule: "0 0 * * *", timeZone: "Mars/Olympus", command: [], timeoutSeconds: 0 },
      "report: timeZone: Mars/Olympus is none: give one like Europe/Berlin, or UTC\n" +
        "report: command: is empty: give the program and its arguments\n" +
        "report: timeoutSeconds: 0 is not a whole number from 1 to 86400: give seconds",
    ],
  ])("with %j is refused", async (args, message) => {
    await expect(jobOf(args)).rejects.toThrow(message);
  });
});

test.each<[string, object]>([
  ["*/20 8-18/5 1,15 jan,mar-may mon-fri", { minutes: ",0,20,40,", hours: ",8,13,18,", days: ",1,15,", either: true }],
  ["*/20 8-18/5 1,15 jan,mar-may mon-fri", { months: ",1,3,4,5,", weekdays: ",1,2,3,4,5,", fixed: true }],
  ["5/25 * * * 5-7", { minutes: ",5,30,55,", weekdays: ",0,5,6,", fixed: false, either: false }],
  ["@weekly", { minutes: ",0,", hours: ",0,", weekdays: ",0," }],
])("the cron expression %s", (expression, schedule) => {
  expect(parseCron("schedule", expression)).toMatchObject(schedule);
});

test("a zone's offsets are those of its calendar", () => {
  const berlin = offsetsOf("zone", "Europe/Berlin").split(" ");
  expect(berlin.slice(0, 3)).toEqual([
    "0:3600",
    `${Date.UTC(2025, 2, 30, 1) / 1000}:7200`,
    `${Date.UTC(2025, 9, 26, 1) / 1000}:3600`,
  ]);
  expect(berlin).toHaveLength(41);
  expect(offsetsOf("zone", "Asia/Kolkata")).toBe("0:19800");
});

describe.each(SHELLS)("in %s", { timeout: 20_000 }, (...shell) => {
  /** A folder with the script, and a clock that `sleep` advances. */
  async function scheduler(args: Partial<ScheduledJobArgs>) {
    const directory = mkdtempSync(join(tmpdir(), "bulkhead-schedule-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const [folder, clock] = ["schedule", "clock"].map((name) => join(directory, name)) as [string, string];
    mkdirSync(folder);
    writeFileSync(clock, "1768000000\n");
    const { entrypoints, command } = container(await jobOf(args), "report").inputs;
    const script = (me: string) =>
      entrypoints![2]!
        .replace("folder=/run/schedule", `folder=${folder}`)
        .replaceAll("/dev/shm/bulkhead-schedule", join(directory, `tick-${me}`))
        .replace("read -r me </proc/sys/kernel/hostname", `me=${me}`);
    // Functions, as busybox takes its own `sleep` before one of the path. What waits for a minute makes time pass, and at the
    // end tells the scheduler to end.
    const stubs = `
      date() { case $* in *+%s*) cat ${clock} ;; *) echo now ;; esac; }
      sleep() {
        if [ "$1" = 1 ]; then command /bin/sleep 0.05; return; fi
        read -r clock_now <${clock}; clock_now=$((clock_now + $1)); echo "$clock_now" >${clock}
        read -r clock_end <${clock}.until; [ "$clock_now" -lt "$clock_end" ] || kill -TERM $$
      }\n`;
    const run = async (mode: string, more: { me?: string; command?: string[]; realTime?: boolean } = {}) => {
      const { me = "one" } = more;
      const given = more.command ?? command ?? [];
      const [file, ...before] = shell;
      const child = spawn(
        file,
        [...before, "-c", (more.realTime ? "" : stubs) + script(me), "schedule", mode, ...(given ?? []).slice(1)],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      // Without its clock it would look at it for ever.
      onTestFinished(() => void child.kill("SIGKILL"));
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
      const [code] = (await once(child, "close")) as [number];
      return { code, text };
    };
    return {
      folder,
      /** Serves from one moment to another; gives the runs that began, by their local times. */
      serve: async (from: string, until: string, me?: string) => {
        writeFileSync(clock, `${Date.parse(from) / 1000}\n`);
        writeFileSync(`${clock}.until`, `${Date.parse(until) / 1000}\n`);
        const { text } = await run("serve", { me });
        return { text, runs: [...text.matchAll(/the run of (\S+) begins/g)].map(([, time]) => time) };
      },
      run,
      /** The command in place of the job's own. */
      with: (...words: string[]) => [...(command as string[]).slice(0, -2), ...words],
    };
  }

  const BERLIN = { timeZone: "Europe/Berlin", command: ["echo", "ran"] };

  test("it runs at its time, once, and says so", async () => {
    const { serve, folder } = await scheduler({ ...BERLIN, schedule: "30 2,3 * * *" });
    const { runs, text } = await serve("2026-01-10T01:25:05Z", "2026-01-10T02:35:00Z");
    expect(runs).toEqual(["2026-01-10T02:30", "2026-01-10T03:30"]);
    expect(text).toMatch(/^ran$/m);
    expect(readFileSync(join(folder, "metrics.prom"), "utf8")).toMatch(
      /^bulkhead_job_runs_total 2\n.*failed_runs_total 0\n.*missed_runs_total 0\n/,
    );
    // In the same minute again, as after a restart: what ran is not run again.
    expect((await serve("2026-01-10T02:30:20Z", "2026-01-10T02:31:00Z")).runs).toEqual([]);
  });

  test.each<[string, string, string, string[]]>([
    // 02:30 does not come on that day.
    ["30 2 * * *", "2026-03-29T00:20:00Z", "2026-03-29T01:20:00Z", ["2026-03-29T02:30"]],
    // 02:30 comes twice.
    ["30 2 * * *", "2026-10-25T00:20:00Z", "2026-10-25T02:10:00Z", ["2026-10-25T02:30"]],
    [
      ...["*/30 * * * *", "2026-10-25T00:20:00Z", "2026-10-25T01:40:00Z"],
      ["2026-10-25T02:30", "2026-10-25T02:00", "2026-10-25T02:30"],
    ] as [string, string, string, string[]],
  ])("%s from %s to %s, where summer time begins or ends", async (schedule, from, until, expected) => {
    const { serve } = await scheduler({ ...BERLIN, schedule });
    expect((await serve(from, until)).runs).toEqual(expected);
  });

  test("days, months and weekdays", async () => {
    const { serve } = await scheduler({ ...BERLIN, timeZone: "UTC", schedule: "0 0 29 feb sun" });
    const at = async (day: string) => (await serve(`${day}T00:00:00Z`, `${day}T00:00:30Z`)).runs.length;
    // A leap day, a Sunday in February, and neither.
    expect([await at("2028-02-29"), await at("2028-02-27"), await at("2028-02-28")]).toEqual([1, 1, 0]);
  });

  test("what was missed is told and counted; what is a little late runs", async () => {
    const { serve, run, folder } = await scheduler({ ...BERLIN, timeZone: "UTC", schedule: "0 2 * * *" });
    await serve("2026-01-10T01:00:00Z", "2026-01-10T01:02:00Z");
    const late = await serve("2026-01-10T02:10:00Z", "2026-01-10T02:11:00Z");
    expect(late.runs).toEqual(["2026-01-10T02:00"]);
    const missed = await serve("2026-01-12T05:00:00Z", "2026-01-12T05:01:00Z");
    expect(missed.runs).toEqual([]);
    expect(missed.text).toContain("schedule: missed: 2, the last of them at 2026-01-12T02:00");
    expect(readFileSync(join(folder, "metrics.prom"), "utf8")).toContain("bulkhead_job_missed_runs_total 2\n");
    expect(await run("health")).toMatchObject({ code: 1, text: expect.stringContaining("missed 2") as string });
  });

  test("what the power went from is empty, and keeps nothing from running", async () => {
    const {
      serve,
      run,
      folder,
      with: command,
    } = await scheduler({
      ...{ ...BERLIN, timeZone: "UTC", schedule: "*/5 * * * *" },
    });
    for (const file of ["last", "counts", "newest", "result"]) writeFileSync(join(folder, file), "");
    // Taken, and not yet said by whom.
    mkdirSync(join(folder, "running"));
    // One run: the clock here goes faster than a second run could wait for the first.
    const { runs, text } = await serve("2026-01-10T02:01:00Z", "2026-01-10T02:06:00Z");
    expect(runs).toEqual(["2026-01-10T02:05"]);
    expect(text).not.toMatch(/missed|skipped/);
    expect(readFileSync(join(folder, "metrics.prom"), "utf8")).toMatch(
      /^bulkhead_job_runs_total 1\n.*failed_runs_total 0\n.*missed_runs_total 0\n.*skipped_runs_total 0\n/,
    );
    expect(await run("health")).toMatchObject({ code: 0 });
    // A claim that somebody writes is left alone, however late that comes.
    mkdirSync(join(folder, "running"));
    setTimeout(() => writeFileSync(join(folder, "running/by"), `other ${2 ** 33}\n`), 200);
    expect((await run("now", { realTime: true, command: command("true") })).code).toBe(75);
  });

  test("of two releases the newer one runs it, and the older one when that is gone", async () => {
    const { serve } = await scheduler({ ...BERLIN, timeZone: "UTC", schedule: "*/5 * * * *" });
    expect((await serve("2026-01-10T02:01:00Z", "2026-01-10T02:06:00Z", "new")).runs).toHaveLength(1);
    // As if it had been there all the time: it is told nothing of the other, and looks.
    const old = await serve("2026-01-10T02:05:30Z", "2026-01-10T02:11:00Z", "old");
    expect(old.runs).toEqual(["2026-01-10T02:10"]);
  });

  test("a failed run is not well, of this release alone; the next good one cures it", async () => {
    const { run, serve, with: command } = await scheduler({ command: ["false", "it"] });
    await serve("2026-01-10T01:00:00Z", "2026-01-10T01:01:00Z");
    const failed = await run("now", { command: command("sh", "-c", "echo no; exit 3") });
    expect(failed).toMatchObject({
      code: 3,
      text: expect.stringMatching(/\nno\n.*ended with exit code 3 after/) as string,
    });
    const [own, other] = [await run("health"), await run("health", { me: "two" })];
    expect(own).toMatchObject({ code: 1, text: failed.text.split("\n").at(-2)!.replace("schedule: ", "") + "\n" });
    expect(other.text).toContain("it has not looked at the clock");
    await serve("2026-01-10T01:00:00Z", "2026-01-10T01:01:00Z", "two");
    expect(await run("health", { me: "two" })).toMatchObject({ code: 0, text: own.text });
    await run("now", { command: command("true") });
    const cured = await run("health", { me: "two" });
    expect(cured).toMatchObject({
      code: 0,
      text: expect.stringMatching(/ended with exit code 0 .*\nbefore: /) as string,
    });
    expect(cured.text.split("\n")[1]).toBe(`before: ${own.text.trim()}`);
    // For a week.
    await serve("2026-01-17T01:00:00Z", "2026-01-17T01:01:00Z", "two");
    expect((await run("health", { me: "two" })).text).not.toContain("before");
  });

  test("a run that was cut off is told by when it began", async () => {
    const { run, serve, folder } = await scheduler({ ...BERLIN, schedule: "0 0 1 1 *", timeoutSeconds: 60 });
    mkdirSync(join(folder, "running"));
    writeFileSync(join(folder, "running/by"), `one ${Date.UTC(2026, 0, 10, 1, 30) / 1000 + 60 + 15}\n`);
    const { text } = await serve("2026-01-10T01:40:00Z", "2026-01-10T01:41:00Z");
    const told = "the run that began at 2026-01-10T02:30 was cut off when this container ended";
    expect(text).toContain(`schedule: ${told}\n`);
    expect(await run("health")).toEqual({ code: 1, text: `${told}\n` });
    expect(readFileSync(join(folder, "metrics.prom"), "utf8")).toContain("bulkhead_job_failed_runs_total 1\n");
  });

  test("a run that takes too long is ended with all that it began, also what ignores SIGTERM", async () => {
    const { run, with: command, folder } = await scheduler({ timeoutSeconds: 1, command: ["x", "y"] });
    const stubborn = "trap '' TERM; while :; do sleep 1; done";
    const { code, text } = await run("now", {
      realTime: true,
      command: command("sh", "-c", `sh -c "${stubborn}" & echo "$!" >${folder}/child; trap 'exit 0' TERM; wait`),
    });
    expect({ code, text }).toMatchObject({
      code: 124,
      text: expect.stringMatching(/was ended by its time-out after 1[1-3] s/) as string,
    });
    const stat = `/proc/${readFileSync(join(folder, "child"), "utf8").trim()}/stat`;
    // Gone, or a zombie that nobody has waited for.
    expect(existsSync(stat) ? readFileSync(stat, "utf8") : "gone").toMatch(/^gone$|\) Z /);
  }, 30_000);

  test("while a run goes on, another is skipped and counted, unless they may overlap", async () => {
    for (const [overlap, code] of [
      [false, 75],
      [true, 0],
    ] as const) {
      const { run, with: command, folder } = await scheduler({ overlap, command: ["x", "y"] });
      const long = run("now", { realTime: true, command: command("sleep", "2") });
      await vi.waitFor(() => expect(readdirSync(folder).join()).toContain("running"));
      expect((await run("now", { realTime: true, command: command("true") })).code).toBe(code);
      await long;
      const skipped = readFileSync(join(folder, "metrics.prom"), "utf8");
      expect(/skipped_runs_total (\d)/.exec(skipped)![1]).toBe(overlap ? "0" : "1");
    }
  }, 20_000);
});
