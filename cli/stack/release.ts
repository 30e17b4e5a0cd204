/** What the record of a release says. */
export interface Release {
  number: number;
  /** ISO time of the host. */
  deployedAt: string;
  /** The image of every service that the edge serves. */
  images: Record<string, string>;
  /** The stack file's keys of this project, without those that are or hold a secret. */
  settings: Record<string, unknown>;
  /** Who deployed it, like deploy@ci-7. @default not recorded */
  by?: string;
}
