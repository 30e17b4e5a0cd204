import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** Counts what is executed in containers, which health checks are, by the name that the program gave them. */
export async function watchExecs(): Promise<{ stop: () => Promise<Map<string, number>> }> {
  const counts = new Map<string, number>();
  const format = '{{index .Actor.Attributes "bulkhead.name"}}';
  const events = spawn("docker", ["events", "--filter", "event=exec_create", "--format", format], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(events, "exit");
  let text = "";
  events.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  // Until Docker has it on its list.
  await sleep(500);
  return {
    stop: async () => {
      events.kill();
      await exited;
      for (const name of text.split("\n").filter(Boolean)) counts.set(name, (counts.get(name) ?? 0) + 1);
      return counts;
    },
  };
}
