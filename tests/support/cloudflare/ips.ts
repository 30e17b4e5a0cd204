import type { Route } from "./api.ts";

/** From where Cloudflare's edge connects: some of its real ranges, until a test has others. */
export const someRanges = () => ({
  ipv4_cidrs: ["173.245.48.0/20", "103.21.244.0/22", "104.16.0.0/13"],
  ipv6_cidrs: ["2400:cb00::/32", "2606:4700::/32"],
  etag: "38f79d050aa027e3be3865e495dcc9bc",
});

export function ipRoutes(ranges: ReturnType<typeof someRanges>): Route[] {
  return [{ method: "GET", path: "/ips", handle: () => ({ result: ranges }) }];
}
