import type { CommandResult } from "../../tests/support/command.ts";

/** A way to deploy, at work on the remote host. */
export interface Contender {
  name: string;
  /** What exactly is run, for the page of results. */
  what: string;
  /** Where its clients ask, on the host's address. */
  port: number;
  /** PEM of the authority that its certificate is from. */
  ca: string;
  /** Puts another release in place of the one that serves, as its users do, over ssh. */
  deploy: (image: string) => Promise<CommandResult>;
  stop: () => Promise<void>;
}

/** What all of them get alike. */
export const common = {
  domain: "reach.test",
  /** Seconds that a release gets to end what it still does. */
  drainSeconds: 5,
};
