// A forecast as Markdown, for a pull request or a terminal: what a reviewer has to know first, the rest folded.
import { flowchart, type Mark } from "../flowchart.ts";
import { code, markdownTable } from "../markdown.ts";
import type { ContainerInputs, NetworkInputs } from "../promises.ts";
import { acknowledgementOf, type DataAtRisk } from "./data.ts";
import type { Change } from "./engine-events.ts";
import type { Forecast } from "./forecast.ts";
import { containersOf, listOf, type ContainerChange, type ServiceForecast } from "./services.ts";

export interface Report extends Forecast {
  stack: string;
  /** What the host has. @default the host did not answer */
  capacity?: Capacity;
  /** Data at risk for which nobody has written the words. */
  notAcknowledged: readonly DataAtRisk[];
}

export interface Capacity {
  memoryMb: number;
  cpus: number;
}

/** @param options `brief`: without what is folded, as for a terminal. */
export function markdown(report: Report, options: { brief?: boolean } = {}): string {
  const { stack, services, findings, certificates, cloudflare, secrets, newExceptions, warnings } = report;
  const changed = services.filter(({ what }) => what !== "same");
  const refused = findings.filter(({ mandatory }) => mandatory);
  const advice = findings.filter(({ mandatory, policy }) => !mandatory && policy !== EXCEPTIONS);
  return [
    `### ${signOf(report)} \`${stack}\`: ${headline(report, changed)}`,
    failure(report),
    risk(report),
    list(
      "Refused by the policies",
      refused.map(({ policy, message }) => `${code(policy)}: ${plain(message)}`),
    ),
    changed.length > 0 && markdownTable(["service", "what happens", "because of"], changed.map(row)),
    list(
      "Secrets",
      secrets.map(({ name, what, readers }) => `${code(name)} ${what}${readersOf(readers)}`),
    ),
    list("Cloudflare", cloudflare.map(plain)),
    list("Certificates", certificates.map(plain)),
    list(
      "New exceptions to the policies",
      newExceptions.map(({ resource, exception }) => {
        const { rule, part, why, until } = exception;
        return `${code(resource)}: ${code([rule, part].filter(Boolean).join(" "))}${until ? ` until ${until}` : ""}: ${plain(why)}`;
      }),
    ),
    list(
      "The policies advise",
      advice.map(({ policy, message }) => `${code(policy)}: ${plain(message)}`),
    ),
    list("Warnings", warnings.map(plain)),
    services.length > 0 && limits(report),
    ...(options.brief ? [] : details(report)),
  ]
    .filter((part) => part !== false && part !== "")
    .join("\n\n")
    .concat("\n");
}

function details(report: Report): (string | false)[] {
  const { services, changes, findings } = report;
  const exceptions = findings
    .filter(({ policy }) => policy === EXCEPTIONS)
    .flatMap(({ message }) => message.split("\n"));
  return [
    services.length > 0 && folded("What runs, with the changed parts marked", picture(report)),
    resources(changes),
    exceptions.length > 0 && folded("Declared exceptions to the policies", bullets(exceptions.map(plain))),
  ];
}

/** Whether the preview itself did what it was to do, and nobody refused it. */
export function isRefused({ errors, findings }: Forecast): boolean {
  return errors.length > 0 || findings.some(({ mandatory }) => mandatory);
}

/** The policy that only tells of declared exceptions. */
const EXCEPTIONS = "stack-exceptions";

function signOf(report: Report): string {
  if (isRefused(report) || report.notAcknowledged.length > 0) return "❌";
  if (report.dataAtRisk.length > 0 || report.services.some(interrupts)) return "⚠️";
  return "✅";
}

function interrupts({ gapSeconds }: ServiceForecast): boolean {
  return gapSeconds !== 0;
}

function headline(report: Report, changed: readonly ServiceForecast[]): string {
  const { dataAtRisk, changes, findings, errors } = report;
  const said = new Map<string, string[]>();
  for (const service of changed)
    said.set(HEADLINES[service.what], [...(said.get(HEADLINES[service.what]) ?? []), service.name]);
  const parts = [
    ...(findings.some(({ mandatory }) => mandatory)
      ? ["the policies refuse it"]
      : errors.length > 0
        ? ["the preview failed"]
        : []),
    ...(dataAtRisk.length > 0 ? [`**data at risk**: ${dataAtRisk.map(({ name }) => code(name)).join(", ")}`] : []),
    ...[...said].map(([what, names]) => `${names.join(" and ")} ${what}`),
  ];
  if (parts.length > 0) return parts.join("; ");
  return changes.some(({ op }) => op !== "same") ? "no service changes" : "nothing changes";
}

const HEADLINES: Record<ServiceForecast["what"], string> = {
  created: "new",
  rolled: "rolled without downtime",
  restarted: "restarted, **with a gap**",
  updated: "changed in place",
  rerouted: "rerouted",
  removed: "removed",
  same: "",
};

function row(service: ServiceForecast): string[] {
  const { name, what, reasons, gapSeconds, ports, drainSeconds, preDeploy } = service;
  const gap = gapSeconds === undefined ? "until the next one is healthy" : `for about ${gapSeconds} s`;
  const happens: Record<ServiceForecast["what"], string> = {
    created: "starts for the first time",
    rolled: `rolled: the next one is healthy before this one goes, and no request is lost${
      drainSeconds === undefined ? "" : `; open streams have ${drainSeconds} s to end`
    }`,
    restarted: `restarted: ${
      ports.length > 0 ? `port ${ports.join(" and ")} ${ports.length > 1 ? "are" : "is"} closed` : "nobody answers"
    } ${gap}, and open connections end`,
    updated: "changed in place: it runs on",
    rerouted: "what the edge does for it changes; nothing restarts",
    removed: "removed: its paths answer 404",
    same: "",
  };
  return [
    `**${plain(name)}**`,
    `${preDeploy ? "its job runs first; then " : ""}${happens[what]}`,
    what === "created" || what === "removed" ? "" : reasons.map(plain).join(", ") || "asked for, or failed before",
  ];
}

function failure({ errors }: Report): string {
  if (errors.length === 0) return "";
  // More backticks than any message has.
  return [
    "**The preview failed, and nothing was changed:**",
    "",
    "````text",
    ...errors.slice(0, MOST_ERRORS),
    "````",
  ].join("\n");
}

/** Of one fault there can be as many as resources. */
const MOST_ERRORS = 10;

function risk({ dataAtRisk, notAcknowledged }: Report): string {
  if (dataAtRisk.length === 0) return "";
  const fates = dataAtRisk.map(({ name, fate }) => `> - ${code(name)} ${fate}`);
  if (notAcknowledged.length === 0)
    return ["> [!WARNING]", "> **Data is at risk, and somebody has accepted that in words:**", ...fates].join("\n");
  return [
    "> [!CAUTION]",
    "> **Data is at risk:**",
    ...fates,
    ">",
    "> If that is meant, say so in the description of the pull request (or in `ACKNOWLEDGED` of `make`), a line for each:",
    ">",
    "> ```text",
    ...notAcknowledged.map((each) => `> ${acknowledgementOf(each)}`),
    "> ```",
  ].join("\n");
}

function readersOf(readers: readonly string[]): string {
  if (readers.length === 0) return "";
  return `: ${readers.join(" and ")} ${readers.length > 1 ? "get" : "gets"} them in another container`;
}

function limits({ limits: { memoryMb, cpus }, capacity }: Report): string {
  const memory = amounts(memoryMb.before, memoryMb.after, capacity?.memoryMb, "MiB");
  const processors = amounts(cpus.before, cpus.after, capacity?.cpus, "CPU");
  const most = Math.max(memoryMb.after, memoryMb.meanwhile);
  const meanwhile =
    memoryMb.meanwhile > memoryMb.after
      ? `; while old and new run side by side ${share(most, capacity?.memoryMb, "MiB")}`
      : "";
  const notes = [
    ...(capacity === undefined ? ["The host did not answer, so what it has is not known."] : []),
    ...(capacity && most > capacity.memoryMb
      ? ["**More memory is promised than there is**: a service may be killed below its limit."]
      : []),
    ...(capacity && cpus.after > capacity.cpus
      ? ["More CPU is promised than there is: when all are busy, each gets its share."]
      : []),
  ];
  return [`**Limits of all services together:** memory ${memory}${meanwhile}; CPU ${processors}.`, ...notes].join(" ");
}

function amounts(before: number, after: number, capacity: number | undefined, unit: string): string {
  return `${share(after, capacity, unit)}${before === after ? "" : `, before ${round(before)}`}`;
}

function share(amount: number, capacity: number | undefined, unit: string): string {
  if (capacity === undefined) return `${round(amount)} ${unit}`;
  return `${round(amount)} of ${round(capacity)} ${unit} (${Math.round((100 * amount) / capacity)} %)`;
}

function round(amount: number): string {
  return String(Math.round(amount * 100) / 100);
}

function picture({ stack, services, changes }: Report): string {
  const marks = new Map<string, Mark>();
  for (const { name, what } of services)
    if (what !== "same") marks.set(name, what === "created" ? "new" : what === "removed" ? "gone" : "changed");
  const networks = changes.filter(({ type }) => type === "docker:index/network:Network");
  for (const { op, after, before } of networks)
    if (op !== "same") {
      const name = String((after ?? before)?.["name"]).replace(`reach-${stack}-`, "");
      marks.set(`${name}-network`, op === "create" ? "new" : op === "delete" ? "gone" : "changed");
    }
  const drawn = (change: Change) => (change.after ?? change.before) as Partial<NetworkInputs>;
  return flowchart({
    containers: containersOf(changes).map(drawnContainer),
    networks: networks.map(drawn),
    stackName: `reach-${stack}`,
    marks,
  });
}

/** What a job is to write is known in the update alone, if the service is rolled: what it wrote before is drawn. */
function drawnContainer({ before, after }: ContainerChange): Partial<ContainerInputs> {
  const drawn = after ?? before ?? {};
  const isKnown = listOf(drawn.envs).some((entry) => entry.startsWith("ROUTE="));
  return !isKnown && before?.restart === "no" ? { ...drawn, envs: before.envs } : drawn;
}

function resources(changes: readonly Change[]): string {
  const changed = changes.filter(({ op }) => op !== "same");
  if (changed.length === 0) return "";
  const rows = changed.map(({ op, name, type }) => [code(name), type.slice(type.lastIndexOf(":") + 1), OPS[op]]);
  return folded(
    `${changed.length} resource${changed.length > 1 ? "s" : ""} of ${changes.length}`,
    markdownTable(["name", "type", ""], rows),
  );
}

const OPS: Record<Change["op"], string> = {
  same: "",
  create: "made",
  update: "changed",
  replace: "made anew",
  delete: "removed",
};

function list(title: string, items: readonly string[]): string {
  return items.length > 0 ? `**${title}:**\n\n${bullets(items)}` : "";
}

function bullets(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join("\n");
}

function folded(title: string, text: string): string {
  return `<details><summary>${title}</summary>\n\n${text}\n\n</details>`;
}

/** Text from elsewhere, in which nothing is Markdown or HTML but code. */
function plain(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll(/\s*\n\s*/g, " ");
}
