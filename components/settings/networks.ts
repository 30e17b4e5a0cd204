import { object, text, wholeNumber } from "./fields.ts";

/** Private IPv4 addresses, with room for 32 networks at least. */
const BYTE = String.raw`(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const RANGE = new RegExp(
  String.raw`^(10(\.${BYTE}){3}/(8|9|1\d|20)|172\.(1[6-9]|2\d|3[01])(\.${BYTE}){2}/(1[2-9]|20)|192\.168(\.${BYTE}){2}/(1[6-9]|20))$`,
);

export const networksField = object({
  mtu: wholeNumber(576, 9216, "give the MTU of the host's way out, which `bulkhead doctor` tells")
    .optional()
    .describe("The largest packet in the stack's networks. Default: Docker's, which is 1500."),
  subnets: text(RANGE, "is not a range of private IPv4 addresses of /20 or larger", "give one like 10.89.0.0/16")
    .optional()
    .describe("The range that the stack's networks get their addresses from. Default: Docker's address pools."),
})
  .optional()
  .describe("How the stack's networks are made. Another value makes them anew.");
