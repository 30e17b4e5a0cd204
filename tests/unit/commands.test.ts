import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { provideLocalCertificate } from "../../cli/stack/local-certificates.ts";
import type { Release } from "../../cli/stack/release.ts";
import { releaseToReturnTo, stackFileOf } from "../../cli/stack/releases.ts";
import {
  atLeastOneFailure,
  closingLine,
  nodeTestCounts,
  runSuites,
  tellCounts,
  unittestCounts,
  vitestCounts,
} from "../../scripts/suites.ts";
import { policyPacks } from "../../cli/stack/stack.ts";
import { projectDirectory } from "./source.ts";
import { table } from "../../cli/report/table.ts";
import { writeIfAbsent, writeAtomically } from "../../cli/stack/atomic-write.ts";

test("a table is as wide as its widest cells", () => {
  expect(
    table([
      ["SERVICE", "URL", "HEALTH"],
      ["backend", "https://localhost:8443/api", "healthy"],
      ["door", "", "starting"],
    ]),
  ).toBe(
    [
      "SERVICE  URL                         HEALTH",
      "backend  https://localhost:8443/api  healthy",
      "door                                 starting",
    ].join("\n"),
  );
});

describe("counting tests", () => {
  const counts = (passed: number, failed = 0, skipped = 0) => ({ passed, failed, skipped });

  test("the closing line", () => {
    expect(closingLine(counts(12))).toBe("12 passed, 0 failed");
    expect(closingLine(counts(12, 1, 3))).toBe("12 passed, 1 failed, 3 skipped");
  });

  test("vitest: a file that cannot be loaded is a failure, and each failure is told again at the end", () => {
    const assertion = (status: string, failureMessages: string[] = []) => ({ status, fullName: "it", failureMessages });
    const testResults = [
      { name: "a", status: "passed", message: "", assertionResults: [assertion("passed"), assertion("passed")] },
      { name: "b", status: "failed", message: "", assertionResults: [assertion("failed", ["not 2", "not 3"])] },
      { name: "c", status: "failed", message: "no such module", assertionResults: [] },
    ];
    const report = { numPassedTests: 2, numFailedTests: 1, numPendingTests: 1, numTodoTests: 1, testResults };
    const failures = ["c\nno such module", "b: it\nnot 2\nnot 3"];
    expect(vitestCounts(report)).toEqual({ ...counts(2, 2, 2), failures });
    const log = vi.spyOn(console, "log").mockReturnValue();
    tellCounts(vitestCounts(report));
    expect(log.mock.calls.flat()).toEqual([
      ...failures.map((each) => `\nFAILED ${each}`),
      "\n2 passed, 2 failed, 2 skipped",
    ]);
    vi.restoreAllMocks();
  });

  test("Python's unittest", () => {
    expect(unittestCounts("...\nRan 67 tests in 22.857s\n\nOK\n")).toEqual(counts(67));
    expect(unittestCounts("Ran 1 test in 0.1s\n\nOK (skipped=1)\n")).toEqual(counts(0, 0, 1));
    expect(unittestCounts("Ran 9 tests in 1s\n\nFAILED (failures=1, errors=2, skipped=1)\n")).toEqual(counts(5, 3, 1));
    expect(unittestCounts("ModuleNotFoundError: No module named 'reach'")).toEqual(counts(0));
  });

  test("Node's test runner", () => {
    const summary = "ℹ tests 40\nℹ suites 0\nℹ pass 36\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 1\n";
    expect(nodeTestCounts(summary)).toEqual(counts(36, 2, 2));
  });

  test("a run that ends with an error and names no test has failed all the same", () => {
    expect(atLeastOneFailure(1, counts(5))).toEqual(counts(5, 1));
    expect(atLeastOneFailure(1, counts(5, 2))).toEqual(counts(5, 2));
    expect(atLeastOneFailure(0, counts(5))).toEqual(counts(5));
  });

  test("suites are summed up to the first with a failure, and one that breaks is a failure", async () => {
    vi.spyOn(console, "log").mockReturnValue();
    vi.spyOn(console, "error").mockReturnValue();
    const suite = (name: string, result: () => ReturnType<typeof counts>) => ({
      name,
      run: () => new Promise<ReturnType<typeof counts>>((resolve) => resolve(result())),
    });
    const good = suite("good", () => counts(3, 0, 1));
    const bad = suite("bad", () => counts(1, 2));
    const broken = suite("broken", () => {
      throw new Error("no engine");
    });
    expect(await runSuites([good, good])).toEqual(counts(6, 0, 2));
    expect(await runSuites([good, bad, good])).toEqual(counts(4, 2, 1));
    expect(await runSuites([broken, good])).toEqual({ ...counts(0, 1), failures: ["broken: no engine"] });
    vi.restoreAllMocks();
  });
});

test("a file is written whole or not at all, and one that may not change only once", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-write-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "file");
  await writeIfAbsent(file, "one", 0o600);
  await writeIfAbsent(file, "two", 0o600);
  expect([readFileSync(file, "utf8"), statSync(file).mode & 0o777]).toEqual(["one", 0o600]);
  // Whoever reads the old one goes on reading it.
  const old = openSync(file, "r");
  await writeAtomically(file, "three");
  expect([readFileSync(old, "utf8"), readFileSync(file, "utf8")]).toEqual(["one", "three"]);
  closeSync(old);
  expect(readdirSync(directory)).toEqual(["file"]);
});

describe("the policy packs", () => {
  const ours = join(projectDirectory, "policy");

  test.each([
    ["the project's own, if none is named", undefined, ours],
    ["those that the user has named, and the project's own", "/a,/b", `/a,/b,${ours}`],
    ["none twice, in a shell of `bulkhead env`", `/a,${ours}`, `/a,${ours}`],
  ])("are %s", (_, given, packs) => {
    expect(policyPacks(given)).toBe(packs);
  });

  test("need what the project has installed", () => {
    const packageOf = (directory: string) =>
      JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as { dependencies: Record<string, string> };
    expect(packageOf(projectDirectory).dependencies).toMatchObject(packageOf(ours).dependencies);
  });
});

describe("the local certificate", () => {
  let directory: string;
  const DAY_MS = 24 * 3600 * 1000;
  const wanted = (domain = "localhost") => ({
    certificate: join(directory, "localhost.pem"),
    privateKey: join(directory, "localhost.key"),
    domain,
  });
  const leaf = () => new X509Certificate(readFileSync(join(directory, "localhost.pem")));
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), "bulkhead-certificates-")), "certificates");
  });
  afterEach(() => {
    vi.useRealTimers();
    rmSync(join(directory, ".."), { recursive: true });
  });

  test("certifies the domain and this machine, by a CA that can certify nothing but leaves", async () => {
    const caFile = await provideLocalCertificate(wanted("reach.test"));
    const ca = new X509Certificate(readFileSync(caFile));
    expect(leaf().subjectAltName).toBe(
      "DNS:reach.test, DNS:*.reach.test, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    );
    expect(leaf().verify(ca.publicKey)).toBe(true);
    expect(leaf().checkIssued(ca)).toBe(true);
    expect([ca.ca, leaf().ca]).toEqual([true, false]);
    expect(leaf().keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  test("keeps its keys from others", async () => {
    await provideLocalCertificate(wanted());
    for (const name of ["ca.key", "localhost.key"]) {
      expect(statSync(join(directory, name)).mode & 0o777, name).toBe(0o600);
    }
  });

  test("is made anew where a run that was killed has written one of two files", async () => {
    const caFile = await provideLocalCertificate(wanted());
    const [ca, key] = [readFileSync(caFile, "utf8"), readFileSync(wanted().privateKey, "utf8")];
    await provideLocalCertificate(wanted("other.test"));
    writeFileSync(wanted().privateKey, key);
    await provideLocalCertificate(wanted("other.test"));
    expect(leaf().checkPrivateKey(createPrivateKey(readFileSync(wanted().privateKey)))).toBe(true);
    expect(readFileSync(caFile, "utf8")).toBe(ca);

    writeFileSync(join(directory, "ca.key"), key);
    await provideLocalCertificate(wanted("other.test"));
    expect(leaf().verify(new X509Certificate(readFileSync(caFile)).publicKey)).toBe(true);
    expect(readFileSync(caFile, "utf8")).not.toBe(ca);
  });

  test("is made once, and anew for another domain or a month before its end, by the same CA", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const caFile = await provideLocalCertificate(wanted());
    const [ca, first] = [readFileSync(caFile, "utf8"), leaf().fingerprint256];
    await provideLocalCertificate(wanted());
    expect(leaf().fingerprint256).toBe(first);

    await provideLocalCertificate(wanted("other.test"));
    const second = leaf().fingerprint256;
    expect(second).not.toBe(first);

    vi.setSystemTime(Date.now() + 366 * DAY_MS);
    await provideLocalCertificate(wanted("other.test"));
    expect(leaf().fingerprint256).toBe(second);
    vi.setSystemTime(Date.now() + 2 * DAY_MS);
    await provideLocalCertificate(wanted("other.test"));
    expect(leaf().fingerprint256).not.toBe(second);
    expect(readFileSync(caFile, "utf8")).toBe(ca);
  });
});

describe("going back to a release", () => {
  const release = (number: number, image: string, settings: Record<string, unknown> = {}): Release => ({
    ...{ number, deployedAt: `2026-11-0${number}T00:00:00Z`, images: { backend: image }, settings },
  });

  test("takes the newest one that is not what runs", () => {
    const known = [release(4, "b"), release(3, "b"), release(2, "a"), release(1, "a")];
    expect(releaseToReturnTo(known).number).toBe(2);
    // Another setting makes another release.
    expect(releaseToReturnTo([release(2, "a", { "reach:domain": "b" }), release(1, "a")]).number).toBe(1);
  });

  test("takes the one that is named", () => {
    expect(releaseToReturnTo([release(3, "c"), release(2, "b"), release(1, "a")], 1).number).toBe(1);
  });

  test.each<[string, Release[], number | undefined, string]>([
    ["none is recorded", [], undefined, "no release is recorded on the host: the first `bulkhead up` records one"],
    ["one is", [release(1, "a")], undefined, "release 1 is the only one that is recorded: there is none to go back to"],
    ["it is unknown", [release(2, "b"), release(1, "a")], 7, "--to: there is no release 7: give one of 2, 1"],
  ])("says so when %s", (_, known, number, message) => {
    expect(() => releaseToReturnTo(known, number)).toThrow(message);
  });

  test("writes its settings and images, and leaves secrets and comments", () => {
    const file = [
      "# Production.",
      "encryptionsalt: v1:salt",
      "config:",
      "  reach:domain: example.com # ours",
      "  reach:backend:",
      "    memoryMb: 512",
      "  reach:frontend:",
      "    memoryMb: 128",
      "  reach:dnsApiToken:",
      "    secure: v1:encrypted",
      "  other:key: 1",
      "",
    ].join("\n");
    const settings = {
      "reach:domain": "example.com",
      "reach:backend": { memoryMb: 256 },
      "reach:images": { node: "node:24@sha256:1", backend: "built:1@sha256:2" },
    };
    expect(stackFileOf(file, release(1, "sha256:3", settings))).toBe(
      [
        "# Production.",
        "encryptionsalt: v1:salt",
        "config:",
        "  reach:domain: example.com # ours",
        "  reach:backend:",
        "    memoryMb: 256",
        "  reach:dnsApiToken:",
        "    secure: v1:encrypted",
        "  other:key: 1",
        "  reach:images:",
        "    node: node:24@sha256:1",
        "    backend: sha256:3",
        "",
      ].join("\n"),
    );
  });
});

test("every end-to-end file has a budget, by which the longest come first", () => {
  const directory = new URL("../e2e/", import.meta.url).pathname;
  const files = readdirSync(directory).filter((file) => file.endsWith(".test.ts"));
  const budgets = JSON.parse(readFileSync(join(directory, "budgets.json"), "utf8")) as object;
  expect(Object.keys(budgets)).toEqual(files.map((file) => file.replace(".test.ts", "")).sort());
});
