// `bulkhead ci drift-issue`: what on a stack's host, and at its providers, is not as it was deployed, as one issue: opened,
// kept up to date while it lasts, and closed when all is well again.
import { examples, exitsWith, stackCommand, type StackOptions } from "../command.ts";
import { DONE } from "../exit-codes.ts";
import { driftReport, refreshChanges } from "../report/drift-report.ts";
import { issue, repository, thisRun } from "./github.ts";
import { lockHolders } from "../stack/lock.ts";
import { readBack } from "../audit/audit.ts";
import { openStack, pulumi } from "../stack/stack.ts";

export const driftIssue = stackCommand(
  "drift-issue",
  "keep one issue on GitHub for as long as a stack is not as it was deployed",
)
  .addHelpText("after", examples(["bulkhead ci drift-issue --stack prod", "in a workflow, with GITHUB_TOKEN"]))
  .action(exitsWith(tellDrift));

async function tellDrift({ stack: name }: StackOptions): Promise<number> {
  const stack = await openStack(name);
  try {
    const { found } = await readBack(stack);
    const refresh = ["refresh", "--preview-only", "--json", "--stack", stack.name];
    const text = driftReport(stack.name, found, refreshChanges(await pulumi(stack, refresh)));
    // In the middle of a deploy nothing is as it was, nor as it will be.
    if (text !== undefined && (await lockHolders(stack)).length > 0)
      throw new Error(`${stack.name}: another run works on it: look again when that has ended`);
    console.log(text ?? `All is as the stack ${stack.name} promises.`);
    const told = await issue(
      repository(),
      `drift of ${stack.name}`,
      text === undefined
        ? { closingComment: `All is as the stack promises again: ${thisRun()}.` }
        : { title: `${stack.name} is not as it was deployed`, text: `${text}\n\n---\nAs seen by ${thisRun()}.\n` },
    );
    if (told) console.log(`\n${told.issue.html_url}: ${told.what}`);
    return DONE;
  } finally {
    stack.engine.close();
  }
}
