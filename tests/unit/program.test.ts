import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { invariants } from "./invariants.ts";
import type { Recording } from "./recorder.ts";
import { recordStack, stacks } from "./stacks.ts";

test("there are stack files", () => {
  expect(stacks).toEqual(expect.arrayContaining(["local", "prod"]));
});

describe.each(stacks)("the program in the stack %s", (stack) => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await recordStack(stack);
  });

  test.each(Object.entries(invariants))("%s", (_, complaints) => {
    expect(complaints(recording)).toEqual([]);
  });
});
