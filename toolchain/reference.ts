// The parts of an image reference, `[registry/]name:tag[@sha256:…]`, as Docker understands them.

/** `name:tag` of `name:tag@sha256:…`. */
export function tagOf(reference: string): string {
  return reference.replace(/@.*/, "");
}

/** `name` of `name:tag@sha256:…`, with the registry if it is given. */
export function nameOf(reference: string): string {
  return tagOf(reference).replace(/:[^:/]*$/, "");
}

/** The host that serves an image. */
export function registryOf(reference: string): string {
  const registry = registryIn(reference);
  return registry === undefined || registry === "docker.io" ? "registry-1.docker.io" : registry;
}

/** The name that the registry knows an image by: Docker Hub keeps those without an owner under `library`. */
export function repositoryOf(reference: string): string {
  const name = nameOf(reference);
  const registry = registryIn(reference);
  if (registry !== undefined && registry !== "docker.io") return name.slice(registry.length + 1);
  const onHub = name.replace(/^docker\.io\//, "");
  return onHub.includes("/") ? onHub : `library/${onHub}`;
}

function registryIn(reference: string): string | undefined {
  const [first, ...rest] = reference.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first!) ? first : undefined;
}
