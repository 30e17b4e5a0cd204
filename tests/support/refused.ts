import { expect, onTestFinished } from "vitest";
import { createTestProject, type TestProjectOptions } from "./pulumi.ts";

/** An update that has to be refused; gives what it says against it. */
export async function refusedUp(options: TestProjectOptions): Promise<string> {
  const project = await createTestProject(options);
  onTestFinished(async () => {
    // Of a stack that was refused there is nothing, but a failed test must not stand in the way of the next.
    await project.destroy();
    project.remove();
  });
  const { code, stdout, stderr } = await project.up();
  expect(code).not.toBe(0);
  return (stdout + stderr).replace(/^[^]*\nDiagnostics:/, "");
}
