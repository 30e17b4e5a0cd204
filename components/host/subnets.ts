import { createHash } from "node:crypto";

/** How the networks of a stack are made, where Docker's own way will not do. */
export interface NetworkSettings {
  /** The largest packet in bytes, for a host whose way out takes less than 1500. @default Docker's */
  mtu?: number;
  /** A range as CIDR, of which each network gets a part for 125 containers. @default Docker's address pools */
  subnets?: string;
}

/** Bits of the address of one network. */
const SIZE = 25;

/**
 * Parts of a range, by the names of networks: another service leaves the others where they are, as each network that moves
 * is made anew. Where two names lead to one part, the later one gets the next that is free.
 */
export class Subnets {
  readonly #range: string;
  readonly #salt: string;
  readonly #taken = new Set<number>();

  constructor(range: string, salt: string) {
    this.#range = range;
    this.#salt = salt;
  }

  /** @throws Error when the range is used up. */
  of(network: string): { subnet: string; gateway: string } {
    const [address, bits] = this.#range.split("/") as [string, string];
    const parts = 2 ** (SIZE - Number(bits));
    if (this.#taken.size === parts)
      throw new Error(
        `networks.subnets: ${this.#range} has room for ${parts} networks, and the program has more: give a larger range`,
      );
    const hash = createHash("sha256").update(`${this.#salt} ${network}`).digest().readUInt32BE();
    let part = hash % parts;
    while (this.#taken.has(part)) part = (part + 1) % parts;
    this.#taken.add(part);
    const size = 2 ** (32 - Number(bits));
    const from = Math.floor(numbered(address) / size) * size + part * 2 ** (32 - SIZE);
    return { subnet: `${dotted(from)}/${SIZE}`, gateway: dotted(from + 1) };
  }
}

function numbered(address: string): number {
  return address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join(".");
}
