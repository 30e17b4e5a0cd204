import type { Route } from "./api.ts";

/** From where Cloudflare's edge connects; some of its real ranges. */
const RANGES = {
  ipv4_cidrs: ["173.245.48.0/20", "103.21.244.0/22", "104.16.0.0/13"],
  ipv6_cidrs: ["2400:cb00::/32", "2606:4700::/32"],
  etag: "38f79d050aa027e3be3865e495dcc9bc",
};

export const ipRoutes: Route[] = [{ method: "GET", path: "/ips", handle: () => ({ result: RANGES }) }];
