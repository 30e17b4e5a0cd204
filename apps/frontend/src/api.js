/**
 * What the page shows of the API's answer.
 * @typedef {object} ApiStatus
 * @property {string} release
 * @property {number} uptimeSeconds
 * @property {number} clients
 * @property {number} streams
 */

// Shorter than anybody waits for a page: a slow API costs its part of the page, not the page.
const TIMEOUT_MS = 2000;

/**
 * Asks the API for its status. Throws when there is no usable answer.
 * @param {string} apiUrl
 * @returns {Promise<ApiStatus>}
 */
export async function fetchApiStatus(apiUrl) {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const ask = () => fetch(`${apiUrl}/api/status`, { signal, redirect: "error" });
  // A connection that was kept alive may end at the very moment in which it is used again: the API was replaced. A
  // read can be asked twice, so it is, on a new connection and within the same time.
  const response = await ask().catch((error) => (signal.aborted ? Promise.reject(error) : ask()));
  if (!response.ok) {
    // Else the connection stays taken until somebody reads the rest.
    await response.body?.cancel();
    throw new Error(`the API answered ${response.status}`);
  }
  // Not the parser's own error: it quotes what it could not parse.
  return parseStatus(await response.json().catch(() => undefined));
}

/**
 * @param {unknown} value
 * @returns {ApiStatus}
 */
function parseStatus(value) {
  const { release, uptimeSeconds, clients, streams } = /** @type {Partial<ApiStatus>} */ (Object(value));
  if (
    typeof release !== "string" ||
    typeof uptimeSeconds !== "number" ||
    typeof clients !== "number" ||
    typeof streams !== "number"
  ) {
    throw new Error("the API's answer is not a status");
  }
  return { release, uptimeSeconds, clients, streams };
}
