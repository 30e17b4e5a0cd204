// `bulkhead ci comment`: what `bulkhead preview` has written, as one comment on the pull request: put in the place of the
// one before.
import { readFile } from "node:fs/promises";
import { Option } from "commander";
import { examples, exitsWith, stackCommand, wholeNumber, type StackOptions } from "../command.ts";
import { DONE } from "../exit-codes.ts";
import { comment, repository, thisRun } from "./github.ts";

interface Options extends StackOptions {
  report: string;
  pullRequest: number;
  commit: string;
}

export const pullRequestComment = stackCommand("comment", "put a stack's preview on a pull request, as one comment")
  .addOption(
    new Option("--report <file>", "what `bulkhead preview --report` has written").env("REPORT").makeOptionMandatory(),
  )
  .addOption(
    new Option("--pull-request <number>", "the number of the pull request")
      .env("PULL_REQUEST")
      .argParser(wholeNumber)
      .makeOptionMandatory(),
  )
  .addOption(new Option("--commit <sha>", "the commit that was previewed").env("COMMIT").makeOptionMandatory())
  .addHelpText(
    "after",
    examples([
      "bulkhead ci comment --stack prod --report preview.md --pull-request 7 --commit $SHA",
      "with GITHUB_TOKEN",
    ]),
  )
  .action(exitsWith(put));

async function put({ stack, report, pullRequest, commit }: Options): Promise<number> {
  const written = await readFile(report, "utf8").catch(() => "");
  // What an earlier push was told would else stand there as if it were of this one.
  const text = written.trim() || `The preview of ${stack} came to no end: what it said is in the log.`;
  const about = `${commit.slice(0, 8)}, in ${thisRun()}`;
  const { html_url } = await comment(repository(), pullRequest, `preview of ${stack}`, `${text}\n\n---\n${about}\n`);
  console.log(html_url);
  return DONE;
}
