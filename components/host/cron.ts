/** A schedule as lists of what matches, which a shell can compare. */
export interface Schedule {
  minutes: string;
  hours: string;
  days: string;
  months: string;
  /** 0 is Sunday. */
  weekdays: string;
  /** Either of days and weekdays will do, as both are given. */
  either: boolean;
  /** It has an hour of its own: where the clock goes back by an hour, it runs once. */
  fixed: boolean;
}

/**
 * A cron expression of five fields, with lists, ranges, steps and names, or `@hourly`, `@daily`, `@weekly`, `@monthly` or
 * `@yearly`.
 *
 * @throws Error with all that is wrong, each after `path: `.
 */
export function parseCron(path: string, expression: string): Schedule {
  const texts = (SHORT[expression] ?? expression).trim().split(/\s+/);
  if (texts.length !== 5)
    throw new Error(
      `${path}: ${expression} has ${texts.length} fields: give minute, hour, day, month and weekday, like "30 2 * * *"`,
    );
  const problems: string[] = [];
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) => {
    const values = valuesOf(field, texts[index]!);
    if (values === undefined)
      problems.push(
        `${path}: ${texts[index]} is no ${field.name}: give * or numbers from ${field.least} to ${field.most}, like ${field.like}`,
      );
    return values ?? [];
  }) as [number[], number[], number[], number[], number[]];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const anyDay = isWildcard(texts[2]!);
  const anyWeekday = isWildcard(texts[4]!);
  if (anyWeekday && !months.some((month) => days[0]! <= LONGEST[month - 1]!))
    throw new Error(`${path}: ${expression} never comes: no such month has a day ${days[0]}`);
  return {
    ...{ minutes: list(minutes), hours: list(hours), days: list(days), months: list(months) },
    // Sunday is 0 and 7.
    weekdays: list([...new Set(weekdays.map((day) => day % 7))].sort((a, b) => a - b)),
    either: !anyDay && !anyWeekday,
    fixed: !isWildcard(texts[1]!),
  };
}

const SHORT: Record<string, string> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
};

interface Field {
  name: string;
  least: number;
  most: number;
  like: string;
  /** In the place of numbers from `least` on. */
  names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly Field[] = [
  { name: "minute", least: 0, most: 59, like: "0,30 or */5" },
  { name: "hour", least: 0, most: 23, like: "2 or 8-18" },
  { name: "day", least: 1, most: 31, like: "1 or 1,15" },
  { name: "month", least: 1, most: 12, like: "1 or jan-mar", names: MONTHS },
  { name: "weekday", least: 0, most: 7, like: "mon-fri", names: WEEKDAYS },
];
const LONGEST = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isWildcard(text: string): boolean {
  return text.startsWith("*");
}

/** Undefined if it is none. */
function valuesOf({ least, most, names = [] }: Field, text: string): number[] | undefined {
  const found = new Set<number>();
  for (const part of text.toLowerCase().split(",")) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part);
    if (match === null) return undefined;
    const [, every, first, second, stepText] = match;
    const step = Number(stepText ?? 1);
    const number = (word: string) =>
      names.includes(word) ? names.indexOf(word) + least : /^\d+$/.test(word) ? Number(word) : NaN;
    const from = every === undefined ? number(first!) : least;
    // 5/10 is from 5 on.
    const to =
      every !== undefined || (second === undefined && stepText !== undefined) ? most : number(second ?? first!);
    if (!(from >= least && to <= most && from <= to && step >= 1)) return undefined;
    for (let value = from; value <= to; value += step) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}

/** With a comma before and after each, so that 1 is not found in 11. */
function list(values: readonly number[]): string {
  return `,${values.join(",")},`;
}
