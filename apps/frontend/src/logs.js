/**
 * Structured logs: one JSON object a line on stdout, in the same shape as the backend's. Callers name each field; what
 * must never be among them: bodies, query strings, the Authorization header, client addresses, secrets.
 * @param {"info" | "warning" | "error"} level
 * @param {string} event
 * @param {Record<string, unknown>} fields
 */
export function log(level, event, fields) {
  const line = { timestamp: new Date().toISOString(), level, logger: "reach.frontend", event, ...fields };
  console.log(JSON.stringify(line));
}
