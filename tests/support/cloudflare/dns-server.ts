import { createSocket } from "node:dgram";
import { once } from "node:events";
import { AUTHORITATIVE_ANSWER, decode, encode, type Answer, type StringAnswer } from "dns-packet";
import type { Zone, Zones } from "./zones.ts";

export interface DnsServer {
  /** Of this type it knows no record from now on: they have not got around yet. None: it knows all. */
  hide: (type?: string) => void;
  close: () => Promise<void>;
}

/** Answers for the zones of an emulator over real DNS (UDP), whatever is in them at that moment. */
export async function startDnsServer(zones: Zones, address: string): Promise<DnsServer> {
  let hidden: string | undefined;
  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address: asker }) => {
    const { id, questions = [] } = decode(message);
    const [question] = questions;
    if (!question) return;
    const name = question.name.toLowerCase();
    const zone = zones.holding(name);
    const answers = zone && question.type !== hidden ? answersOf(zone, name, question.type) : [];
    const authorities = zone && answers.length === 0 ? [soa(zone)] : [];
    socket.send(
      encode({ type: "response", id, flags: AUTHORITATIVE_ANSWER, questions, answers, authorities }),
      port,
      asker,
    );
  });
  socket.bind(53, address);
  await once(socket, "listening");
  return {
    hide: (type) => (hidden = type),
    close: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}

function answersOf(zone: Zone, name: string, type: string): Answer[] {
  if (type === "SOA") return name === zone.name ? [soa(zone)] : [];
  if (type === "NS") return name === zone.name ? [{ type: "NS", name, ttl: 60, data: NAME_SERVER }] : [];
  const there = [...zone.records.values()].filter((record) => record.name === name && record.type === type);
  return there.flatMap(({ content }): Answer[] => {
    // The API gives texts in quotes.
    if (type === "TXT") return [{ type, name, ttl: 60, data: content.replace(/^"|"$/g, "") }];
    if (type === "A" || type === "AAAA" || type === "CNAME")
      return [{ type, name, ttl: 60, data: content } satisfies StringAnswer];
    return [];
  });
}

function soa({ name }: Zone): Answer {
  const data = { mname: NAME_SERVER, rname: `dns.${name}`, serial: 1, refresh: 60, retry: 60, expire: 60, minimum: 0 };
  return { type: "SOA", name, ttl: 0, data };
}

const NAME_SERVER = "ada.ns.example";
