// Whether a PgBouncer on the host is one that has CVE-2026-19888, by the tag of its image.
import type { Publisher } from "../../components/docker-engine/published-ports.ts";
import { isAtLeast } from "../../toolchain/pins.ts";
import { bad, ok, warn, type Finding } from "./finding.ts";

/** @param stack as the label `bulkhead.stack` has it. */
export function pgbouncerVersion(containers: readonly Publisher[], stack: string): Finding {
  const poolers = containers
    .filter(({ Image = "" }) => IS_PGBOUNCER.test(Image))
    .map(({ Names, Image, Labels }) => ({
      name: Names[0]!.replace(/^\//, ""),
      version: /:v?(\d+\.\d+(\.\d+)?)[^/@]*(@|$)/.exec(Image!)?.[1],
      // It does not start with an older one: components/data/pgbouncer-start.sh.
      isChecked: Labels["bulkhead.stack"] === stack && Labels["bulkhead.role"] === "database",
    }));
  if (poolers.length === 0) return ok("none");
  const old = poolers.filter(({ version }) => version !== undefined && !isAtLeast(version, LEAST));
  if (old.length > 0)
    return bad(`${old.map(({ name, version }) => `${name} is ${version}`).join(", ")}, which has CVE-2026-19888`, [
      `Give it an image of ${LEAST} or newer, by digest: dataImages.pgbouncer is one. docs/how-to/pgbouncer.md`,
    ]);
  const hidden = poolers.filter(({ version, isChecked }) => version === undefined && !isChecked);
  if (hidden.length > 0)
    return warn(`the tag of ${hidden.map(({ name }) => name).join(", ")} has no version`, [
      `Before ${LEAST} it has CVE-2026-19888. Look: docker exec ${hidden[0]!.name} pgbouncer --version`,
    ]);
  return ok(poolers.map(({ name, version = `${LEAST} or newer` }) => `${name} is ${version}`).join(", "));
}

const LEAST = "1.26";
const IS_PGBOUNCER = /(^|\/)pgbouncer([:@]|$)/;
