import { registryOf, repositoryOf, tagOf } from "./reference.ts";

const TIMEOUT_MS = 15_000;

/** What a registry answers for a tag: an index for all architectures where there is one. */
const MANIFEST_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** The digest that a tag has now in its registry, asked without an account. */
export async function resolveDigest(reference: string): Promise<string> {
  const tag = tagOf(reference).replace(/.*:/, "");
  const url = `${registryUrl(reference)}/v2/${repositoryOf(reference)}/manifests/${tag}`;
  let answer = await ask(url);
  const challenge = answer.headers.get("www-authenticate");
  if (answer.status === 401 && challenge) answer = await ask(url, await anonymousToken(challenge));
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const digest = answer.headers.get("docker-content-digest") ?? "";
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`${url} gave no digest`);
  return digest;
}

/** Where the registry of an image answers. One on this machine has no certificate; docker does without one there too. */
export function registryUrl(reference: string): string {
  const registry = registryOf(reference);
  return `${/^(localhost|127\.0\.0\.1)(:|$)/.test(registry) ? "http" : "https"}://${registry}`;
}

function ask(url: string, token?: string): Promise<Response> {
  const headers = new Headers({ Accept: MANIFEST_TYPES });
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return fetch(url, { method: "HEAD", headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

/** `Bearer realm="https://…",service="…",scope="repository:library/node:pull"`. */
async function anonymousToken(challenge: string): Promise<string> {
  const fields = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!, value!]));
  const realm = fields.get("realm");
  if (!realm) throw new Error(`a registry asks for what cannot be given: ${challenge}`);
  const url = new URL(realm);
  for (const name of ["service", "scope"]) if (fields.has(name)) url.searchParams.set(name, fields.get(name)!);
  const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url.href} answered ${answer.status}`);
  const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string };
  return token ?? access_token ?? "";
}
