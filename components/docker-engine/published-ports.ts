/** What Docker's list of containers says of one. */
export interface Publisher {
  Names: string[];
  /** As it was made with; the id where another image has taken its tag. */
  Image?: string;
  Labels: Record<string, string>;
  Ports: { PublicPort?: number; IP?: string; Type: string }[];
}

/** The containers that hold a TCP port of the host, on an address or on all. */
export function publishersOf(containers: readonly Publisher[], address: string, port: number): Publisher[] {
  return containers.filter(({ Ports }) =>
    Ports.some(({ Type, PublicPort, IP = "" }) => Type === "tcp" && PublicPort === port && overlap(IP, address)),
  );
}

/** Two addresses that cannot hold the same port at once. */
export function overlap(one: string, other: string): boolean {
  const every = (address: string) => ["", "0.0.0.0", "::"].includes(address);
  return one === other || every(one) || every(other);
}
