// Calls of Docker's API that last, each on a connection of its own: the client's one connection stays free for the rest.
import * as http from "node:http";
import type { Duplex } from "node:stream";
import { EngineAgent, messageIn, type Engine } from "./client.ts";

/** An answer that goes on until it is destroyed, like events, or logs that are followed. */
export function openStream(engine: Engine, path: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const agent = new EngineAgent(engine.host, engine.sshOptions);
    const request = http.request({ agent, host: "docker", method: "GET", path });
    request.on("error", (error) => {
      agent.destroy();
      reject(new Error(`${engine.host}: ${error.message}`));
    });
    request.on("response", (answer) => {
      answer.on("close", () => agent.destroy());
      if (answer.statusCode === 200) return resolve(answer);
      void refusal(engine, `GET ${path}`, answer).then(reject, reject);
    });
    request.end();
  });
}

/**
 * What is written goes to the program, and what it writes is read. It is a connection that was one of HTTP until Docker
 * took it over. `head` is what came with the last of HTTP.
 */
export function hijack(engine: Engine, path: string, body: object): Promise<{ connection: Duplex; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const agent = new EngineAgent(engine.host, engine.sshOptions);
    const payload = JSON.stringify(body);
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(payload),
      ...{ Connection: "Upgrade", Upgrade: "tcp" },
    };
    const request = http.request({ agent, host: "docker", method: "POST", path, headers });
    request.on("error", (error) => reject(new Error(`${engine.host}: ${error.message}`)));
    request.on("upgrade", (_, connection, head) => {
      connection.on("close", () => agent.destroy());
      resolve({ connection, head });
    });
    request.on("response", (answer) => void refusal(engine, `POST ${path}`, answer).then(reject, reject));
    request.end(payload);
  });
}

async function refusal(engine: Engine, asked: string, answer: http.IncomingMessage): Promise<Error> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const said = messageIn(Buffer.concat(chunks).toString());
  return new Error(`${engine.host}: ${asked} answered ${answer.statusCode}: ${said}`);
}
