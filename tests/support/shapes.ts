/** The names of the program tests/programs/shapes. */
export const SHAPES = { main: "main.test", shop: "shop.test", tenants: "tenants.main.test" } as const;

/** Its stack file: two domains, a wildcard and an alias, each with a certificate in files. */
export async function shapesSettings(
  certificate: (name: string) => Promise<{ certificate: string; privateKey: string }>,
): Promise<Record<string, unknown>> {
  const { main, shop, tenants } = SHAPES;
  return {
    host: "local",
    domain: main,
    edge: { address: "127.0.0.1", httpsPort: 8443, keepAliveSeconds: 4, requestsPerSecond: 1000, burst: 2000 },
    certificates: { kind: "files", ...(await certificate(main)) },
    domains: [
      { name: shop, ...(await certificate(shop)), contentSecurityPolicy: "default-src 'self'" },
      { name: `*.${tenants}`, ...(await certificate(tenants)) },
    ],
    aliases: [{ name: `www.${shop}`, to: shop }],
    networks: { subnets: "10.88.0.0/18" },
  };
}
