// `bulkhead doctor`: what the host of a stack is, what is wrong with it, and the cure. It changes nothing there.
import type { Engine } from "../components/docker-engine/client.ts";
import { say } from "../toolchain/steps.ts";
import { examples, exitsWith, jsonFlag, stackCommand, type StackOptions } from "./command.ts";
import { DONE, FAILED } from "./exit-codes.ts";
import type { Finding, Verdict } from "./doctor/finding.ts";
import { checks } from "./doctor/host-checks.ts";
import { gatherFacts, type StackFacts } from "./doctor/host-facts.ts";
import { isDeployed, lookFromOutside } from "./doctor/outside.ts";
import { complaints, type Seen } from "./doctor/outside-verdict.ts";
import { servicesIn, type Services } from "./doctor/published.ts";
import { committedFile, environmentOf, readStackFile, type Host } from "./stack/stack.ts";
import { readState } from "./stack/state-files.ts";
import { withDocker } from "./stack/with-docker.ts";
import { green, red, yellow } from "./report/colour.ts";
import { table } from "./report/table.ts";
import { platformKeys } from "./stack/platform-keys.ts";
import { configKey, stackLabel } from "./stack/program.ts";
import { programSettings } from "./stack/program-settings.ts";
import { platform } from "../components/settings/platform.ts";

interface Options extends StackOptions {
  json?: boolean;
}

export const doctor = stackCommand(
  "doctor",
  "tell what a stack's host is, what is wrong with it, and the cure; changes nothing",
)
  .addOption(jsonFlag())
  .addHelpText(
    "after",
    examples(
      ["bulkhead doctor", "this machine"],
      ["bulkhead doctor --stack prod", "the host of prod, and what clients get of it"],
      ["bulkhead doctor --stack prod --json", "{ checks: [...], outside: [...] }"],
    ),
  )
  .action(exitsWith(examine));

function examine({ stack: name, json = false }: Options): Promise<number> {
  const look = async (engine: Engine, host: Host): Promise<number> => {
    const facts = await gatherFacts(engine, await stackFacts(name));
    const findings = Object.entries(checks).map(([check, judge]) => ({ check, ...judge(facts) }));
    // Before the look from outside, which takes its time.
    if (!json) showFindings(findings);
    const seen = await seenOf(engine, name, host);
    if (json) console.log(JSON.stringify({ checks: findings, outside: seen }, undefined, 2));
    else showSeen(seen);
    return findings.some(({ verdict }) => verdict === "bad") || seen.some(({ ok }) => !ok) ? FAILED : DONE;
  };
  // Not by a connection that is there from before: the way in is part of what is asked.
  return withDocker(name, look, false);
}

function showFindings(findings: readonly ({ check: string } & Finding)[]): void {
  const rows = findings.map(({ check, found, verdict }) => [check, found, COLOURS[verdict](verdict)]);
  console.log(table([["CHECK", "FOUND", "VERDICT"], ...rows]));
  for (const { check, verdict, cure } of findings)
    if (cure.length > 0) console.log(`\n${check} (${verdict})\n${cure.map((line) => `  ${line}`).join("\n")}`);
}

function showSeen(seen: readonly Seen[]): void {
  const rows = seen.map(({ resource, asked, found, ok }) => [resource, asked, ok ? found : red(found)]);
  if (rows.length > 0) console.log(`\n${table([["FROM OUTSIDE", "ASKED", "FOUND"], ...rows])}`);
  for (const complaint of complaints(seen)) console.log(`\n${complaint}`);
}

const COLOURS: Record<Verdict, (text: string) => string> = { ok: green, warn: yellow, bad: red, unknown: yellow };

/** On a host that has nothing of the stack, nothing is asked of its state, which may not be there. */
async function seenOf(engine: Engine, name: string, host: Host): Promise<Seen[]> {
  if (!(await isDeployed(engine, name))) return [];
  return lookFromOutside(engine, name, await servicesOf(name, host));
}

/** None where the state cannot be read from here: the host and its ports are looked at all the same. */
async function servicesOf(name: string, host: Host): Promise<Services> {
  try {
    const { deployment } = await readState({ name, env: await environmentOf(name, host) });
    return servicesIn(deployment.resources);
  } catch (error) {
    say(`\nNo service was asked from outside, as the stack's state cannot be read: ${(error as Error).message}`);
    return servicesIn();
  }
}

async function stackFacts(name: string): Promise<StackFacts> {
  const { config = {} } = await readStackFile(committedFile(name));
  const keys = ["domain", "domains", "aliases", "edge", "cloudflare", "backupKeyKept"] as const;
  const { domain, domains = [], aliases = [], edge, cloudflare, backupKeyKept } = await platformKeys(config, keys);
  const listens = cloudflare?.tunnel || edge === undefined ? {} : { edge };
  const further = [...domains, ...aliases].map((own) => own.name);
  const memoryMb = await servicesMemoryMb(config);
  return {
    label: stackLabel(name),
    ...(domain !== undefined && { domain }),
    further,
    ...listens,
    memoryMb,
    backupKeyKept,
  };
}

/** What the services of the program may take together, by its own settings. */
async function servicesMemoryMb(config: Record<string, unknown>): Promise<number> {
  const { shape } = await programSettings();
  const own = Object.entries(shape).filter(([key]) => !(key in platform));
  const limits = own.map(([key, schema]) => {
    const { data } = schema.safeParse(config[configKey(key)]);
    return (data as { memoryMb?: unknown } | undefined)?.memoryMb;
  });
  return limits.reduce<number>((sum, memoryMb) => sum + (typeof memoryMb === "number" ? memoryMb : 0), 0);
}
