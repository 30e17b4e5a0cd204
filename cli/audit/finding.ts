/** One thing on the host that is not as the stack promises. */
export interface Finding {
  /** Its name in the program, or on the host where the program does not know it. */
  resource: string;
  field: string;
  promised: string;
  found: string;
  cure: string;
}
