// What is wrong with a command line: commander says what, and here is added how to fix it.
import type { Command, CommanderError } from "commander";

/** What other tools call our verbs. */
const KNOWN_ELSEWHERE: Record<string, string> = {
  ...{ deploy: "up", apply: "up", start: "up", plan: "preview", diff: "preview", destroy: "down", remove: "down" },
  ...{ ps: "status", ssh: "exec", shell: "exec", history: "releases", new: "init", create: "init" },
};

/** One line: what is wrong, and its cure, unless commander has said that too. */
export function saidOfArguments(error: CommanderError, root: Command, args: readonly string[]): string {
  const said = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
  // The nearest known, or what kind of value an option takes.
  const hasCure = /\(Did you mean .*\?\)$/.test(said) || error.code === "commander.invalidArgument";
  return hasCure ? said : `${said.replace(/\.$/, "")}: ${cureOf(error, verbOf(root, args))}`;
}

function cureOf(error: CommanderError, verb: Command): string {
  const typed = nameOf(verb);
  if (error.code === "commander.conflictingOption") return "give one of them";
  if (error.code !== "commander.unknownCommand") return `\`${typed} --help\` says what it takes`;
  const [, unknown] = /'(.*?)'/.exec(error.message) ?? [];
  const ours = verb.parent === null ? KNOWN_ELSEWHERE[unknown ?? ""] : undefined;
  return ours === undefined ? `\`${typed} --help\` lists all` : `here that is \`${typed} ${ours}\``;
}

/** The one that these arguments name, as far as they name any. */
function verbOf(root: Command, args: readonly string[]): Command {
  const [first, ...rest] = args;
  const verb = root.commands.find((each) => each.name() === first);
  return verb === undefined ? root : verbOf(verb, rest);
}

function nameOf(verb: Command): string {
  return verb.parent === null ? verb.name() : `${nameOf(verb.parent)} ${verb.name()}`;
}
