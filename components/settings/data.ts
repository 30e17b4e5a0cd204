import { z } from "zod";
import { fault, object, text, yesOrNo } from "./fields.ts";

/** What a stack file says of its data. The components read `restore` and `backupKey` themselves, as a program has no part in it. */
export const dataFields = {
  restore: z
    .record(
      text(
        /^[a-z][a-z0-9-]*$/,
        "is not the name of a database or a volume",
        "give the name that the program has for it",
      ),
      object({
        id: text(/^[a-z0-9]{1,20}$/, "is no id", "give letters and digits, others for another restore").describe(
          "Another one makes another volume.",
        ),
        to: text(
          /^(latest|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00|\d{8}T\d{6}Z_([0-9A-F]{24}|[0-9a-f]{8}))$/,
          "is no moment",
          'give latest, or one like "2026-01-31 12:00:00+00"',
        ).describe('The moment to go back to, like "2026-01-31 12:00:00+00"; latest; or a backup by its name.'),
        serve: yesOrNo()
          .default(false)
          .describe("Whether the restored volume is served. Default false: it is made, and looked at."),
      }),
      fault("is not an object", "give each name with id and to"),
    )
    .optional()
    .describe("What `bulkhead restore` writes: a database or a volume from a backup, in a new volume. Default: none."),
  backupKey: text(/^\S{32,}$/, "is no key", "give the key of the vault: at least 32 characters, without blanks")
    .optional()
    .describe("Secret. The key that backups are encrypted with. Default: a generated one."),
  backupKeyKept: text(/\S/, "says nothing", "say where a copy of the backups' key is kept")
    .optional()
    .describe(
      "Where a copy of the backups' key is kept, outside of the host and of Pulumi. Default: nowhere, says doctor.",
    ),
};
