import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { format } from "prettier";
import { localDirectory } from "../cli/stack/program.ts";
import type { RemoteHost } from "../tests/support/remote-host.ts";
import { quick } from "./inside.ts";

/** Where results go: beside this file; those of a quick run, which say nothing, where nothing is committed. */
const directory = quick ? join(localDirectory, "bench") : import.meta.dirname;

const PARTS = ["rollouts", "hop", "growth", "database"] as const;

/** Puts one part of the page of results in place of the one of an earlier run; gives the page's path. */
export async function writePart(part: (typeof PARTS)[number], lines: readonly string[]): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const page = join(directory, "results.md");
  const before = existsSync(page) ? readFileSync(page, "utf8") : EMPTY_PAGE;
  const [begin, end] = [`<!-- ${part} -->`, `<!-- end of ${part} -->`];
  const text = ["", ...lines, ""].join("\n");
  const after = before.slice(0, before.indexOf(begin) + begin.length) + text + before.slice(before.indexOf(end));
  writeFileSync(page, await format(after, { parser: "markdown", printWidth: 120 }));
  return page;
}

export function writePicture(name: string, svg: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), svg);
}

const EMPTY_PAGE = [
  "# Results",
  "",
  "Written by the programs beside this file; [README.md](README.md) says how to run them and how to read this.",
  ...PARTS.flatMap((part) => ["", `<!-- ${part} -->`, "", `<!-- end of ${part} -->`]),
  "",
].join("\n");

/** A table in Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map((_, column) => (column === 0 ? "---" : "---:")), ...rows].map(
    (cells) => `| ${cells.join(" | ")} |`,
  );
}

/** What the figures were measured on. Take it before the measuring, which is a load itself. */
export async function describeMachine({ exec }: Pick<RemoteHost, "exec">): Promise<string> {
  const { stdout } = await exec("docker", ["version", "--format", "{{.Server.Version}}"]);
  const model = cpus()[0]?.model.trim() ?? "unknown";
  const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0]!;
  return (
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} CPUs (${model}), ` +
    `${Math.round(totalmem() / 2 ** 30)} GiB of memory, Linux ${release()}, Docker ${stdout.trim()} on the host; ` +
    `the machine's load before was ${load}. Host, clients and deploying tool share this one machine.`
  );
}
