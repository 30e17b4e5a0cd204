import { expect, test } from "vitest";
import { parse, parseDocument } from "yaml";
import { deleteKey, setKey } from "../../cli/stack/yaml-keys.ts";

const FILE = `# Ours.
config:
  shop:restore:
    uploads: &one # The first.
      id: a
    cache: *one
  shop:edge: &edge { address: 127.0.0.1, ports: &ports [1, 2] }
  shop:other: *edge
  shop:more: *ports
`;

test.each<[what: string, change: (document: ReturnType<typeof parseDocument>) => void, config: object]>([
  [
    "one that an alias stands for",
    (document) => setKey(document, ["config", "shop:restore", "uploads"], { id: "b" }),
    { "shop:restore": { uploads: { id: "b" }, cache: { id: "a" } } },
  ],
  [
    "one with anchors within, which goes",
    (document) => deleteKey(document, ["config", "shop:edge"]),
    { "shop:edge": undefined },
  ],
  [
    "one below an alias",
    (document) => setKey(document, ["config", "shop:other", "address"], "::"),
    { "shop:other": { address: "::", ports: [1, 2] } },
  ],
  ["an alias itself", (document) => setKey(document, ["config", "shop:other"], "none"), { "shop:other": "none" }],
  [
    "one that is new",
    (document) => setKey(document, ["config", "shop:images", "app"], "sha256:1"),
    { "shop:images": { app: "sha256:1" } },
  ],
])("a key is changed, and no other: %s", (_, change, config) => {
  const document = parseDocument(FILE);
  change(document);
  const text = String(document);
  const before = (parse(FILE) as { config: object }).config;
  expect(parse(text)).toEqual(JSON.parse(JSON.stringify({ config: { ...before, ...config } })));
  expect(text).toContain("# Ours.");
});
