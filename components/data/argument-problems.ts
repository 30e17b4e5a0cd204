import type { Limits } from "../host/hardening.ts";

/** What is wrong with a number that has to be whole, and from `least` to `most`. */
export function wholeNumber(key: string, value: number, least: number, most: number): string[] {
  return Number.isInteger(value) && value >= least && value <= most
    ? []
    : [`${key}: ${value} is not from ${least} to ${most}: give such a number`];
}

/** What is wrong with the limits of a server's container. */
export function limitProblems({ memoryMb, cpus, pids }: Limits, least: { memoryMb: number; pids: number }): string[] {
  return [
    ...(memoryMb >= least.memoryMb
      ? []
      : [`limits.memoryMb: ${memoryMb} is too little: give at least ${least.memoryMb}`]),
    ...(cpus >= 0.1 ? [] : [`limits.cpus: ${cpus} is too little: give at least 0.1`]),
    ...(pids >= least.pids ? [] : [`limits.pids: ${pids} is too few: give at least ${least.pids}`]),
  ];
}
