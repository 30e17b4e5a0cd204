/** What makes a preview fail, or what it only says. */
export type Severity = "mandatory" | "advisory";

/** A rule that looks at one resource, before it is made or changed. */
export interface Rule<Props = Record<string, unknown>> {
  name: string;
  severity: Severity;
  /** What can happen, in one sentence, and where it is asked for: CIS Docker Benchmark 1.6, OWASP or NSA/CISA. */
  why: string;
  /** What to do, in one sentence. */
  cure: string;
  /** Pulumi's type of the resources that it looks at. */
  type: string;
  /** What is wrong with it. */
  faults: (props: Props, resource: Resource<Props>) => (string | Fault)[];
}

/** A rule that looks at all resources of a stack, at the end of a preview or an update. */
export interface StackRule extends Omit<Rule, "type" | "faults"> {
  faults: (resources: readonly Resource[]) => (Fault & { resource: Resource })[];
}

export interface Fault {
  what: string;
  /** What of the resource it is about, for an exception that is for this part alone. */
  part?: string;
  /** What that is a part of, for an exception that is for more than one. */
  within?: string;
}

/** A resource as a program asks for it. */
export interface Resource<Props = Record<string, unknown>> {
  type: string;
  name: string;
  urn: string;
  props: Props;
  opts: { protect: boolean };
}

/** A rule as it is written, where the same one is for several types. */
export type Row<Subject> = Omit<Rule, "type" | "faults"> & { faults: (subject: Subject) => (string | Fault)[] };
