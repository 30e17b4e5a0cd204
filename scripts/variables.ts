import { distance } from "fastest-levenshtein";
import { nearestTo } from "../components/settings/parse.ts";

/**
 * What is wrong with the variables that `make` was given, each `NAME: what is wrong: how to fix it`. The Makefile says
 * which ones a target takes. On the command line every name is meant for it; in the environment, where anything may stand
 * for others, those that are almost one of its names.
 */
export function problemsOf(makefile: string, env: NodeJS.ProcessEnv): string[] {
  const goals = (env["MAKECMDGOALS"] ?? "").split(" ").filter((goal) => goal !== "");
  const takers = variablesOfTargets(makefile);
  const taken = goals.flatMap((goal) => takers.get(goal) ?? []);
  const names = [...new Set(taken.map(({ name }) => name))];
  const typed = commandLineNames(env["MAKEFLAGS"] ?? "");
  const given = (name: string) => (env[name] ?? "") !== "";

  const unknown = typed
    .filter((name) => !names.includes(name) && !isForATool(name))
    .map(
      (name) =>
        `${name}: ${isKnown(takers, name) ? "not for this command" : "unknown variable"}: ${cure(name, names, goals)}`,
    );
  const almost = Object.keys(env)
    .filter((name) => given(name) && !typed.includes(name) && !isKnown(takers, name) && !isForATool(name))
    .flatMap((name) => {
      const meant = names.find((known) => isSlipOf(known, name));
      return meant === undefined || given(meant)
        ? []
        : [`${name}: unknown variable: did you mean ${meant}? Else unset it, or give ${meant} too`];
    });
  const wrong = taken
    .filter(({ name, accepts }) => given(name) && !accepts.test(env[name]!))
    .map(
      ({ name, value }) => `${name}: is ${env[name]}: give ${value.replace(/<(.*)>/, "a $1").replaceAll("|", " or ")}`,
    );
  return [...new Set([...unknown, ...almost, ...wrong])];
}

/** The folder of the program that is meant, if the command line of `make` has one: in the environment it may be anything. */
export function programOf(env: NodeJS.ProcessEnv): string | undefined {
  return commandLineNames(env["MAKEFLAGS"] ?? "").includes("PROGRAM") ? env["PROGRAM"] || undefined : undefined;
}

export interface Variable {
  name: string;
  /** As the Makefile has it: words that are meant literally, divided by `|`, or what stands for a value, in `<>`. */
  value: string;
  accepts: RegExp;
}

/** What each target of the Makefile takes: `target: takes = NAME=value ...`. */
export function variablesOfTargets(makefile: string): Map<string, Variable[]> {
  const shared = /^takes = (.*)$/m.exec(makefile)?.[1] ?? "";
  const targets = [...makefile.matchAll(/^([a-z]+):.*?##/gm)].map(([, target]) => target!);
  return new Map(
    targets.map((target) => {
      const own = new RegExp(`^${target}: takes \\+= (.*)$`, "m").exec(makefile)?.[1] ?? "";
      return [target, `${own} ${shared}`.trim().split(/ +/).map(variableOf)];
    }),
  );
}

function variableOf(text: string): Variable {
  const [, name, value] = /^([A-Z]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new Error(`Makefile: ${text} is not like NAME=value`);
  const accepts = value === "<number>" ? /^[1-9]\d*$/ : value.startsWith("<") ? /^/ : new RegExp(`^(${value})$`);
  return { name, value, accepts };
}

/** make puts what its command line sets behind ` -- `, with a backslash before each blank of a value. */
function commandLineNames(makeflags: string): string[] {
  const [, assignments = ""] = / ?-- (.*)$/s.exec(makeflags) ?? [];
  return assignments.split(/(?<!\\)[ \t]+/).flatMap((word) => /^([^=]*?)(?::{0,3}|[+?!])=/s.exec(word)?.[1] ?? []);
}

/** Variables that what a command runs reads for itself: make gives them on, wherever they were set. */
function isForATool(name: string): boolean {
  return /^(PULUMI|DOCKER|CLOUDFLARE|AWS|AZURE|GOOGLE|XDG|SSH|NODE|GITHUB)_|^GO[A-Z0-9]+$|^(HTTPS?|NO|ALL)_PROXY$|^(PATH|HOME|TMPDIR|CI)$/i.test(
    name,
  );
}

function isKnown(takers: ReadonlyMap<string, readonly Variable[]>, name: string): boolean {
  return [...takers.values()].flat().some((variable) => variable.name === name);
}

function cure(typed: string, names: readonly string[], goals: readonly string[]): string {
  const meant = nearestTo(typed, names);
  return meant !== undefined ? `did you mean ${meant}?` : `make ${goals.join(" ")} takes ${names.join(", ")}`;
}

/**
 * Whether somebody who types the one may well have meant the other: other capitals, two letters exchanged, or one letter
 * in five wrong. Of short names no letter may be: DATE is not DATA.
 */
function isSlipOf(known: string, typed: string): boolean {
  const upper = typed.toUpperCase();
  const edits = distance(upper, known);
  const letters = (word: string) => [...word].sort().join("");
  return edits <= Math.floor(known.length / 5) || (edits <= 2 && letters(upper) === letters(known));
}
