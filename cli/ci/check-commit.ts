// Before a deploy by a workflow: an approval that comes late must not bring an older commit back over a newer one.
import { run } from "../../toolchain/steps.ts";
import { openStack, pulumi, runCommand, stackName } from "../stack/stack.ts";
import { programDirectory } from "../stack/program.ts";

interface Update {
  kind: string;
  result: string;
  environment: Record<string, string>;
}

await runCommand(async () => {
  const stack = await openStack(stackName());
  stack.engine.close();
  const history = await pulumi(stack, ["stack", "history", "--json", "--page-size", "20", "--stack", stack.name]);
  const updates = JSON.parse(history) as Update[] | null;
  const last = updates?.find(({ kind, result }) => kind === "update" && result === "succeeded");
  const deployed = last?.environment["git.head"];
  const head = (await git("rev-parse", "HEAD")).trim();
  if (deployed === undefined || deployed === head) return 0;
  // Of a commit that is not in this history, as one that was deployed by hand from a branch, nothing can be said.
  const newer = await git("merge-base", "--is-ancestor", head, deployed).then(
    () => true,
    () => false,
  );
  if (!newer) return 0;
  throw new Error(
    `${stack.name}: runs ${deployed.slice(0, 8)}, which is newer than this commit, ${head.slice(0, 8)}: nothing is ` +
      "deployed. To go back, revert on main, or run `make rollback`",
  );
});

function git(...args: string[]): Promise<string> {
  return run("git", args, { cwd: programDirectory });
}
