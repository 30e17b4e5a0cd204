import { EDGE_ALIAS } from "../../components/edge/edge-container.ts";
import { expect } from "vitest";
import type { OutsideWorld } from "./outside-world.ts";
import { runProbe } from "./probe.ts";
import type { Reach, RequestOptions } from "./reach.ts";

/** What the backend takes for the address of a client. */
export async function addressSeen(reach: Reach, options: RequestOptions): Promise<string> {
  return (JSON.parse((await reach.request("/api/whoami", options)).text) as { address: string }).address;
}

export async function expectOwnAddresses(reach: Reach, world: OutsideWorld): Promise<void> {
  for (const address of [world.address, world.otherAddress]) {
    expect(await addressSeen(reach, { connection: world.connect(reach.httpsPort, address) })).toBe(address);
  }
}

/** The address that lies claim. */
export const CLAIMED_ADDRESS = "203.0.113.7";

export async function expectHeadersNotBelieved(reach: Reach, world: OutsideWorld): Promise<void> {
  for (const header of ["x-forwarded-for", "x-real-ip", "forwarded", "client-ip", "true-client-ip"]) {
    const value = header === "forwarded" ? `for=${CLAIMED_ADDRESS}` : CLAIMED_ADDRESS;
    const connection = world.connect(reach.httpsPort);
    expect(await addressSeen(reach, { connection, headers: { [header]: value } }), header).toBe(world.address);
  }
}

/** Neither from outside nor from a neighbour. */
export async function expectProxyProtocolNotBelieved(reach: Reach, world: OutsideWorld): Promise<void> {
  const backend = (await reach.containers()).get("backend")!;
  // Version 1 as text, version 2 as bytes: the claimed address, port 1111, to 198.51.100.1:8443.
  const lies = [
    Buffer.from(`PROXY TCP4 ${CLAIMED_ADDRESS} 198.51.100.1 1111 8443\r\n`),
    Buffer.from("0d0a0d0a000d0a515549540a2111000ccb007107c6336401045720fb", "hex"),
  ];
  for (const lie of lies) {
    // What does not begin with TLS the door ends.
    const connection = world.connect(reach.httpsPort);
    connection.write(lie);
    await expect(addressSeen(reach, { connection })).rejects.toThrow("disconnected before secure TLS connection");

    // Straight to the edge, past the door, from where services are.
    const { result } = await runProbe<{ status: number; body: string; own: string }>(reach.engine, {
      like: backend,
      image: backend.Image,
      networks: [`reach-${reach.project.stack}-proxy`],
      input: { lie: lie.toString("hex"), host: reach.domain },
      program: `
import http.client, json, socket, ssl, sys
asked = json.loads(sys.argv[1])
plain = socket.create_connection(("${EDGE_ALIAS}", 8443), 5)
own = plain.getsockname()[0]
plain.sendall(bytes.fromhex(asked["lie"]))
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPConnection(asked["host"])
connection.sock = context.wrap_socket(plain, server_hostname=asked["host"])
connection.request("GET", "/api/whoami")
answer = connection.getresponse()
print(json.dumps({"status": answer.status, "body": answer.read().decode(), "own": own}))
`,
    });
    expect(result?.status).toBe(200);
    expect(JSON.parse(result!.body)).toEqual({ address: result!.own });
  }
}
