import { BlockList, isIP } from "node:net";

/**
 * What is wrong with an address or a range of those that get through. Go, and with it the edge, takes 0.0.0.0/00 and
 * ::ffff:0:0/96 for every address of IPv4.
 *
 * @param instead what to leave out where everybody is to get through
 */
export function rangeProblem(range: string, instead: string): string | undefined {
  const [, address = "", bits] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(range) ?? [];
  const family = isIP(address);
  if (family === 0 || Number(bits ?? 0) > (family === 4 ? 32 : 128))
    return `${range} is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24`;
  if (bits === "0") return `${range} is everybody: leave ${instead} out, or name a smaller range`;
  return family === 6 && IPV4_IN_IPV6.check(address, "ipv6")
    ? `${range} is of IPv4, which no client has in this form: give it like 192.0.2.7 or 192.0.2.0/24`
    : undefined;
}

const IPV4_IN_IPV6 = new BlockList();
IPV4_IN_IPV6.addSubnet("::ffff:0:0", 96, "ipv6");
