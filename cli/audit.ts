// `make audit`: whether the host, and what is at Cloudflare, is as the stack promises, field by field. It changes nothing.
import type { Finding } from "./audit/drift.ts";
import { readBack } from "./audit/audit.ts";
import { openStack, runCommand, stackName } from "./stack/stack.ts";
import { table } from "./report/table.ts";

await runCommand(async () => {
  const stack = await openStack(stackName());
  try {
    const { found, all, pruned, restarted } = await readBack(stack);
    report(found, all, process.env["FORMAT"]);
    if (process.env["FORMAT"] !== "json") {
      if (pruned.length > 0) console.log(`Gone, and not missed, as their work is done: ${pruned.sort().join(", ")}`);
      if (restarted.length > 0)
        console.log(`Since they were made:\n  ${restarted.join("\n  ")}\n\`docker logs\` of each says why.`);
    }
    return found.length > 0 ? 1 : 0;
  } finally {
    stack.engine.close();
  }
});

function report(found: readonly Finding[], all: string, format: string | undefined): void {
  if (format === "json") return console.log(JSON.stringify(found, undefined, 2));
  if (found.length === 0) return console.log(`${all} as the stack promises.`);
  const rows = found.map(({ resource, field, promised, found }) => [resource, field, promised, found]);
  console.log(table([["RESOURCE", "FIELD", "PROMISED", "FOUND"], ...rows]));
  for (const cure of new Set(found.map(({ cure }) => cure))) {
    const cured = found.filter((each) => each.cure === cure).map(({ resource, field }) => `${resource}: ${field}`);
    console.log(`\n${cure}\n  ${[...new Set(cured)].join("\n  ")}`);
  }
}
