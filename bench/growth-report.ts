import { markdownTable } from "./results.ts";

/** One command with so many services. */
export interface Cost {
  services: number;
  /** `grown`: the update that made them, coming from the size before. */
  what: "grown" | "nothing to do" | "one service" | "refresh";
  seconds: number;
  memoryMb: number;
  /** Calls of Docker's API by kind, or bytes over ssh. */
  calls?: Record<string, number>;
  sshBytes?: number;
}

export interface Rest {
  services: number;
  cores: number;
}

export function report(
  machine: string,
  costs: readonly Cost[],
  rests: readonly Rest[],
  overSsh: readonly Cost[],
): string[] {
  const sizes = [...new Set(costs.map(({ services }) => services))];
  const kinds = ["nothing to do", "one service", "refresh", "grown"] as const;
  const table = (of: (cost: Cost) => number, digits: number) =>
    kinds.map((what) => {
      const values = sizes.map((size) => of(costs.find((cost) => cost.what === what && cost.services === size)!));
      // What one more service costs at the small end and at the large end.
      const each = (from: number) => (values[from + 1]! - values[from]!) / (sizes[from + 1]! - sizes[from]!);
      const steps = what === "grown" ? [] : [each(0), each(sizes.length - 2)];
      const cells = [...values.map((value) => value.toFixed(digits)), ...steps.map((step) => step.toFixed(digits + 1))];
      return [NAMES[what], ...cells];
    });
  const head = ["", ...sizes.map((size) => `${size} services`), "each more, few", "each more, many"];
  const calls = ({ calls = {} }: Cost) => Object.values(calls).reduce((sum, count) => sum + count, 0);
  const largest = costs.filter(({ services }) => services === sizes.at(-1));
  return [
    "## Growth",
    "",
    machine,
    "",
    "Services of one small image behind one edge (bench/services), on one host by its socket; a service is a container, " +
      "a job, a network and 9 resources in all. Once each. The last columns are what each further service costs between the two " +
      "smallest and the two largest sizes: where they differ, it grows worse than linearly.",
    "",
    "Seconds:",
    "",
    ...markdownTable(
      head,
      table(({ seconds }) => seconds, 1),
    ),
    "",
    "Calls of Docker's API:",
    "",
    ...markdownTable(head, table(calls, 0)),
    "",
    "Memory of Pulumi's processes at their most, in MiB:",
    "",
    ...markdownTable(
      head,
      table(({ memoryMb }) => memoryMb, 0),
    ),
    "",
    `Which calls, with ${sizes.at(-1)} services:`,
    "",
    ...largest
      .filter(({ what }) => what !== "grown")
      .map(({ what, calls = {} }) => `- ${NAMES[what]}: ${mostOf(calls)}`),
    "",
    "CPU that the host takes at rest, in cores (health checks are processes that start and end):",
    "",
    ...markdownTable(
      ["", ...rests.map(({ services }) => `${services} services`)],
      [["cores", ...rests.map(({ cores }) => cores.toFixed(2))]],
    ),
    "",
    `Over ssh, with ${overSsh[0]!.services} services:`,
    "",
    ...markdownTable(
      ["", "seconds", "over ssh"],
      overSsh.map(({ what, seconds, sshBytes }) => [
        NAMES[what],
        seconds.toFixed(1),
        `${((sshBytes ?? 0) / 1000).toFixed(0)} kB`,
      ]),
    ),
  ];
}

const NAMES = {
  grown: "`up` that adds the services",
  "nothing to do": "`up` with nothing to do",
  "one service": "`up` that rolls one service",
  refresh: "`refresh`",
};

function mostOf(calls: Record<string, number>): string {
  const sorted = Object.entries(calls).sort(([, a], [, b]) => b - a);
  return sorted
    .slice(0, 5)
    .map(([kind, count]) => `${count} × \`${kind}\``)
    .join(", ");
}
