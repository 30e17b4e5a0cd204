/**
 * How far the local time of a zone is ahead of UTC, as `second:offset` for each change: the offset holds from that second of
 * 1970 on. An image has no time zones, or old ones, so a container gets them with its schedule.
 *
 * @throws Error if there is no such zone.
 */
export function offsetsOf(path: string, timeZone: string): string {
  const offset = offsetIn(path, timeZone);
  const found = [`0:${offset(FROM)}`];
  for (let at = FROM; at < TO; at += STEP) {
    if (offset(at) === offset(at + STEP)) continue;
    // Halved until the second is found, from which on the other holds.
    let [before, after] = [at, at + STEP];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (offset(middle) === offset(at)) before = middle;
      else after = middle;
    }
    found.push(`${after}:${offset(after)}`);
  }
  return found.join(" ");
}

/** Fixed, so that a container is not replaced because a year is over. */
const FROM = Date.UTC(2025, 0) / 1000;
const TO = Date.UTC(2045, 0) / 1000;
/** No zone changes twice within it. */
const STEP = 7 * 24 * 3600;

function offsetIn(path: string, timeZone: string): (second: number) => number {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric" },
      ...{ hour: "numeric", minute: "numeric", second: "numeric" },
    });
  } catch {
    throw new Error(`${path}: ${timeZone} is none: give one like Europe/Berlin, or UTC`);
  }
  return (second) => {
    const parts = new Map(format.formatToParts(second * 1000).map(({ type, value }) => [type, Number(value)]));
    const [year, month, day, hour, minute, rest] = ["year", "month", "day", "hour", "minute", "second"].map((type) =>
      parts.get(type as Intl.DateTimeFormatPartTypes)!,
    ) as [number, number, number, number, number, number];
    return Date.UTC(year, month - 1, day, hour, minute, rest) / 1000 - second;
  };
}
