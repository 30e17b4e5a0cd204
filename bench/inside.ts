import { provideToolchain } from "../toolchain/pulumi.ts";
import { withTestEngine } from "../tests/support/engine.ts";

/**
 * Runs a measuring program inside a test engine of its own (TEST_ENGINE: another than `bench`), where published ports
 * are on 127.0.0.1 and DOCKER_HOST is set, with pulumi on PATH: `file` is started once more there, and measures.
 */
export async function insideEngine(file: string, measure: () => Promise<void>): Promise<void> {
  const inside = "--inside";
  if (process.argv.includes(inside)) return measure();
  const { env } = await provideToolchain();
  process.exitCode = await withTestEngine(async (engine) => {
    const command = ["--disable-warning=ExperimentalWarning", file, inside, ...process.argv.slice(2)];
    return (await engine.exec(process.execPath, command, { inheritStdio: true, timeoutMs: Infinity, env })).code;
  }, process.env["TEST_ENGINE"] ?? "bench");
}

/** `--quick`: as little as shows that all of it works; its figures say nothing, and no committed file is written. */
export const quick = process.argv.includes("--quick");
