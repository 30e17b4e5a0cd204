// How somebody agrees to an update beforehand, where nobody is to be asked.
import { Option, type Command } from "commander";
import { Flag } from "./command.ts";
import { acknowledgementOf } from "./preview/data.ts";

export interface Agreement extends Acceptance {
  yes?: boolean;
  /** Whether words for a loss are asked for all the same. @default not where `yes` says that nobody is to be asked */
  asksForLoss?: boolean;
}

export interface Acceptance {
  /** Names of what may be lost. */
  acceptDataLoss?: readonly string[];
  /** A text, such as a pull request's description, of which a line may be the words for a loss. */
  acknowledged?: string;
}

/** Adds the options of an Acceptance, and `--yes`. */
export function withAgreement(command: Command): Command {
  return withAcceptance(command.addOption(yesFlag("do not ask before the update")));
}

/** Adds the options of an Acceptance. */
export function withAcceptance(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--accept-data-loss <name...>",
        'the named data may be lost (env: ACKNOWLEDGED, with a line "I accept the loss of NAME" for each)',
      ),
    )
    .addOption(new Option("--acknowledged <text>").env("ACKNOWLEDGED").hideHelp());
}

export function yesFlag(description: string): Flag {
  return new Flag("-y, --yes", description, "YES=1");
}

/** All that was accepted, a line for each. */
export function acceptedIn({ acceptDataLoss = [], acknowledged = "" }: Acceptance): string {
  return [...acceptDataLoss.map((name) => acknowledgementOf({ name })), acknowledged].join("\n");
}
