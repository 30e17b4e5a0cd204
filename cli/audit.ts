// `bulkhead audit`: whether the host, and what is at Cloudflare, is as the stack promises, field by field. It changes nothing.
import { examples, exitsWith, jsonFlag, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import type { Finding } from "./audit/finding.ts";
import { readBack } from "./audit/audit.ts";
import { openStack } from "./stack/stack.ts";
import { red } from "./report/colour.ts";
import { table } from "./report/table.ts";

interface Options extends StackOptions {
  json?: boolean;
}

export const audit = stackCommand(
  "audit",
  "compare the host and Cloudflare with what the stack promises; changes nothing",
)
  .addOption(jsonFlag())
  .addHelpText(
    "after",
    examples(
      ["bulkhead audit --stack prod", "a table of what is not as promised, and how to put it right"],
      ["bulkhead audit --stack prod --json", "a list of { resource, field, promised, found, cure }"],
    ),
  )
  .action(exitsWith(compare));

async function compare({ stack: name, json = false }: Options): Promise<number> {
  const stack = await openStack(name);
  try {
    const { found, all, pruned, restarted } = await readBack(stack);
    if (json) console.log(JSON.stringify(found, undefined, 2));
    else {
      report(found, all);
      if (pruned.length > 0) console.log(`Gone, and not missed, as their work is done: ${pruned.sort().join(", ")}`);
      if (restarted.length > 0)
        console.log(`Since they were made:\n  ${restarted.join("\n  ")}\n\`docker logs\` of each says why.`);
    }
    return found.length > 0 ? FAILED : DONE;
  } finally {
    stack.engine.close();
  }
}

function report(found: readonly Finding[], all: string): void {
  if (found.length === 0) return console.log(`${all} as the stack promises.`);
  const rows = found.map(({ resource, field, promised, found }) => [resource, field, promised, red(found)]);
  console.log(table([["RESOURCE", "FIELD", "PROMISED", "FOUND"], ...rows]));
  for (const cure of new Set(found.map(({ cure }) => cure))) {
    const cured = found.filter((each) => each.cure === cure).map(({ resource, field }) => `${resource}: ${field}`);
    console.log(`\n${cure}\n  ${[...new Set(cured)].join("\n  ")}`);
  }
}
