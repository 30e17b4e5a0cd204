import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { vulnerabilitiesIn, scanReport } from "../../cli/report/vulnerabilities.ts";

/** A program of Trivy's kind, which keeps its arguments and writes a report. */
function fakeTrivy(report: object, script = ""): { path: string; asked: () => string } {
  const directory = mkdtempSync(join(tmpdir(), "bulkhead-fake-trivy-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "trivy");
  writeFileSync(join(directory, "report.json"), JSON.stringify(report));
  writeFileSync(
    path,
    `#!/bin/sh
echo "$*" > '${directory}/asked'
${script}
while [ "$1" != --output ]; do shift; done
cp '${directory}/report.json' "$2"
`,
  );
  chmodSync(path, 0o755);
  return { path, asked: () => readFileSync(join(directory, "asked"), "utf8") };
}
const known = { VulnerabilityID: "CVE-2026-1", PkgName: "openssl", InstalledVersion: "3.0.1", FixedVersion: "3.0.2" };
const image = "traefik:v3@sha256:ab";

test("a scan asks for critical and high vulnerabilities that have a fix, and tells each", async () => {
  const trivy = fakeTrivy({ Results: [{ Vulnerabilities: [{ ...known, Severity: "HIGH" }] }, {}] });
  const found = await vulnerabilitiesIn(trivy.path, image);
  expect(found).toEqual([
    { image, id: "CVE-2026-1", severity: "HIGH", package: "openssl", installed: "3.0.1", fixed: "3.0.2" },
  ]);
  expect(trivy.asked()).toMatch(
    /^image --quiet --scanners vuln --severity CRITICAL,HIGH --ignore-unfixed --format json --output \S+ traefik:v3@sha256:ab\n$/,
  );
  expect(scanReport([image, "haproxy:3"], found)).toBe(`\
## Known vulnerabilities in the images

### ${image}

| vulnerability | severity | package | installed | fixed in |
| --- | --- | --- | --- | --- |
| \`CVE-2026-1\` | \`HIGH\` | \`openssl\` | \`3.0.1\` | \`3.0.2\` |

### haproxy:3

No critical or high vulnerability that has a fix.
`);
});

test("a scan finds nothing in an image without packages, and says why it could not look", async () => {
  expect(await vulnerabilitiesIn(fakeTrivy({}).path, image)).toEqual([]);
  const failing = fakeTrivy({}, "echo 'FATAL no such image' >&2; exit 1").path;
  await expect(vulnerabilitiesIn(failing, image)).rejects.toThrow(/ended with 1\nFATAL no such image$/);
});
