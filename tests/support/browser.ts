import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { findProgram, run } from "../../toolchain/steps.ts";
import { requirePrograms } from "../../toolchain/debian.ts";

export interface Browser {
  page: Page;
  stop: () => Promise<void>;
}

export interface BrowserOptions {
  /** PEM of the authorities to trust. */
  ca?: string;
  /** Addresses of names that no name server knows. */
  hosts?: Record<string, string>;
}

/**
 * Chromium without a window, in a home of its own that trusts a certificate authority or two more than usual: certificates
 * are really checked, as a user's browser checks them.
 */
export async function startBrowser(options: BrowserOptions = {}): Promise<Browser> {
  await requirePrograms("a browser for the tests", { chromium: "chromium", certutil: "libnss3-tools" });
  const home = mkdtempSync(join(tmpdir(), "bulkhead-browser-"));
  const remove = () => rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  const hosts = Object.entries(options.hosts ?? {}).map(([name, address]) => `MAP ${name} ${address}`);
  const rules = hosts.length > 0 ? [`--host-resolver-rules=${hosts.join(", ")}`] : [];
  try {
    if (options.ca) await trust(home, options.ca);
    const context = await chromium.launchPersistentContext(join(home, "profile"), {
      executablePath: findProgram("chromium"),
      // Its settings come from this home alone; nothing of the test's environment is its business.
      env: { HOME: home, PATH: process.env["PATH"]!, LANG: "C.UTF-8" },
      viewport: { width: 1280, height: 800 },
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        ...rules,
      ],
    });
    return {
      page: context.pages()[0] ?? (await context.newPage()),
      stop: async () => {
        await context.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Chromium on Linux takes authorities from the NSS database in the user's home; the place changed between versions. */
async function trust(home: string, ca: string): Promise<void> {
  const authorities = ca.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? [];
  for (const directory of [".pki/nssdb", ".local/share/pki/nssdb"]) {
    const database = join(home, directory);
    mkdirSync(database, { recursive: true });
    await run("certutil", ["-N", "-d", `sql:${database}`, "--empty-password"]);
    for (const [index, authority] of authorities.entries()) {
      const file = join(home, "ca.pem");
      writeFileSync(file, authority);
      await run("certutil", ["-A", "-d", `sql:${database}`, "-t", "C,,", "-n", `test CA ${index}`, "-i", file]);
    }
  }
}
