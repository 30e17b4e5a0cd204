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
  // What the program exports is known when it has come to its end. One that fails before has an error of its own.
  const { outputs } = pulumi.runtime.getStackResource() as unknown as Root;
  const ended = outputs.promise().then(
    () => true,
    () => false,
  );
  void ended.then((isEnded) => {
    // As a rejection that nobody handles: Pulumi shows it and fails the run, and so does `record` of bulkhead/testing.
    if (isEnded && !isCalled) throw new RunError(complaint);
  });
  return () => (isCalled = true);
}

/** Pulumi exports the method without its type. */
interface Root {
  outputs: { promise: () => Promise<unknown> };
}
