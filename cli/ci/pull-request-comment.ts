// What `make preview` has written, as one comment on the pull request: put in the place of the one before.
import { readFile } from "node:fs/promises";
import { comment, repository, required, thisRun } from "./github.ts";
import { existingStack, runCommand } from "../stack/stack.ts";

await runCommand(async () => {
  const stack = existingStack("STACK", process.env["STACK"] ?? "");
  const pullRequest = Number(required("PULL_REQUEST"));
  if (!Number.isInteger(pullRequest)) throw new Error("PULL_REQUEST: not a number: give that of the pull request");
  const report = await readFile(required("REPORT"), "utf8").catch(() => "");
  // What an earlier push was told would else stand there as if it were of this one.
  const text = report.trim() || `The preview of ${stack} came to no end: what it said is in the log.`;
  const about = `${required("COMMIT").slice(0, 8)}, in ${thisRun()}`;
  const { html_url } = await comment(repository(), pullRequest, `preview of ${stack}`, `${text}\n\n---\n${about}\n`);
  console.log(html_url);
  return 0;
});
