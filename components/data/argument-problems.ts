import type { Limits } from "../host/hardening.ts";
import { whole } from "../host/release-problems.ts";

/** What is wrong with a number that has to be whole, and from `least` to `most`. */
export function wholeNumber(key: string, value: number, least: number, most: number): string[] {
  return whole(key, value, "give one", least, most);
}

/** What is wrong with the limits of a container that needs as much at least. @param key their argument. */
export function leastLimitProblems(
  { memoryMb, cpus, pids }: Limits,
  least: { memoryMb: number; pids: number },
  key = "limits",
): string[] {
  const whole = (of: string, value: number, from: number, word: string) => {
    if (!(value >= from)) return [`${key}.${of}: ${value} is too ${word}: give at least ${from}`];
    return Number.isInteger(value) ? [] : [`${key}.${of}: ${value} is not a whole number: give one from ${from}`];
  };
  return [
    ...whole("memoryMb", memoryMb, least.memoryMb, "little"),
    ...(cpus >= 0.1 ? [] : [`${key}.cpus: ${cpus} is too little: give at least 0.1`]),
    ...whole("pids", pids, least.pids, "few"),
  ];
}
