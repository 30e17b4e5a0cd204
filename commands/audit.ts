// `make audit`: whether the host, and what is at Cloudflare, is as the stack promises, field by field. It changes nothing.
import { cloudflareFindings } from "./cloudflare-drift.ts";
import { cloudflareState } from "./cloudflare-state.ts";
import { findings, type Finding } from "./drift.ts";
import { hostState } from "./host-state.ts";
import { openStack, pulumi, runCommand, stackName } from "./stack.ts";
import { promises, type Deployment } from "./promises.ts";
import { table } from "./table.ts";

await runCommand(async () => {
  const stack = await openStack(stackName());
  try {
    const exported = await pulumi(stack, ["stack", "export", "--show-secrets", "--stack", stack.name]);
    const promised = promises((JSON.parse(exported) as { deployment: Deployment }).deployment);
    if (promised.containers.length === 0)
      throw new Error(`${stack.name}: nothing is deployed, so nothing is promised: make up STACK=${stack.name}`);
    const { cloudflare } = promised;
    const found = [
      ...findings(promised, await hostState(stack.engine, promised), `reach-${stack.name}`),
      ...(cloudflare ? cloudflareFindings(cloudflare, await cloudflareState(cloudflare)) : []),
    ];
    const all = cloudflare ? "The host and what is at Cloudflare are" : "The host is";
    report(found, all, process.env["FORMAT"]);
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
