import { z } from "zod";
import { fault, object, text, yesOrNo } from "./fields.ts";

const BASE_BACKUP = /^\d{8}T\d{6}Z_[0-9A-F]{24}$/;

const restoreFields = {
  id: text(/^[a-z0-9]{1,20}$/, "is no id", "give letters and digits, others for another restore").describe(
    "Another one makes another volume.",
  ),
  to: text(
    /^(latest|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00|\d{8}T\d{6}Z_([0-9A-F]{24}|[0-9a-f]{8}))$/,
    "is no moment",
    'give latest, or one like "2026-01-31 12:00:00+00"',
  ).describe('The moment to go back to, like "2026-01-31 12:00:00+00"; latest; or a backup by its name.'),
  from: z
    .literal("copy", { error: "is no place: give copy, or leave it out" })
    .optional()
    .describe("`copy`: from the second place of the vault. Default: from the vault."),
  serve: yesOrNo()
    .default(false)
    .describe("Whether the restored volume is served. Default false: it is made, and looked at."),
};

/** What a stack file says of its data. The components read all but `backupKeyKept` themselves, as a program has no part in it. */
export const dataFields = {
  restore: z
    .record(
      text(
        /^[a-z][a-z0-9-]*$/,
        "is not the name of a database or a volume",
        "give the name that the program has for it",
      ),
      object({
        ...restoreFields,
        before: object(restoreFields)
          .optional()
          .describe("An earlier restore, whose volume serves as long as this one's does not. Default: none."),
      }),
      fault("is not an object", "give each name with id and to"),
    )
    .optional()
    .describe("What `bulkhead restore` writes: a database or a volume from a backup, in a new volume. Default: none."),
  upgrade: z
    .record(
      text(/^[a-z][a-z0-9-]*$/, "is not the name of a database", "give the name that the program has for it"),
      object({
        id: text(/^[a-z0-9]{1,20}$/, "is no id", "give letters and digits").describe(
          "Another one makes another volume.",
        ),
        from: z.literal([15, 16]).describe("The major version until then."),
        to: z.literal([16, 17]).describe("The version that the program has now."),
        image: text(/\S/, "says nothing", "give the image of the old server, by digest").describe(
          "The image of the server until then.",
        ),
        restored: text(/^[a-z0-9]{1,20}$/, "is no id", "give that of the restore")
          .optional()
          .describe("The restore whose volume it is made from. Default: the database's own."),
        serve: yesOrNo()
          .default(false)
          .describe("Whether the server has the new volume. Default false: a trial of it is made."),
      }),
      fault("is not an object", "give each database's name with id, from, to and image"),
    )
    .optional()
    .describe(
      "What `bulkhead upgrade-database db --to 17` writes: a database of another major version. Default: none.",
    ),
  beginsEmpty: z
    .record(
      text(/^[a-z][a-z0-9-]*$/, "is not the name of a database", "give the name that the program has for it"),
      text(BASE_BACKUP, "is no base backup", "give the one that the refusal named, like 20260131T023000Z_00000001…"),
      fault("is not an object", "give each database's name with the newest base backup of the one before"),
    )
    .optional()
    .describe(
      "Of a database that is to begin empty although the vault has backups of another: the newest of those. Default: refused.",
    ),
  backupKey: text(/^\S{32,}$/, "is no key", "give the key of the vault: at least 32 characters, without blanks")
    .optional()
    .describe("Secret. The key that backups are encrypted with. Default: a generated one."),
  backupKeyKept: text(/\S/, "says nothing", "say where a copy of the backups' key is kept")
    .optional()
    .describe(
      "Where a copy of the backups' key is kept, outside of the host and of Pulumi. Default: nowhere, says doctor.",
    ),
};
