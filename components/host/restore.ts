import { saidOf } from "./named-data.ts";

/** What `bulkhead restore` writes into the stack file, as `restore.NAME`. */
export interface Restore {
  /** Another one makes another volume. */
  id: string;
  /** "latest", a moment like "2026-01-31 12:00:00+00", or a backup by its name, to its end. */
  to: string;
  /** Whether the restored volume is served. Until then what served before does, and the new one is there to be looked at. */
  serve?: boolean;
  /** "copy": from the second place of the vault. */
  from?: "copy";
  /** An earlier restore, whose volume serves as long as this one's does not. */
  before?: Omit<Restore, "before">;
}

export interface Restores {
  /** The one whose volume serves. */
  served: Restore | undefined;
  /** One that is made, and looked at. */
  tried: Restore | undefined;
}

/**
 * What the stack file says about a database or a volume by this name.
 *
 * @throws Error with all that is wrong with it.
 */
export function restoresOf(name: string, vault: { copy?: object | undefined } | undefined): Restores {
  const restore = saidOf<Restore>("restore", name);
  if (restore === undefined) return { served: undefined, tried: undefined };
  const { before, serve = false } = restore;
  const problems = [
    ...(vault ? [] : [`${name}: has no vault to restore from: give it one, { vault: new Vault(…) }`]),
    ...problemsOf(`restore.${name}`, restore, vault),
    ...(before === undefined || serve ? [] : problemsOf(`restore.${name}.before`, before, vault)),
  ];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return serve
    ? { served: restore, tried: undefined }
    : { served: before && { ...before, serve: true }, tried: restore };
}

function problemsOf(
  at: string,
  { id, to, from, serve }: Restore,
  vault: { copy?: object | undefined } | undefined,
): string[] {
  return [
    ...idProblems(at, id),
    ...(from === undefined || vault === undefined || (from === "copy" && vault.copy)
      ? []
      : [`${at}.from: the vault has no second place: give it one, copy: { … }, or leave it out`]),
    ...serveProblems(at, serve),
    ...(to === "latest" || MOMENT.test(to ?? "") || BACKUP.test(to)
      ? []
      : [`${at}.to: ${to} is no moment: give latest, or one like "2026-01-31 12:00:00+00"`]),
  ];
}

/** Of a restore or of an upgrade, by its key in the stack file. */
export function idProblems(at: string, id: string | undefined): string[] {
  return /^[a-z0-9]{1,20}$/.test(id ?? "") ? [] : [`${at}.id: ${id} is none: give letters and digits`];
}

export function serveProblems(at: string, serve: boolean | undefined): string[] {
  return [true, false, undefined].includes(serve) ? [] : [`${at}.serve: ${serve} is none: give true, or leave it out`];
}

/** As names of backups begin with it: 20260131T120000Z. Anything but a moment is left as it is. */
export function compactMoment(to: string): string {
  return to.replace(MOMENT, "$1$2$3T$4$5$6Z");
}

/** Of a base backup, or of a snapshot. */
const BACKUP = /^\d{8}T\d{6}Z_([0-9A-F]{24}|[0-9a-f]{8})$/;
const MOMENT = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\+00$/;

export const WAS_REPLACED = "a newer volume has taken its place, and it is kept until somebody deletes it";
export const NOT_SERVED_YET = "it was made from the vault, which has it, and serves nobody yet";
