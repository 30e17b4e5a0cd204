import * as pulumi from "@pulumi/pulumi";
import { RunError } from "@pulumi/pulumi/errors.js";

/**
 * For what a program has to call before it ends. Without this, what waits for the call would wait for ever: Pulumi would
 * end the run with a list of promises, and a test would run into its time limit.
 *
 * @returns what is called with it.
 */
export function beforeProgramEnds(complaint: string): () => void {
  let isCalled = false;
  const check = () => {
    if (uncalled.delete(check) && !isCalled) throw new RunError(complaint);
  };
  uncalled.add(check);
  // What the program exports is known when it has come to its end. One that fails before has an error of its own.
  const { outputs } = pulumi.runtime.getStackResource() as unknown as Root;
  void outputs.promise().then(
    // As a rejection that nobody handles: Pulumi shows it and fails the run.
    () => void Promise.resolve().then(check),
    () => uncalled.delete(check),
  );
  // What it exports may itself wait for the call.
  if (!isListening) process.on("beforeExit", endProgram);
  isListening = true;
  return () => (isCalled = true);
}

/**
 * For a run whose process goes on, when the program has come to its end.
 *
 * @throws RunError with what it should have called.
 */
export function endProgram(): void {
  for (const check of uncalled) check();
}

/** For a run whose process goes on, when the program has failed. */
export function forgetProgram(): void {
  uncalled.clear();
}

const uncalled = new Set<() => void>();
let isListening = false;

/** Pulumi exports the method without its type. */
interface Root {
  outputs: { promise: () => Promise<unknown> };
}
