// The ordinary way of deploying: what `bulkhead up` and `bulkhead rollback` do with a stack.
import { resolve, sep } from "node:path";
import { provideImages } from "../toolchain/images.ts";
import { formatSeconds, say } from "../toolchain/steps.ts";
import type { Agreement } from "./agreement.ts";
import { DONE, FAILED, NOT_REACHED } from "./exit-codes.ts";
import { ask } from "./report/prompt.ts";
import type { LocalCertificate } from "./stack/local-certificates.ts";
import { acknowledgementOf } from "./preview/data.ts";
import { explainedPreview } from "./preview/explain.ts";
import { isRefused, markdown } from "./preview/report.ts";
import { timesStarted, type ContainerState } from "./audit/host-state.ts";
import { hostTime, removeOrphans, adoptPendingOperations } from "./stack/recovery.ts";
import { ensureAlone, runAlone } from "./stack/lock.ts";
import { retireOldLogins } from "./stack/old-logins.ts";
import { recordRelease } from "./stack/releases.ts";
import { lookAndCure } from "./doctor/outside.ts";
import { complaints, outsideOf, type Seen } from "./doctor/outside-verdict.ts";
import { servicesIn } from "./doctor/published.ts";
import { committedFile, prepareLocal, readStackFile, textIn, type Stack } from "./stack/stack.ts";
import { programSettings } from "./stack/program-settings.ts";
import { readState, type State } from "./stack/state-files.ts";
import { green, yellow } from "./report/colour.ts";
import { table } from "./report/table.ts";
import { configKey, localDirectory, programDirectory, stackLabel } from "./stack/program.ts";

/** Preview, question and update, then what a killed run left is removed, and a table; gives the exit code. */
export async function deploy(
  stack: Stack,
  agreement: Agreement,
  { args = [], asks = stack.name !== "local", updated }: DeployOptions = {},
): Promise<number> {
  const start = Date.now();
  await ensureAlone(stack);
  const local = stack.name === "local";
  const ca = local ? await prepareLocalStack(stack) : undefined;
  await adoptPendingOperations(stack);
  const began = await hostTime(stack);
  if (asks && !(await isAgreed(stack, agreement, args))) {
    say("Nothing was changed.");
    return FAILED;
  }
  const code = await runAlone(stack, ["up", "--stack", stack.name, "--yes", "--skip-preview", ...args]);
  // Pulumi's own codes mean other things than ours.
  if (code !== 0) return FAILED;
  updated?.();
  const state = await readState(stack);
  await removeOrphans(stack, began, state);
  await retireOldLogins(stack.engine, stackLabel(stack.name));
  const outputs = outputsIn(state);
  if (outputs === undefined)
    throw new Error(
      "index.ts: services: missing among its exports: end it with `export const { url, services } = stackOutputs();`",
    );
  await recordRelease(stack, servedImages(outputs));
  const seen = await lookAndCure(stack.engine, stack.name, servicesIn(state.deployment.resources));
  await report(stack, outputs, seen);
  if (ca) say(`The certificate is signed by a CA of this machine: ${ca}`);
  say(`Up after ${formatSeconds((Date.now() - start) / 1000)}.`);
  const red = complaints(seen);
  if (red.length === 0) return DONE;
  say(`\nDeployed, but clients do not reach all of it:\n${red.join("\n")}`);
  return NOT_REACHED;
}

export interface DeployOptions {
  /** More for `pulumi preview` and `pulumi up`. @default [] */
  args?: readonly string[];
  /** Whether the preview is shown first, and a word is asked for. @default unless it is the stack of this machine */
  asks?: boolean;
  /** Called when Pulumi has made the update, before what else there is to do. */
  updated?: () => void;
}

/** Shows what would happen, and asks for a word: nothing is lost because nobody looked. */
export async function isAgreed(stack: Stack, agreement: Agreement, args: readonly string[] = []): Promise<boolean> {
  const report = await explainedPreview(stack, agreement, { args });
  console.log(`\n${markdown(report, { brief: true })}`);
  if (isRefused(report)) return false;
  if (agreement.yes && !agreement.asksForLoss) return report.unacknowledged.length === 0;
  for (const risk of report.unacknowledged) {
    const words = acknowledgementOf(risk);
    if (
      (await ask(`To go on, type: ${words}\n`, `--accept-data-loss ${risk.name}, or ACKNOWLEDGED="${words}"`)) !== words
    )
      return false;
  }
  return agreement.yes === true || (await ask("Update the stack? (yes or no) ", "--yes, or YES=1")) === "yes";
}

/**
 * What only the stack `local` needs: certificates of its own, and images even where no registry can be reached. Gives
 * the file of the CA that signed the certificate, if it is ours.
 */
export async function prepareLocalStack(stack: Stack): Promise<string | undefined> {
  const { config = {} } = await readStackFile(committedFile("local"));
  const files = config[configKey("certificates")] as { certificate?: string; privateKey?: string } | undefined;
  const path = (file: string | undefined) => resolve(programDirectory, file ?? "");
  const [certificate, privateKey] = [path(files?.certificate), path(files?.privateKey)];
  // A certificate from elsewhere is the user's to keep.
  const ours = [certificate, privateKey].every((file) => file.startsWith(localDirectory + sep));
  const domain = textIn(config, configKey("domain")) ?? "localhost";
  const ca = ours ? await localCertificate({ certificate, privateKey, domain }) : undefined;
  const { images } = await programSettings();
  // A stack with a tunnel names its own, which is no stack of this machine's.
  await prepareLocal(stack, await provideImages(stack.engine, { ...images, cloudflared: undefined }));
  return ca;
}

/** Loaded for a local stack alone: what makes certificates takes longer to load than most of the command. */
async function localCertificate(wanted: LocalCertificate): Promise<string> {
  const { provideLocalCertificate } = await import("./stack/local-certificates.ts");
  return provideLocalCertificate(wanted);
}

/** What the program says of the stack at its end. None of it is a secret. */
export function outputsIn({ deployment }: State): Outputs | undefined {
  return deployment.resources?.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs as Outputs | undefined;
}

export interface Outputs {
  url: string;
  services: Record<string, { container: string; image: string; url?: string }>;
}

/** Of the services behind the edge: the door and the edge itself have no path of their own. */
export function servedImages({ services }: Outputs): Record<string, string> {
  const served = Object.entries(services).filter(([, { url }]) => url !== undefined);
  return Object.fromEntries(served.map(([service, { image }]) => [service, image]));
}

async function report(stack: Stack, outputs: Outputs, seen: readonly Seen[]): Promise<void> {
  const rows = await Promise.all(
    Object.entries(outputs.services).map(async ([service, { container, image, url }]) => [
      service,
      url ?? "",
      coloured(await healthOf(stack, container)),
      outsideOf(seen, service),
      // An image that was built here has no name but its id.
      image.replace(/^(sha256:.{12}).*/, "$1"),
    ]),
  );
  // A program without an edge has neither.
  if (rows.length > 0) console.log(`\n${table([["SERVICE", "URL", "HEALTH", "FROM OUTSIDE", "IMAGE"], ...rows])}`);
  if (outputs.url) console.log(`\nOpen ${outputs.url}`);
}

function coloured(health: string): string {
  return health === "healthy" ? green(health) : yellow(health);
}

async function healthOf({ engine }: Stack, container: string): Promise<string> {
  const { State, RestartCount } = await engine.get<Pick<ContainerState, "State" | "RestartCount">>(
    `/containers/${container}/json`,
  );
  const status = State.Health?.Status ?? State.Status;
  return RestartCount > 0 ? `${status}, ${timesStarted(RestartCount)}` : status;
}
