import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/**
 * @typedef {object} Asset
 * @property {string} path the path to link to, with a hash of the content in it
 * @property {string} type
 * @property {Buffer} content
 */

const FOLDER = new URL("../public/", import.meta.url);

// All there is, by name, read once at the start: no request can reach the file system.
const files = {
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
};

/** @type {Map<string, Asset>} */
const assets = new Map(Object.entries(files).map(([name, type]) => [name, load(name, type)]));

/**
 * Where the page finds an asset.
 * @param {keyof typeof files} name
 */
export function assetPath(name) {
  return /** @type {Asset} */ (assets.get(name)).path;
}

/**
 * The asset behind a path, and whether the path names exactly this content: then it may be kept for ever. In the moment
 * of a rollout a page of the last release asks the next one for its assets; today's are better than none, so any hash
 * finds them, but then nobody may keep them.
 * @param {string} path
 * @returns {{ asset: Asset, exact: boolean } | undefined}
 */
export function findAsset(path) {
  const [, base, extension] = /^\/assets\/(\w+)\.[0-9a-f]{16}\.(\w+)$/.exec(path) ?? [];
  const asset = assets.get(`${base}.${extension}`);
  return asset && { asset, exact: asset.path === path };
}

/** @type {(name: string, type: string) => Asset} */
function load(name, type) {
  const content = readFileSync(new URL(name, FOLDER));
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 16);
  return { path: `/assets/${name.replace(".", `.${hash}.`)}`, type, content };
}
