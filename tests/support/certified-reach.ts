import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as tls from "node:tls";
import type { Pebble } from "./pebble.ts";
import { prepareReach, type Reach, type ReachOptions } from "./reach.ts";

/** A stack whose certificates are to come from this CA, and what its stack file says of them. */
export async function prepareCertifiedReach(pebble: Pebble, options: ReachOptions) {
  const ca = await pebble.root();
  const reach = await prepareReach(options);
  reach.ca = ca;
  const caCertificate = join(reach.project.directory, "pebble-ca.pem");
  writeFileSync(caCertificate, pebble.ca);
  const acme = { kind: "acme", email: "ops@example.com", caServer: pebble.directory, caCertificate, validityHours: 1 };
  return { reach, acme };
}

/** The certificate that the edge shows for a name, whoever made it. */
export async function servedFor(reach: Reach, name: string): Promise<tls.PeerCertificate & { trusted: boolean }> {
  const place = { host: "127.0.0.1", port: reach.httpsPort };
  const socket = tls.connect({ ...place, servername: name, ca: reach.ca, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const certificate = { ...socket.getPeerCertificate(), trusted: socket.authorized };
  socket.destroy();
  return certificate;
}

/** Whether clients trust what the edge shows for a name, and the names that stand in it. */
export async function certifiedNames(reach: Reach, name: string): Promise<{ trusted: boolean; names: string[] }> {
  const { subjectaltname = "", trusted } = await servedFor(reach, name);
  return { trusted, names: subjectaltname.split(", ").sort() };
}
