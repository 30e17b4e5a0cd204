// `node src/main.js`: reads the settings, serves, and exits 0 after a drain.
import { log } from "./logs.js";
import { startFrontend } from "./server.js";
import { readSettings } from "./settings.js";

try {
  const settings = readSettings(process.env);
  const frontend = await startFrontend(settings);
  log("info", "started", { release: settings.release, port: frontend.port });
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT"])) {
    // Once: a second signal ends the process at once, as it does where nobody handles it.
    process.once(signal, async () => {
      const started = Date.now();
      log("info", "draining", {});
      const cut = await frontend.drain(settings.drainSeconds);
      log(cut ? "warning" : "info", "stopped", { seconds: (Date.now() - started) / 1000, connections_cut: cut });
      process.exit(0);
    });
  }
} catch (error) {
  // Bad settings or a taken port: one clear line is worth more than a stack.
  console.error(`reach-frontend: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
