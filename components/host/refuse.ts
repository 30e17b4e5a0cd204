/** @throws Error with all that is wrong with what a component was given, each with the component's name before it. */
export function refuse(name: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.map((problem) => `${name}: ${problem}`).join("\n"));
}
