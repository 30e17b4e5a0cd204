import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { Engine, RegistryLogin } from "../docker-engine/client.ts";

/** Who the stack is at each private registry, by its address, like "ghcr.io". */
export type Registries = Readonly<Record<string, { user: string; token: string }>>;

/**
 * Has Docker pull every image that the host has not, before anything is made. A registry is told who asks: as the stack says
 * in `registries`, else as `docker login` on this machine did. Docker keeps none of it, and neither does the state.
 *
 * @throws RunError with every image that a registry refuses, or that is for another kind of processor, and with one for the
 *   edge that names a user. What else keeps an image away is told by the container that needs it.
 */
export async function provideImages(
  engine: Engine,
  images: Readonly<Record<string, string | undefined>>,
  registries: Registries = {},
): Promise<void> {
  if (pulumi.runtime.isDryRun()) return;
  const { Architecture } = await engine.get<{ Architecture: string }>("/info");
  const host = DOCKER_NAMES[Architecture] ?? Architecture;
  const problems = await Promise.all(
    Object.entries(images).map(async ([key, reference]) => {
      if (reference === undefined) return [];
      const found = () => engine.find<Image>(`/images/${reference}/json`);
      let image = await found();
      if (image === undefined) {
        const refused = await pull(engine, reference, registries);
        if (refused !== undefined) return [`images.${key}: ${refused}`];
        image = await found();
      }
      if (image === undefined) return [];
      return [
        ...(image.Architecture === host ? [] : [otherProcessor(`images.${key}`, reference, image.Architecture, host)]),
        // It carries files into volumes too, and Docker gives all of them to the user that an image names.
        ...(key === "traefik" && image.Config?.User
          ? [
              `images.traefik: ${reference} names the user ${image.Config.User}: give one without USER, as the official is`,
            ]
          : []),
      ];
    }),
  );
  if (problems.flat().length > 0) throw new pulumi.RunError(problems.flat().join("\n"));
}

interface Image {
  Architecture: string;
  Config?: { User?: string };
}

/** As `docker info` has it, and as images do. */
const DOCKER_NAMES: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64", armv7l: "arm" };

function otherProcessor(at: string, reference: string, architecture: string, host: string): string {
  return `${at}: ${reference} is for ${architecture}, and the host is ${host}: give the digest of the tag's index, or build it for ${host}`;
}

/** Why the registry refuses; undefined also for a failure of another kind. */
async function pull(engine: Engine, reference: string, registries: Registries): Promise<string | undefined> {
  const address = registryOf(reference);
  const own = registries[address];
  const login = own ? { username: own.user, password: own.token } : dockerLogin(address);
  try {
    await engine.pull(reference, login && { ...login, serveraddress: address });
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    if (/toomanyrequests|too many requests|\b429\b|rate limit/i.test(message))
      return (
        `${address} has had too many requests (429), and gives nothing for now: ` +
        (login ? "run this again later" : `${HOW_TO_LOG_IN}, which most registries allow more, or run this again later`)
      );
    if (/no matching manifest for/.test(message))
      return `${reference} is not there for the host's processor: give the digest of an index that has it`;
    if (!/unauthorized|denied|no basic auth|authentication required|forbidden|\b40[13]\b/i.test(message))
      return undefined;
    if (own)
      return `${address} refuses the user ${own.user}: give one that may pull ${reference}, and its token, in registries`;
    return login
      ? `${address} refuses the login that docker has on this machine: docker login ${address}, or give registries`
      : `${address} wants to know who asks: ${HOW_TO_LOG_IN}`;
  }
}

const HOW_TO_LOG_IN = "give a user and a token in registries, or docker login on this machine";

/** Address of the registry that an image is pulled from. */
export function registryOf(reference: string): string {
  const [first, ...rest] = reference.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first!) ? first! : "docker.io";
}

/** What `docker login` on this machine left for a registry, in its file or in a helper of the system's. */
function dockerLogin(address: string): Pick<RegistryLogin, "username" | "password" | "identitytoken"> | undefined {
  const file = join(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json");
  if (!existsSync(file)) return undefined;
  const config = JSON.parse(readFileSync(file, "utf8")) as DockerConfig;
  const key = address === "docker.io" ? "https://index.docker.io/v1/" : address;
  const helper = config.credHelpers?.[address] ?? config.credsStore;
  if (helper !== undefined && /^[\w-]+$/.test(helper)) {
    try {
      const answer = execFileSync(`docker-credential-${helper}`, ["get"], {
        ...{ input: key, timeout: 10_000, stdio: ["pipe", "pipe", "ignore"] },
      });
      const { Username, Secret } = JSON.parse(String(answer)) as { Username: string; Secret: string };
      return Username === "<token>" ? { identitytoken: Secret } : { username: Username, password: Secret };
    } catch {
      // It has none for this registry.
    }
  }
  const { auth, identitytoken } = config.auths?.[key] ?? {};
  if (identitytoken) return { identitytoken };
  const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth ?? "", "base64").toString()) ?? [];
  return username ? { username, password } : undefined;
}

interface DockerConfig {
  auths?: Record<string, { auth?: string; identitytoken?: string } | undefined>;
  credHelpers?: Record<string, string | undefined>;
  credsStore?: string;
}
