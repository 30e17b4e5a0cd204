import { z } from "zod";
import { rangeProblem } from "../edge/address-range.ts";
import { fault, object, wholeNumber, yesOrNo } from "./fields.ts";

/** The answer 503 for all clients but some, by one key of a stack file. */
export const maintenanceField = z
  .union(
    [
      yesOrNo(),
      object({
        allowFrom: z
          .array(
            z.union(
              [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()],
              fault("is no address and no range", "give one like 192.0.2.7 or 192.0.2.0/24"),
            ),
            fault("is not a list", "give addresses and ranges of those that get through"),
          )
          .optional()
          .describe("Addresses and ranges of clients that get through. Default: none."),
        retryAfterSeconds: wholeNumber(1, 86400, "give the seconds after which clients may ask again")
          .optional()
          .describe("Seconds after which clients may ask again, as Retry-After. Default 300."),
      }),
    ],
    fault("is no maintenance", "give true, or an object with allowFrom or retryAfterSeconds"),
  )
  .optional()
  .describe("Whether clients get 503 and a page instead of the services: true, or who gets through. Default: false.");

export interface Maintenance {
  /** @default nobody */
  allowFrom?: readonly string[] | undefined;
  /** @default 300 */
  retryAfterSeconds?: number | undefined;
}

/** @returns undefined where there is none. */
export function maintenanceOf(given: boolean | Maintenance | undefined): Maintenance | undefined {
  return given === true ? {} : given === false ? undefined : given;
}

/** A list that lets everybody through. */
export function maintenanceProblems(given: boolean | Maintenance | undefined): string[] {
  const { allowFrom = [] } = maintenanceOf(given) ?? {};
  return allowFrom.flatMap((range, index) => {
    const problem = rangeProblem(range, "maintenance");
    return problem === undefined ? [] : [`maintenance.allowFrom.${index}: ${problem}`];
  });
}
