// What the verbs share: how one is made, what it ends with, and how a variable stands for an option.
import { Command, InvalidArgumentError, Option } from "commander";
import { existingStack } from "./stack/stack.ts";

/** What every verb that is made with stackCommand gets. */
export interface StackOptions {
  stack: string;
}

/**
 * A verb that works on one stack: `bulkhead VERB --stack prod`. The variable STACK does the same for `make` and for
 * workflows. Its action begins only if there is such a stack.
 */
export function stackCommand(verb: string, description: string): Command {
  return new Command(verb)
    .description(description)
    .addOption(new Option("-s, --stack <name>", "the stack to work on").env("STACK").default("local"))
    .hook("preAction", (_, command) => {
      existingStack(givenAs(command, "stack"), command.opts<StackOptions>().stack);
    });
}

/** What a verb does, for Command.action(): the number that it gives is the exit code. */
export function exitsWith<Args extends unknown[]>(work: (...args: Args) => Promise<number>) {
  return async (...args: Args): Promise<void> => {
    process.exitCode = await work(...args);
  };
}

/** The end of a help page: commands as one types them, each with what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  return `\nExamples:\n${lines.map(([command, meaning]) => `  ${command}\n      ${meaning}`).join("\n")}`;
}

/** An option without a value, which a variable gives too if it says one word: `YES=1`, `DATA=delete`. */
export class Flag extends Option {
  readonly variable: string | undefined;
  readonly word: string | undefined;

  /** @param given `VARIABLE=word` */
  constructor(flags: string, description: string, given?: string) {
    super(flags, given === undefined ? description : `${description} (env: ${given})`);
    [this.variable, this.word] = given?.split("=") ?? [];
  }
}

/** `--json`: nothing but JSON is written to stdout. */
export function jsonFlag(): Flag {
  return new Flag("--json", "write JSON for programs to stdout, and nothing else", "FORMAT=json");
}

/** Takes the variables of flags for what was not said on the command line. To be called before the action. */
export function takeFlags(command: Command): void {
  const flags = command.options.filter((option): option is Flag => option instanceof Flag);
  for (const variable of new Set(flags.map((flag) => flag.variable))) {
    const value = variable === undefined ? "" : (process.env[variable] ?? "");
    const ofVariable = flags.filter((flag) => flag.variable === variable);
    const isSaid = ofVariable.some((flag) => command.getOptionValue(flag.attributeName()) !== undefined);
    if (value === "" || isSaid) continue;
    const meant = ofVariable.find(({ word }) => word === value);
    if (meant === undefined)
      throw new Error(`${variable}: is ${value}: give ${ofVariable.map(({ word }) => word).join(" or ")}, or unset it`);
    command.setOptionValueWithSource(meant.attributeName(), true, "env");
  }
}

/** Takes empty variables away: `make` and GitHub Actions set those for which nobody has said anything. */
export function forgetEmptyVariables(command: Command): void {
  for (const { envVar } of command.options)
    if (envVar !== undefined && process.env[envVar] === "") delete process.env[envVar];
  command.commands.forEach(forgetEmptyVariables);
}

/** The variables that a verb reads in place of its options. */
export function variablesOf({ options }: Command): string[] {
  const all = options.map((option) => (option instanceof Flag ? option.variable : option.envVar));
  return [...new Set(all.filter((variable) => variable !== undefined))];
}

/** What an error message calls an option: the variable, if its value came by that, else the option itself. */
export function givenAs(command: Command, name: string): string {
  const option = command.options.find((option) => option.attributeName() === name)!;
  return command.getOptionValueSource(name) === "env" ? option.envVar! : option.long!;
}

/** For an option whose value is a whole number from 1 on. */
export function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("Give a whole number from 1 on.");
  return Number(text);
}
