// `make preview`: what the next `make up` would do, in Pulumi's words and in those of a reviewer. It changes nothing.
import { writeFile } from "node:fs/promises";
import { findDocker } from "../toolchain/docker.ts";
import { say } from "../toolchain/steps.ts";
import { prepareLocalStack } from "./deploy.ts";
import { explainedPreview } from "./preview/explain.ts";
import { isRefused, markdown } from "./preview/report.ts";
import { environmentOf, hostOf, connect, runCommand, stackName } from "./stack/stack.ts";

await runCommand(async () => {
  const name = stackName();
  const host = await hostOf(name, findDocker);
  const away: string[] = [];
  // A reviewer wants to see the rest all the same.
  const engine = await connect(host).catch((error: Error) => {
    if (name === "local") throw error;
    say(error.message);
    away.push(error.message);
    return undefined;
  });
  try {
    const stack = { name, engine, env: await environmentOf(name, host) };
    if (name === "local" && engine) await prepareLocalStack({ ...stack, engine });
    const explained = await explainedPreview(stack, ["--diff"]);
    const report = { ...explained, warnings: [...away, ...explained.warnings] };
    const text = markdown(report);
    const file = process.env["REPORT"];
    if (file) await writeFile(file, text);
    else console.log(`\n${text}`);
    return isRefused(report) || report.notAcknowledged.length > 0 ? 1 : 0;
  } finally {
    engine?.close();
  }
});
