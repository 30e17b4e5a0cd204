import { z } from "zod";

/** Says what is wrong with a value and how to fix it; what is wrong never shows a secret (see parse.ts). */
export function fault(wrong: string, cure: string): { error: (issue: { input?: unknown }) => string } {
  return { error: ({ input }) => (input === undefined ? `missing: ${cure}` : `${SHOWN_VALUE} ${wrong}: ${cure}`) };
}

/** Stands for the value in a message until it is known whether it may be shown. */
export const SHOWN_VALUE = "\u0000value\u0000";

/** A whole number in bounds. @param cure what to give, as an imperative: "give the seconds that …". */
export const wholeNumber = (least: number, most: number, cure: string) => {
  const message = fault(`is not a whole number from ${least} to ${most}`, cure);
  return z.int(message).min(least, message).max(most, message);
};

/** Text of a pattern. */
export const text = (pattern: RegExp, wrong: string, cure: string) => {
  const message = fault(wrong, cure);
  return z.string(message).regex(pattern, message);
};

export const port = (what: string) => wholeNumber(1, 65535, `give the port of the host on which ${what}`);

export const yesOrNo = () => z.boolean(fault("is not a boolean", "give true or false"));

export const HOSTNAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** An object with these keys and no other. */
export function object<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape);
  const list = keys.length > 1 ? `${keys.slice(0, -1).join(", ")} or ${keys.at(-1)}` : keys.join();
  return z.strictObject(shape, fault("is not an object", `give an object with ${list}`));
}

const DIGEST_REFERENCE = /^[a-z0-9][a-z0-9._\-/:]*:[\w][\w.-]{0,127}@sha256:[0-9a-f]{64}$/;
/** An image built on this machine because no registry could be reached; its tag is the key of its recipe. */
export const STAND_IN = /^bulkhead\.local\/[a-z]+:[0-9a-f]{16}$/;

/** As a pattern and not as a function, so that editors check it too. */
const PINNED = new RegExp(`${DIGEST_REFERENCE.source}|${STAND_IN.source}`);
/** The id of an image that was built on the host: what a rollback goes back to. */
const PINNED_OR_BUILT = new RegExp(`${PINNED.source}|^sha256:[0-9a-f]{64}$`);

/** An image by tag and digest. @param built whether it may be one that was built on the host, by its id. */
export const imageReference = (built = false) =>
  z
    .string(fault("is not an image", "give name:tag@sha256:<64 hex digits>"))
    .regex(
      built ? PINNED_OR_BUILT : PINNED,
      fault("is not pinned", "give name:tag@sha256:<64 hex digits>; `make pin` finds the digest of a tag"),
    )
    .describe("An image, by tag and digest.")
    .optional();

/** Who the stack is at private registries, by their addresses. */
export const registriesField = () =>
  z
    .record(
      text(
        /^[a-z0-9][a-z0-9.-]*(:\d{1,5})?$/,
        "is not a registry's address",
        'give one like "ghcr.io", or "docker.io" for Docker Hub',
      ),
      object({
        user: text(/^[^:\s]+$/, "is not a user", "give the user that may pull").describe("The user that may pull."),
        token: text(/^\S+$/, "is not a token", "give a token or password that may pull, and nothing else").describe(
          "Its token or password.",
        ),
      }),
      fault("is not an object", "give each registry's address with user and token"),
    )
    .optional()
    .describe("Secret. Who the stack is at private registries, by their addresses. Default: docker's login here.");

export const largestBody = () => wholeNumber(1, 1048576, "give the largest request body in MiB");

/** What a program says of one of its services where a stack file says nothing. */
export interface ServiceDefaults {
  /** Memory limit in MiB, with no swap beyond it. */
  memoryMb: number;
  /** What it keeps of that when the host is short of memory, in MiB. @default nothing */
  memoryReservationMb?: number;
  /** CPU limit in cores. */
  cpus: number;
  /** The most processes and threads. */
  pids: number;
  /** @default 30 */
  drainSeconds?: number;
}

/** The limits of a service, which a stack file can change. */
export const serviceSettings = ({ drainSeconds = 30, ...defaults }: ServiceDefaults) =>
  object({
    ...limits(defaults),
    drainSeconds: wholeNumber(0, 3600, "give the seconds that requests and streams get to end in a rollout")
      .default(drainSeconds)
      .describe(`Seconds that requests and streams get to end when a release is replaced. Default ${drainSeconds}.`),
    maxBodyMb: largestBody().optional().describe("The largest request body in MiB. Default: the edge's maxBodyMb."),
    responseTimeoutSeconds: wholeNumber(1, 3600, "give the seconds that the first byte of an answer may take")
      .default(60)
      .describe("Seconds that the first byte of an answer may take. Default 60."),
    healthTimeoutSeconds: wholeNumber(1, 10, "give the seconds that the health path of a new release may take")
      .default(5)
      .describe("Seconds that the health path may take when a release is tried. Default 5, at most 10."),
    reviveAfterHangs: wholeNumber(0, 1000, "give the health checks without an answer after which it is ended, 0: never")
      .optional()
      .describe("Health checks in a row without an answer after which it is started again. Default 10; 0: never."),
  }).prefault({});

const reservation = (least: number | undefined) => {
  const field = wholeNumber(6, 1048576, "give the MiB that it keeps when the host is short of memory");
  return least === undefined ? field.optional() : field.default(least);
};

const limits = ({ memoryMb, memoryReservationMb, cpus, pids }: Omit<ServiceDefaults, "drainSeconds">) => ({
  memoryMb: wholeNumber(16, 1048576, "give the memory limit in MiB; there is no swap beyond it")
    .default(memoryMb)
    .describe(`Memory limit in MiB, with no swap beyond it. Default ${memoryMb}.`),
  memoryReservationMb: reservation(memoryReservationMb).describe(
    `What it keeps of that when the host is short of memory, in MiB. Default ${memoryReservationMb ?? "nothing"}.`,
  ),
  cpus: z
    .number(fault("is not a number of CPUs", "give a number from 0.05 to 256"))
    .min(0.05, fault("is too little", "give a number from 0.05 to 256"))
    .max(256, fault("is too much", "give a number from 0.05 to 256"))
    .default(cpus)
    .describe(`CPU limit in cores. Default ${cpus}.`),
  pids: wholeNumber(8, 32768, "give the most processes and threads that the service may have")
    .default(pids)
    .describe(`The most processes and threads. Default ${pids}.`),
});
