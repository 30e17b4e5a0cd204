// `bulkhead ci check-commit`, before a deploy by a workflow: an approval that comes late must not bring an older commit back over a newer one.
import { run } from "../../toolchain/steps.ts";
import { examples, exitsWith, stackCommand, type StackOptions } from "../command.ts";
import { DONE } from "../exit-codes.ts";
import { openStack, pulumi } from "../stack/stack.ts";
import { programDirectory } from "../stack/program.ts";

interface Update {
  kind: string;
  result: string;
  environment: Record<string, string>;
}

export const checkCommit = stackCommand(
  "check-commit",
  "refuse to deploy a commit that is older than the one that runs",
)
  .addHelpText("after", examples(["bulkhead ci check-commit --stack prod", "before: bulkhead up --stack prod"]))
  .action(exitsWith(refuseOlder));

async function refuseOlder({ stack: name }: StackOptions): Promise<number> {
  const stack = await openStack(name);
  stack.engine.close();
  const history = await pulumi(stack, ["stack", "history", "--json", "--page-size", "20", "--stack", stack.name]);
  const updates = JSON.parse(history) as Update[] | null;
  const last = updates?.find(({ kind, result }) => kind === "update" && result === "succeeded");
  const deployed = last?.environment["git.head"];
  const head = (await git("rev-parse", "HEAD")).trim();
  if (deployed === undefined || deployed === head) return DONE;
  // Of a commit that is not in this history, as one that was deployed by hand from a branch, nothing can be said.
  const newer = await git("merge-base", "--is-ancestor", head, deployed).then(
    () => true,
    () => false,
  );
  if (!newer) return DONE;
  throw new Error(
    `${stack.name}: runs ${deployed.slice(0, 8)}, which is newer than this commit, ${head.slice(0, 8)}: nothing is ` +
      "deployed. To go back, revert on main, or run `bulkhead rollback`",
  );
}

function git(...args: string[]): Promise<string> {
  return run("git", args, { cwd: programDirectory });
}
