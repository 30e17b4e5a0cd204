// What a stack keeps: its volumes, and whether what backs them up can be believed.
import { bad, ok, unknown, warn, type Finding } from "./finding.ts";
import type { HostFacts } from "./host-facts.ts";
import { pgbouncerVersion } from "./pgbouncer-version.ts";

export const dataChecks: Record<string, (facts: HostFacts) => Finding> = {
  data: ({ data, shell }) => {
    if (data === undefined) return unknown("what its volumes hold takes Docker too long to tell");
    if (data.length === 0) return ok("no volume of the program");
    const found = data.map(({ name, usedMb, maxMb }) => `${name} has ${Math.round(usedMb)} of ${maxMb} MiB`).join(", ");
    const cure = [
      "Nothing stops a volume at its maxMb, as Docker has no quota for it; a full disk stops everything. Delete what is no",
      "more needed, or give it more: maxMb of the DataVolume in the program, and a disk with room for it.",
    ];
    if (data.some(({ usedMb, maxMb }) => usedMb > maxMb)) return bad(found, cure);
    const growMb = data.reduce((sum, { usedMb, maxMb }) => sum + Math.max(0, maxMb - usedMb), 0);
    const freeMb = (shell?.disk?.free ?? Infinity) / 1024;
    if (growMb > freeMb)
      return warn(`${found}; they may grow by ${Math.round(growMb)} MiB, and ${Math.round(freeMb)} are free`, cure);
    return data.some(({ usedMb, maxMb }) => usedMb > 0.8 * maxMb) ? warn(found, cure) : ok(found);
  },

  "backup key": ({ containers, stack: { label, backupKeyKept } }) => {
    const isBackedUp = containers.some(
      ({ Labels }) => Labels["bulkhead.stack"] === label && Labels["bulkhead.backup"] !== undefined,
    );
    if (!isBackedUp) return ok("the stack has no backups");
    if (backupKeyKept !== undefined) return ok(`kept: ${backupKeyKept}`);
    return warn("nobody has said where a copy of it is kept", [
      "If this host and Pulumi's state are lost, nobody can read the backups without the key.",
      "  bulkhead backup-key                          # shows it, at a terminal alone",
      '  bulkhead backup-key --kept "our safe, 2026"  # says where it is kept',
    ]);
  },

  pgbouncer: ({ containers, stack: { label } }) => pgbouncerVersion(containers, label),

  "backup lock": ({ vaults = [] }) => {
    if (vaults.length === 0) return ok("the stack has no backups");
    const found = vaults
      .map((each) => {
        if (each.mode === "unknown") return `${each.bucket}: ${each.why}`;
        return each.mode === "none" ? `${each.bucket} has none` : `${each.bucket}: ${each.mode}, ${each.days} days`;
      })
      .join("; ");
    // One place that nobody can empty is enough to come back from.
    if (vaults.some(({ mode }) => mode === "COMPLIANCE")) return ok(found);
    if (vaults.every(({ mode }) => mode === "unknown")) return unknown(found);
    return warn(found, [
      "Whoever takes the host has the storage's credentials, and deletes the backups with it. Make the bucket with S3's",
      "object lock and a default retention in the mode COMPLIANCE: GOVERNANCE is ended by a key that may bypass it.",
      "With R2: `lockDays` of the ObjectStorage. See docs/how-to/backup-copy.md.",
    ]);
  },
};
