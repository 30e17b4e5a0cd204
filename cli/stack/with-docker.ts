import type { Engine } from "../../components/docker-engine/client.ts";
import { findDocker } from "../../toolchain/docker.ts";
import { connect, hostOf, type Host } from "./stack.ts";

/**
 * Does work with the Docker of a stack, and closes the connection whatever comes of it. It starts no Docker and no Pulumi.
 *
 * @param shared whether one connection over ssh serves all, one that is there from before too. @default true
 */
export async function withDocker<T>(
  stack: string,
  work: (engine: Engine, host: Host) => Promise<T>,
  shared = true,
): Promise<T> {
  const host = await hostOf(stack, findDocker);
  const engine = await connect(host, shared);
  try {
    return await work(engine, host);
  } finally {
    engine.close();
  }
}
