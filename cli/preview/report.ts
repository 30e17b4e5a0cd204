// A forecast as Markdown, for a pull request or a terminal: what a reviewer has to know first, the rest folded.
import { NETWORK } from "../../policy/networks-and-volumes.ts";
import { flowchart, type Mark } from "../report/diagram.ts";
import type { ContainerInputs, NetworkInputs } from "../audit/expected-state.ts";
import { acknowledgementOf, type DataAtRisk } from "./data.ts";
import { DONE, type Change, type Finding } from "./engine-events.ts";
import type { Forecast } from "./forecast.ts";
import { alert, block, bullets, code, enumerated, folded, list, markdownTable, plain } from "../report/markdown.ts";
import { settingOf, type ContainerChange } from "./container-change.ts";
import { containersOf, type ServiceForecast } from "./services.ts";
import { stackLabel } from "../stack/program.ts";

export interface Report extends Forecast {
  stack: string;
  /** What the host has. @default the host did not answer */
  capacity?: Capacity;
  /** Data at risk for which nobody has written the words. */
  unacknowledged: readonly DataAtRisk[];
}

export interface Capacity {
  memoryMb: number;
  cpus: number;
}

/** @param options `brief`: without what is folded, as for a terminal. */
export function markdown(report: Report, options: { brief?: boolean } = {}): string {
  const { services, findings, warnings, secrets } = report;
  const touched = services.filter(({ what, preDeploy }) => what !== "same" || preDeploy);
  const advice = findings.filter(({ mandatory, policy }) => !mandatory && policy !== EXCEPTIONS);
  const rotated = secrets.map(({ name, what, readers }) => `${code(name)} ${what}${readersOf(readers)}`);
  const parts = [
    `### ${signOf(report)} \`${report.stack}\`: ${headline(report, touched)}`,
    failure(report),
    risk(report),
    list("Refused by the policies", findingLines(findings.filter(({ mandatory }) => mandatory))),
    markdownTable(["service", "what happens", "because of"], touched.map(row)),
    list("Secrets", rotated),
    list("Routes that more people get through", report.weakenedRoutes.map(plain)),
    list("Names", report.names.map(plain)),
    list("Cloudflare", report.cloudflare.map(plain)),
    list("Certificates", report.certificates.map(plain)),
    list("New exceptions to the policies", exceptionLines(report)),
    list("The policies advise", findingLines(advice)),
    list("Warnings", warnings.filter((warning) => !isKnown(warning)).map(plain)),
    services.length > 0 ? limits(report) : "",
    ...(options.brief ? [] : details(report)),
  ];
  return parts
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/** The same for programs. Of what the program asks for there are names alone: values may be secret. */
export function reportForPrograms(report: Report): object {
  const { stack, services, dataAtRisk, unacknowledged, secrets, cloudflare, certificates, limits, capacity } = report;
  return {
    ...{ stack, refused: isRefused(report), errors: report.errors, warnings: report.warnings },
    // JSON has no undefined.
    services: services.map((service) => ({ ...service, downtimeSeconds: service.downtimeSeconds ?? null })),
    ...{ dataAtRisk, unacknowledged, secrets, cloudflare, certificates, limits, capacity: capacity ?? null },
    ...{ names: report.names, weakenedRoutes: report.weakenedRoutes },
    ...{ findings: report.findings, newExceptions: report.newExceptions },
    changes: report.changes.map(({ name, type, op }) => ({ name, type, op })),
  };
}

/** Whether the preview did not come to its end, or a policy stands against it. */
export function isRefused({ errors, findings }: Forecast): boolean {
  return errors.length > 0 || findings.some(({ mandatory }) => mandatory);
}

/** The policy that only tells of declared exceptions. */
const EXCEPTIONS = "stack-exceptions";

function signOf(report: Report): string {
  if (isRefused(report) || report.unacknowledged.length > 0) return "❌";
  return report.dataAtRisk.length > 0 ||
    report.weakenedRoutes.length > 0 ||
    report.services.some(({ downtimeSeconds: downtimeSeconds }) => downtimeSeconds !== 0)
    ? "⚠️"
    : "✅";
}

function headline({ dataAtRisk, changes, findings, errors }: Report, touched: readonly ServiceForecast[]): string {
  const said = new Map<string, string[]>();
  for (const { what, name, isRouted } of touched) {
    const words = what === "rolled" && !isRouted ? "rolled:" : HEADLINES[what];
    said.set(words, [...(said.get(words) ?? []), name]);
  }
  const refused = findings.some(({ mandatory }) => mandatory) ? "the policies refuse it" : "the preview failed";
  const parts = [
    ...(errors.length > 0 || refused.startsWith("the policies") ? [refused] : []),
    ...(dataAtRisk.length > 0 ? [`**data at risk**: ${enumerated(dataAtRisk.map(({ name }) => code(name)))}`] : []),
    ...[...said].map(([what, names]) => `${what} ${enumerated(names)}`),
  ];
  if (parts.length > 0) return parts.join("; ");
  return changes.some(({ op }) => op !== "same") ? "no service changes" : "nothing changes";
}

const HEADLINES: Record<ServiceForecast["what"], string> = {
  created: "new:",
  rolled: "rolled without downtime:",
  restarted: "restarted **with a gap**:",
  updated: "changed in place:",
  rerouted: "other routes or settings, nothing restarts:",
  removed: "removed:",
  same: "a job runs for",
};

function row(service: ServiceForecast): string[] {
  const {
    name,
    what,
    reasons,
    downtimeSeconds: downtimeSeconds,
    ports,
    closedPorts,
    drainSeconds,
    preDeploy,
    isRouted,
  } = service;
  const gap = downtimeSeconds === undefined ? "until the next one is healthy" : `for about ${downtimeSeconds} s`;
  const streams = drainSeconds === undefined ? "" : `; open streams have ${drainSeconds} s to end`;
  const happens: Record<ServiceForecast["what"], string> = {
    created: "starts for the first time",
    rolled: `rolled: the next one is healthy before this one goes${isRouted ? ", and no request is lost" : ""}${streams}`,
    restarted: `restarted: ${ports.length > 0 ? `${portsOfHost(ports)} closed` : "nobody answers"} ${gap}, and open connections end`,
    updated: "changed in place: it runs on",
    rerouted: "runs on: what the edge does for it changes",
    removed: "removed: its paths answer 404",
    same: "runs on",
  };
  const untold = ["rolled", "restarted"].includes(what) ? "asked for, or failed before" : "";
  return [
    `**${plain(name)}**`,
    (preDeploy ? `its job runs first; then ${happens[what]}` : happens[what]) +
      (closedPorts.length > 0 ? `; ${portsOfHost(closedPorts)} closed from then on` : ""),
    reasons.map(plain).join(", ") || untold,
  ];
}

function portsOfHost(ports: readonly number[]): string {
  return ports.length > 1 ? `ports ${enumerated(ports.map(String))} are` : `port ${ports.join()} is`;
}

function failure({ errors }: Report): string {
  // What it says of a policy that was broken is said in the policy's words.
  const told = errors.filter((error) => error !== "preview failed");
  if (told.length === 0) return "";
  return `**The preview failed, and nothing was changed:**\n\n${block(told.slice(0, MOST_ERRORS))}`;
}

/** Of one fault there can be as many as resources. */
const MOST_ERRORS = 10;

function risk({ dataAtRisk, unacknowledged }: Report): string {
  if (dataAtRisk.length === 0) return "";
  const fates = bullets(dataAtRisk.map(({ name, fate }) => `${code(name)} ${fate}`));
  if (unacknowledged.length === 0)
    return alert("WARNING", `**Data is at risk, and somebody has accepted that in words:**\n${fates}`);
  const words = block(unacknowledged.map(acknowledgementOf));
  return alert(
    "CAUTION",
    `**Data is at risk:**\n${fates}\n\n` +
      `If that is meant, say so in the description of the pull request, or in \`ACKNOWLEDGED\` of \`make\`, a line for each:\n\n${words}`,
  );
}

/** What is said of several resources is said once. */
function findingLines(findings: readonly Finding[]): string[] {
  const resources = new Map<string, string[]>();
  for (const { policy, message } of findings) {
    const [, resource, fault] = /^([\w-]+): (.*)$/s.exec(message) ?? [undefined, "", message];
    const said = `${plain(fault)} (${code(policy)})`;
    resources.set(said, [...(resources.get(said) ?? []), resource]);
  }
  return [...resources].map(([said, names]) =>
    [enumerated(names.filter(Boolean).sort()), said].filter(Boolean).join(": "),
  );
}

function exceptionLines({ newExceptions }: Report): string[] {
  return newExceptions.map(({ resource, exception: { rule, part, why, until } }) => {
    const what = code([rule, part].filter(Boolean).join(" "));
    return `${code(resource)}: ${what}${until === undefined ? "" : ` until ${until}`}: ${plain(why)}`;
  });
}

/** Of the gap of a door's replacement the table tells. The other is the provider's, on every zone setting there is. */
function isKnown(warning: string): boolean {
  return (
    / is replaced: port .* closed for some seconds/.test(warning) ||
    warning.includes("cannot be destroyed from Terraform")
  );
}

function readersOf(readers: readonly string[]): string {
  return readers.length === 0 ? "" : `: another container of ${enumerated(readers)} gets them`;
}

function limits({ limits: { memoryMb, cpus }, capacity }: Report): string {
  const meanwhile =
    memoryMb.duringRollout > memoryMb.after
      ? `; while old and new run side by side ${share(memoryMb.duringRollout, capacity?.memoryMb, "MiB")}`
      : "";
  const said = [
    `**Limits of all services together:** memory ${amounts(memoryMb, capacity?.memoryMb, "MiB")}${meanwhile};`,
    `CPU ${amounts(cpus, capacity?.cpus, "CPU")}.`,
  ];
  if (capacity === undefined) said.push("The host did not answer, so what it has is not known.");
  else {
    if (Math.max(memoryMb.after, memoryMb.duringRollout) > capacity.memoryMb)
      said.push("**More memory is promised than there is**: a service may be killed below its limit.");
    if (cpus.after > capacity.cpus)
      said.push("More CPU is promised than there is: when all are busy, each gets its share.");
  }
  return said.join(" ");
}

function amounts({ before, after }: { before: number; after: number }, capacity: number | undefined, unit: string) {
  return `${share(after, capacity, unit)}${before === after ? "" : `, before ${round(before)}`}`;
}

function share(amount: number, capacity: number | undefined, unit: string): string {
  if (capacity === undefined) return `${round(amount)} ${unit}`;
  return `${round(amount)} of ${round(capacity)} ${unit} (${Math.round((100 * amount) / capacity)} %)`;
}

function round(amount: number): string {
  return String(Math.round(amount * 100) / 100);
}

function details(report: Report): string[] {
  const { services, changes, findings } = report;
  const changed = changes.filter(({ op }) => op !== "same");
  const rows = changed.map(({ op, name, type }) => [code(name), type.slice(type.lastIndexOf(":") + 1), DONE[op]]);
  const exceptions = findings
    .filter(({ policy }) => policy === EXCEPTIONS)
    .flatMap(({ message }) => message.split("\n"));
  return [
    services.length > 0 ? folded("What runs, with the changed parts marked", picture(report)) : "",
    folded(`${changed.length} of ${changes.length} resources change`, markdownTable(["name", "type", ""], rows)),
    folded("Declared exceptions to the policies", bullets(exceptions.map(plain))),
  ];
}

function picture({ stack, services, changes }: Report): string {
  const stackName = stackLabel(stack);
  const networks = changes.filter(({ type }) => type === NETWORK);
  const drawn = ({ before, after }: Change) => (after ?? before) as Partial<NetworkInputs>;
  const marks = new Map<string, Mark>();
  for (const { name, what } of services)
    if (what !== "same") marks.set(name, what === "created" ? "new" : what === "removed" ? "gone" : "changed");
  for (const network of networks)
    if (network.op !== "same") {
      const name = String(drawn(network).name).replace(`${stackName}-`, "");
      marks.set(`${name}-network`, network.op === "create" ? "new" : network.op === "delete" ? "gone" : "changed");
    }
  return flowchart({
    containers: containersOf(changes).map(drawnContainer),
    networks: networks.map(drawn),
    ...{ stackName, marks },
  });
}

/** What a job is to write is known in the update alone, if the service is rolled: what it wrote before is drawn. */
function drawnContainer({ before, after }: ContainerChange): Partial<ContainerInputs> {
  const drawn = after ?? before ?? {};
  return settingOf(drawn, "ROUTE") === undefined && before?.restart === "no" ? { ...drawn, envs: before.envs } : drawn;
}
