import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../toolchain/steps.ts";
import { cell, markdownTable } from "./markdown.ts";
import { programDirectory } from "../stack/program.ts";

/** A known hole in an image, which a newer version of a package closes. */
export interface Vulnerability {
  image: string;
  /** `CVE-2026-12345`. */
  id: string;
  severity: string;
  package: string;
  installed: string;
  fixed: string;
}

/** What Trivy writes, as far as it is read here. */
interface TrivyReport {
  Results?: {
    Vulnerabilities?: {
      VulnerabilityID: string;
      PkgName: string;
      InstalledVersion: string;
      FixedVersion?: string;
      Severity: string;
    }[];
  }[];
}

/**
 * The critical and high vulnerabilities of an image that have a fix: one without is no reason to stop. A file
 * `.trivyignore` in the project names those that somebody has judged.
 *
 * @param image a reference, which Trivy takes from this machine's Docker if it is there, else from its registry.
 */
export async function vulnerabilitiesIn(
  trivy: string,
  image: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Vulnerability[]> {
  const file = join(tmpdir(), `bulkhead-trivy-${process.pid}.json`);
  const wanted = ["--scanners", "vuln", "--severity", "CRITICAL,HIGH", "--ignore-unfixed"];
  try {
    await run(trivy, ["image", "--quiet", ...wanted, "--format", "json", "--output", file, image], {
      ...{ cwd: programDirectory, env },
    });
    const { Results = [] } = JSON.parse(await readFile(file, "utf8")) as TrivyReport;
    return Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities).map((found) => ({
      image,
      id: found.VulnerabilityID,
      severity: found.Severity,
      package: found.PkgName,
      installed: found.InstalledVersion,
      fixed: found.FixedVersion ?? "",
    }));
  } finally {
    await rm(file, { force: true });
  }
}

/** In Markdown: which images were looked at, and what was found in them. */
export function scanReport(images: readonly string[], found: readonly Vulnerability[]): string {
  const sections = images.map((image) => {
    const rows = found
      .filter(({ image: of }) => of === image)
      .map(({ id, severity, package: name, installed, fixed }) => [id, severity, name, installed, fixed].map(cell));
    if (rows.length === 0) return `### ${image}\n\nNo critical or high vulnerability that has a fix.`;
    return `### ${image}\n\n${markdownTable(["vulnerability", "severity", "package", "installed", "fixed in"], rows)}`;
  });
  return `## Known vulnerabilities in the images\n\n${sections.join("\n\n")}\n`;
}
