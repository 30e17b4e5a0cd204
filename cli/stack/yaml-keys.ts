// Keys of a YAML file that a person keeps, changed in place: its comments stay, and so do its anchors and aliases.
import { isAlias, isNode, visit, type Document, type Node } from "yaml";

/** Sets a key, by its path. What an alias elsewhere stands for stays what it was. */
export function setKey(document: Document, path: readonly string[], value: unknown): void {
  ownCopies(document, path.slice(0, -1));
  keepAnchors(document, path);
  document.setIn(path, value !== null && typeof value === "object" ? document.createNode(value) : value);
}

/** Takes a key away, by its path. What an alias elsewhere stands for stays what it was. */
export function deleteKey(document: Document, path: readonly string[]): void {
  ownCopies(document, path.slice(0, -1));
  keepAnchors(document, path);
  document.deleteIn(path);
}

/** What is changed below an alias is changed here alone. */
function ownCopies(document: Document, path: readonly string[]): void {
  for (const [index] of path.entries()) {
    const at = path.slice(0, index + 1);
    const node = document.getIn(at, true);
    if (isAlias(node)) document.setIn(at, withoutAnchors(node.resolve(document)!.clone() as Node));
  }
}

/** Each anchor of what goes moves to its first alias that stays. */
function keepAnchors(document: Document, path: readonly string[]): void {
  const going = document.getIn(path, true);
  if (!isNode(going)) return;
  const anchored = new Map<string, Node>();
  visit(going, {
    Node: (_, node) => {
      if (!isAlias(node) && node.anchor) anchored.set(node.anchor, node);
    },
  });
  visit(document, {
    Alias: (_, alias, parents) => {
      const node = anchored.get(alias.source);
      if (node === undefined || parents.includes(going)) return undefined;
      anchored.delete(alias.source);
      return node.clone() as Node;
    },
  });
}

function withoutAnchors(node: Node): Node {
  visit(node, {
    Node: (_, inner) => {
      if (!isAlias(inner)) delete inner.anchor;
    },
  });
  return node;
}
