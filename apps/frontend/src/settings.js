import { hostname } from "node:os";

/**
 * Everything that can be set.
 * @typedef {object} Settings
 * @property {string} host
 * @property {number} port
 * @property {string} apiUrl where this server (not the browser) reaches the API
 * @property {string} release
 * @property {number} drainSeconds
 * @property {number} [filesMaxMb] the largest file that the API takes; none: it takes none
 */

/**
 * Throws on a bad setting: which one, what is wrong, how to cure it.
 * @param {Record<string, string | undefined>} environment
 * @returns {Settings}
 */
export function readSettings(environment) {
  const { HOST = "0.0.0.0", PORT = "3000", API_URL = "http://localhost:8765", DRAIN_SECONDS = "30" } = environment;
  const { FILES_MAX_MB = "" } = environment;
  return {
    host: HOST,
    port: number("PORT", PORT, 65535, "a port: give a number from 0 (any free one)"),
    apiUrl: baseUrl("API_URL", API_URL),
    // In a container the host name is the container's id, so two releases differ even when nobody names them.
    release: environment["RELEASE"] || hostname(),
    drainSeconds: number("DRAIN_SECONDS", DRAIN_SECONDS, 3600, "a time: give whole seconds from 0"),
    ...(FILES_MAX_MB && { filesMaxMb: number("FILES_MAX_MB", FILES_MAX_MB, 5000, "a size: give whole MiB from 0") }),
  };
}

/** @type {(name: string, text: string, most: number, what: string) => number} */
function number(name, text, most, what) {
  if (!/^\d{1,5}$/.test(text) || Number(text) > most) {
    throw new Error(`${name}: ${JSON.stringify(text)} is not ${what} to ${most}`);
  }
  return Number(text);
}

/** @type {(name: string, text: string) => string} */
function baseUrl(name, text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // A user name and password in it would end up in error messages.
  if (!url || !/^https?:$/.test(url.protocol) || url.href !== url.origin + url.pathname) {
    throw new Error(
      `${name}: not a base URL: give http://host:port or http://host:port/path, without a query or a password`,
    );
  }
  return url.href.replace(/\/$/, "");
}
