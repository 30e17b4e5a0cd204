import { assetPath } from "./assets.js";

/** @import { ApiStatus } from "./api.js" */

/**
 * The page. Nothing in it is inline (no script, no style, no handler), so that the strictest content security policy,
 * `default-src 'self'`, does not break it.
 * @param {string} release
 * @param {ApiStatus | undefined} status undefined: the API did not answer
 * @param {number} [filesMaxMb] the largest file that can be sent; none: there is nothing to send it to
 */
export function renderPage(release, status, filesMaxMb) {
  return document(
    "Reach",
    `
      <p>A small, true application: two services behind one address, and a stream that stays open.</p>
      <section aria-labelledby="server-title">
        <h2 id="server-title">Seen by the server</h2>
        <div id="server-status" data-state="${status ? "ok" : "failed"}">
          <p class="state">${status ? "The API answered while this page was made." : "The API did not answer while this page was made."}</p>
          ${statusList(status)}
        </div>
      </section>
      <section aria-labelledby="browser-title">
        <h2 id="browser-title">Seen by your browser</h2>
        <div id="api-status" data-state="waiting">
          <p class="state" role="status">Asking the API …</p>
          ${statusList(undefined)}
        </div>
      </section>
      <section aria-labelledby="stream-title">
        <h2 id="stream-title">The stream</h2>
        <p id="stream-state" class="state" role="status">Connecting …</p>
        <ul id="stream"></ul>
      </section>${filesMaxMb ? filesSection(filesMaxMb) : ""}
      <noscript><p>All but the first part needs JavaScript.</p></noscript>
      <footer>This page was made by release <b id="release">${escapeHtml(release)}</b>.</footer>`,
  );
}

export function renderNotFound() {
  return document("Not found", `<p>There is no such page. <a href="/">To the start</a></p>`);
}

/** @type {(title: string, main: string) => string} */
function document(title, main) {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>${title}</title>
    <link rel="icon" type="image/svg+xml" href="${assetPath("icon.svg")}" />
    <link rel="stylesheet" href="${assetPath("page.css")}" />
    <script type="module" src="${assetPath("page.js")}"></script>
  </head>
  <body>
    <main>
      <h1>${title}</h1>${main}
    </main>
  </body>
</html>`;
}

/** @param {number} maxMb */
function filesSection(maxMb) {
  return `
      <section aria-labelledby="files-title">
        <h2 id="files-title">Files</h2>
        <p id="files-state" class="state" role="status">Up to ${maxMb} MiB. Your browser sends it to the storage, past this server.</p>
        <form id="files">
          <label>API key <input name="key" type="password" autocomplete="off" required /></label>
          <label>File <input name="file" type="file" required /></label>
          <button>Send</button>
        </form>
        <ul id="sent"></ul>
      </section>`;
}

/**
 * The browser's script fills the same list by the names in data-field.
 * @param {ApiStatus | undefined} status
 */
function statusList(status) {
  /** @type {[keyof ApiStatus, string][]} */
  const rows = [
    ["release", "Release"],
    ["uptimeSeconds", "Uptime in seconds"],
    ["clients", "Tunnel clients"],
    ["streams", "Open streams"],
  ];
  const items = rows.map(
    ([field, name]) =>
      `<div><dt>${name}</dt><dd data-field="${field}">${escapeHtml(status ? String(status[field]) : "–")}</dd></div>`,
  );
  return `<dl>${items.join("")}</dl>`;
}

/** @param {string} text */
export function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
