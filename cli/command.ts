import { Command, Option } from "commander";

/**
 * A verb that works on one stack: `bulkhead VERB --stack prod`. The variable STACK does the same for `make` and for
 * workflows.
 */
export function stackCommand(verb: string, description: string): Command {
  return new Command(verb)
    .description(description)
    .addOption(new Option("-s, --stack <name>", "the stack to work on").env("STACK").default("local"));
}
