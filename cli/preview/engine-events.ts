// What Pulumi's engine tells of a preview, event by event: the same stream that its Automation API hands on.
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events.js";

/** What happens to one resource. */
export interface Change {
  urn: string;
  /** The name that the program gave it. */
  name: string;
  type: string;
  op: "same" | "create" | "update" | "replace" | "delete";
  /** Of a replacement: the old one is gone before the new one comes. */
  deleteBeforeReplace: boolean;
  /** What the program asked for before. A secret is "[secret]". */
  before?: Readonly<Record<string, unknown>>;
  /** What it asks for now. What only the update can know is UNKNOWN. */
  after?: Readonly<Record<string, unknown>>;
  /** As it is called where it is, such as a volume's name on the host. */
  id?: string;
  /** It stays where it is when the stack lets go of it. */
  retained: boolean;
}

/** What is done to a resource, as a word. */
export const DONE: Record<Change["op"], string> = {
  same: "as before",
  create: "made",
  update: "changed",
  replace: "made anew",
  delete: "removed",
};

/** By which Pulumi says that a value is not known yet: `unknownValue` of its SDK, which is slow to load. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export interface Finding {
  policy: string;
  mandatory: boolean;
  /** Without the policy's description. */
  message: string;
}

export interface Preview {
  /** Every resource, also those that stay as they are, in the order of Pulumi. */
  changes: readonly Change[];
  /** What the policies have to say. */
  findings: readonly Finding[];
  warnings: readonly string[];
  /** Why there is no whole preview. */
  errors: readonly string[];
}

/** @param log the lines of `pulumi preview --event-log`. */
export function previewOf(log: string): Preview {
  const events = log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as EngineEvent);
  // The same is told for each resource that it concerns.
  const diagnostics = (severity: string) => [
    ...new Set(
      events.flatMap(({ diagnosticEvent: event }) => (event?.severity === severity ? [event.message.trim()] : [])),
    ),
  ];
  return {
    changes: changesIn(events.flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])),
    findings: events.flatMap(({ policyEvent: event }) =>
      event === undefined
        ? []
        : {
            policy: event.policyName,
            mandatory: event.enforcementLevel === "mandatory",
            // The first line is the policy's description.
            message: event.message.trim().replace(/^.*\n/, ""),
          },
    ),
    warnings: diagnostics("warning"),
    errors: diagnostics("error"),
  };
}

function changesIn(steps: readonly StepEventMetadata[]): Change[] {
  const byUrn = new Map<string, StepEventMetadata[]>();
  for (const step of steps) byUrn.set(step.urn, [...(byUrn.get(step.urn) ?? []), step]);
  return [...byUrn].flatMap(([urn, own]) => {
    const at = (op: string) => own.findIndex((step) => step.op === op);
    const index = ["replace", "create", "update", "delete", "same"].map(at).find((found) => found >= 0);
    // What an interrupted update has left to delete is no change of this one, nor is what is only read.
    if (index === undefined) return [];
    const { op, type, old, new: wanted } = own[index]!;
    const [gone, made] = [at("delete-replaced"), at("create-replacement")];
    return {
      ...{ urn, type, name: urn.slice(urn.lastIndexOf("::") + 2) },
      op: op as Change["op"],
      deleteBeforeReplace: gone >= 0 && gone < made,
      ...(old && { before: old.inputs, id: old.id }),
      ...(wanted && { after: wanted.inputs }),
      retained: old?.retainOnDelete ?? false,
    };
  });
}
