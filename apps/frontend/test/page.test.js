import assert from "node:assert/strict";
import { test } from "node:test";
import { assetPath, findAsset } from "../src/assets.js";
import { renderNotFound, renderPage } from "../src/page.js";

const status = { release: "api-1", uptimeSeconds: 12.5, clients: 3, streams: 4 };

test("shows what the API said", () => {
  const page = renderPage("web-1", status);
  assert.match(page, /<div id="server-status" data-state="ok">[^]*?<dd data-field="release">api-1<\/dd>/);
  assert.match(page, /<dd data-field="uptimeSeconds">12\.5<\/dd>/);
  assert.match(page, /<b id="release">web-1<\/b>/);
});

test("says that the API did not answer", () => {
  const page = renderPage("web-1", undefined);
  assert.match(page, /<div id="server-status" data-state="failed">\s*<p class="state">The API did not answer/);
});

test("has the places that the browser fills", () => {
  const page = renderPage("web-1", status);
  for (const id of ["api-status", "server-status", "stream", "stream-state"]) {
    assert.equal(page.split(` id="${id}"`).length, 2, id);
  }
});

test("has a form for files where there is something to send them to", () => {
  assert.match(renderPage("web-1", status, 100), /<p id="files-state"[^>]*>Up to 100 MiB\.[^]*<form id="files">/);
  assert.doesNotMatch(renderPage("web-1", status), /files/);
});

test("escapes what comes from elsewhere", () => {
  const page = renderPage(`"><script>1</script>`, { ...status, release: "<img src=x onerror='1'>&" });
  assert.ok(!page.includes("<script>"));
  assert.ok(!page.includes("<img"));
  assert.match(page, /&#60;img src=x onerror=&#39;1&#39;&#62;&#38;/);
});

test("needs nothing that `default-src 'self'` forbids", () => {
  for (const page of [renderPage("web-1", status, 100), renderNotFound()]) {
    assert.doesNotMatch(page, /<style|\sstyle=|\son\w+=|javascript:|data:/i);
    // Every script has a source and no text, and every address is of this site.
    for (const [tag] of page.matchAll(/<script[^]*?<\/script>/g))
      assert.match(tag, /^<script [^>]*src="[^"]+"><\/script>$/);
    for (const [, address] of page.matchAll(/(?:src|href|action)="([^"]*)"/g)) assert.match(address ?? "", /^\/(?!\/)/);
  }
});

test("finds an asset by its hash, and by an older one", () => {
  const path = assetPath("page.css");
  assert.match(path, /^\/assets\/page\.[0-9a-f]{16}\.css$/);
  assert.equal(findAsset(path)?.exact, true);
  const older = findAsset("/assets/page.0000000000000000.css");
  assert.equal(older?.exact, false);
  assert.equal(older?.asset.path, path);
  for (const other of ["/assets/page.css", "/assets/main.0000000000000000.js", `${path}/`, `/..${path}`, "/assets/"]) {
    assert.equal(findAsset(other), undefined, other);
  }
});
