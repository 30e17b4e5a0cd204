/** How a command ends, for scripts. Everything else that may be looked for is in what it prints. */
export const DONE = 0;
export const FAILED = 1;
/** Deployed, though clients do not reach all of it. */
export const NOT_REACHED = 3;

/** As `bulkhead --help` tells them. */
export const exitCodes: readonly (readonly [code: number, meaning: string])[] = [
  [DONE, "done; of audit, doctor, preview and scan: nothing was found that needs a hand"],
  [
    FAILED,
    "an error, a refusal, or an answer that was not yes; of audit, doctor, preview and scan: something was found that " +
      "needs a hand",
  ],
  [NOT_REACHED, "up, rollback, rotate: deployed, but clients do not reach all of it"],
];
