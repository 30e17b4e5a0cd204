import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { lockHolders, processStatus, type Holder } from "../stack/lock.ts";
import { localDirectory } from "../stack/program.ts";
import { environmentOf, type Host, type Stack } from "../stack/stack.ts";
import { exportState, stateDirectory, stateInFile, type State } from "../stack/state-files.ts";

/** A run that holds the lock, and what of it is seen from here. */
export type StateHolder = Holder & { where: string };

export interface SeenState {
  /** Undefined of a stack that has none yet. */
  state?: State;
  holders: readonly StateHolder[];
  /** Why neither is known. */
  problem?: string;
}

/** What is kept from one look to the next. */
export interface StateMemory {
  state?: { at: number; seen: Promise<SeenState> };
}

/**
 * The state of a stack, and who holds its lock. From its files if it is in files: that is read at every look. From
 * anywhere else by Pulumi, which takes seconds: then what was read within the last minute serves.
 */
export async function stateOf(stack: string, host: Host, memory: StateMemory): Promise<SeenState> {
  const inFiles = await stateInFiles(stack);
  if (inFiles !== undefined) return inFiles;
  if (memory.state === undefined || Date.now() - memory.state.at > FRESH_MS)
    memory.state = { at: Date.now(), seen: stateByPulumi(stack, environmentOf(stack, host)) };
  return memory.state.seen;
}

const FRESH_MS = 60_000;

async function stateInFiles(stack: string): Promise<SeenState | undefined> {
  const url =
    stack === "local"
      ? `file://${join(localDirectory, "state")}`
      : process.env["PULUMI_BACKEND_URL"] || loggedInTo() || "";
  if (!url.startsWith("file:")) return undefined;
  const pulumi = { name: stack, env: { PULUMI_BACKEND_URL: url } };
  if ((await stateDirectory(pulumi)) === undefined) return undefined;
  return { state: await stateInFile(pulumi), holders: await holdersOf(pulumi) };
}

/** Pulumi Cloud or a bucket: who is not logged in there is told what Pulumi says. */
export async function stateByPulumi(stack: string, environment: Promise<Stack["env"]>): Promise<SeenState> {
  try {
    const pulumi = { name: stack, env: await environment };
    const [state, holders] = await Promise.all([exportState(pulumi), holdersOf(pulumi)]);
    return { state, holders };
  } catch (error) {
    return { holders: [], problem: (error as Error).message };
  }
}

async function holdersOf(pulumi: Omit<Stack, "engine">): Promise<StateHolder[]> {
  const holders = await lockHolders(pulumi);
  return Promise.all(holders.map(async (each) => ({ ...each, where: await processStatus(each) })));
}

/** What `pulumi login` wrote. */
function loggedInTo(): string | undefined {
  const directory = process.env["PULUMI_CREDENTIALS_PATH"] || process.env["PULUMI_HOME"] || join(homedir(), ".pulumi");
  const file = join(directory, "credentials.json");
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, "utf8")) as { current?: string }).current;
}
