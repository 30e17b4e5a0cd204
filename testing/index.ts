/**
 * What a program is tested with: `import { invariants, record } from "bulkhead/testing"`.
 *
 * `record` runs a program with no Docker and no network, and gives what it asks Pulumi for. `invariants` are what must
 * be true of every stack; each gives its complaints.
 */
export {
  container,
  containers,
  label,
  ofType,
  record,
  type ContainerInputs,
  type Recorded,
  type Recording,
  type RecordOptions,
} from "./recorder.ts";
export { invariants } from "./invariants.ts";
