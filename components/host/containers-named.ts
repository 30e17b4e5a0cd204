import type { Engine } from "../docker-engine/client.ts";

interface Listed {
  Id: string;
  State: string;
  Created: number;
  Mounts?: { Name?: string }[];
}

/** The containers of a stack that a program gave a name, by their labels, newest first: those that have ended too. */
export async function containersNamed(
  { engine, stackName }: { engine: Engine; stackName: string },
  name: string,
): Promise<Listed[]> {
  const filters = JSON.stringify({ label: [`bulkhead.stack=${stackName}`, `bulkhead.name=${name}`] });
  const found = await engine.get<Listed[]>(`/containers/json?all=1&filters=${encodeURIComponent(filters)}`);
  return found.sort((one, other) => other.Created - one.Created);
}
