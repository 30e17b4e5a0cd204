import aws4 from "aws4";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as askMoto, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requirePrograms } from "../../../toolchain/debian.ts";
import { kept, keyOf } from "../../../toolchain/cache.ts";
import { run } from "../../../toolchain/steps.ts";
import { makeCertificates } from "../certificates.ts";
import { freePort } from "../free-port.ts";
import { isValid, type Token } from "./access.ts";
import type { CloudflareEmulator } from "./emulator.ts";

export interface S3 {
  /** The name that R2 has for the account's buckets of a jurisdiction. */
  host: string;
  /** Where it really is. */
  address: string;
  /** PEM of the authority to trust for it. */
  ca: string;
  /** What was asked, and what was answered; without queries, which hold signatures. */
  requests: { method: string; path: string; status: number }[];
  /** What a token is as a key of S3, as R2 derives it; the id of the key is the token's. */
  secretAccessKey: (token: Token) => string;
  stop: () => Promise<void>;
}

/**
 * R2's S3 side for the buckets and tokens of an emulator: who asks has to show the signature of a token that opens the
 * bucket, and pages of other sites get no answer that they may read. What is stored is stored by moto, an S3 server.
 */
export async function startS3(emulator: CloudflareEmulator, jurisdiction = "default"): Promise<S3> {
  const region = jurisdiction === "default" ? "" : `${jurisdiction}.`;
  const host = `${emulator.account.id}.${region}r2.cloudflarestorage.com`;
  const [moto, { ca, certificate, privateKey }] = await Promise.all([startMoto(), makeCertificates(host)]);
  const requests: S3["requests"] = [];
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    const { method = "", url = "" } = request;
    response.on("finish", () => requests.push({ method, path: url.split("?")[0]!, status: response.statusCode }));
    serve(request, response).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : new Refusal(500, "InternalError");
      response.writeHead(refusal.status, { "content-type": "application/xml" });
      response.end(
        `<?xml version="1.0"?><Error><Code>${refusal.code}</Code><Message>${refusal.code}</Message></Error>`,
      );
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, `https://${host}`);
    const name = pathname.split("/")[1]!;
    const bucket = emulator.buckets.all.get(`${jurisdiction}_${name}`);
    const origin = request.headers.origin;
    const rules = (bucket?.cors ?? []) as CorsRule[];
    const rule = rules.find(({ allowed }) => origin !== undefined && allowed.origins.includes(origin));
    if (origin !== undefined && rule) response.setHeader("access-control-allow-origin", origin);
    if (request.method === "OPTIONS") {
      if (!rule?.allowed.methods.includes(request.headers["access-control-request-method"] ?? ""))
        throw new Refusal(403, "CORSForbidden");
      response.setHeader("access-control-allow-methods", rule.allowed.methods.join(", "));
      response.setHeader("access-control-allow-headers", (rule.allowed.headers ?? []).join(", "));
      response.writeHead(204).end();
      return;
    }
    const shown = shownSignature(request, searchParams);
    const token = emulator.access.tokens.get(shown.accessKeyId);
    if (!token || !isValid(token)) throw new Refusal(403, "InvalidAccessKeyId");
    if (shown.over) throw new Refusal(403, "AccessDenied");
    if (shown.signature !== signatureOf(request, shown, secretAccessKey(token)))
      throw new Refusal(403, "SignatureDoesNotMatch");
    const level = ["GET", "HEAD"].includes(request.method!) ? "Read" : "Write";
    if (!emulator.access.opens(token, level, jurisdiction, name)) throw new Refusal(403, "AccessDenied");
    if (!bucket) throw new Refusal(404, "NoSuchBucket");
    await moto.ensureBucket(name);
    await moto.forward(request, response);
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    requests,
    secretAccessKey,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await moto.stop();
    },
  };
}

function secretAccessKey({ value }: Token): string {
  return createHash("sha256").update(value).digest("hex");
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

interface CorsRule {
  allowed: { methods: string[]; origins: string[]; headers?: string[] };
}

interface ShownSignature {
  accessKeyId: string;
  region: string;
  signedHeaders: string[];
  signature: string;
  inQuery: boolean;
  /** Whether its time is over. */
  over: boolean;
}

/** The signature that a request comes with: in its query, where it is a presigned one, or in its header. */
function shownSignature({ headers }: IncomingMessage, query: URLSearchParams): ShownSignature {
  const authorization = /^AWS4-HMAC-SHA256 Credential=(.+?), ?SignedHeaders=(.+?), ?Signature=(\w+)$/.exec(
    headers.authorization ?? "",
  );
  const inQuery = query.has("X-Amz-Signature");
  const [credential, names, signature] = inQuery
    ? ["Credential", "SignedHeaders", "Signature"].map((name) => query.get(`X-Amz-${name}`) ?? "")
    : (authorization?.slice(1) ?? []);
  if (!credential || !names || !signature) throw new Refusal(403, "AccessDenied");
  const [accessKeyId = "", , region = ""] = credential.split("/");
  const date = inQuery ? (query.get("X-Amz-Date") ?? "") : String(headers["x-amz-date"]);
  const begin = Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  const seconds = inQuery ? Number(query.get("X-Amz-Expires")) : 15 * 60;
  const over = !(Date.now() < begin + seconds * 1000);
  return { accessKeyId, region, signedHeaders: names.split(";"), signature, inQuery, over };
}

/** The signature that the request would have from who knows the key, as another implementation makes it. */
function signatureOf({ method, url, headers }: IncomingMessage, shown: ShownSignature, secretAccessKey: string) {
  const path = url!.replace(/&?X-Amz-Signature=\w+/, "");
  const signed = Object.fromEntries(shown.signedHeaders.map((name) => [name, String(headers[name])]));
  const { accessKeyId, region, inQuery: signQuery } = shown;
  const ours = aws4.sign(
    { service: "s3", region, method, path, headers: signed, signQuery },
    { accessKeyId, secretAccessKey },
  );
  return signQuery
    ? new URL(ours.path!, "https://s3").searchParams.get("X-Amz-Signature")
    : /Signature=(\w+)$/.exec(String(ours.headers!["Authorization"]))?.[1];
}

/** An S3 server that stores, and checks no signature. */
export async function startMoto() {
  await requirePrograms("the tests' S3 server", { python3: "python3", pip3: "python3-pip" });
  const requirements = join(import.meta.dirname, "moto.txt");
  const version = await run("python3", ["--version"]);
  const packages = await kept("moto", keyOf(readFileSync(requirements, "utf8"), version), async (directory) => {
    const options = ["--quiet", "--only-binary=:all:", "--no-deps", "--root-user-action=ignore", "--target", directory];
    await run("python3", ["-m", "pip", "install", ...options, "--requirement", requirements]);
  });
  const port = await freePort();
  const moto = spawn("python3", ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], {
    env: { PATH: process.env["PATH"], PYTHONPATH: packages },
    stdio: "ignore",
  });
  const exited = once(moto, "exit");
  const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
  // On a busy machine it loads for more than a minute.
  const deadline = Date.now() + 180_000;
  while (!(await ask("GET", "/").catch(() => undefined))) {
    if (moto.exitCode !== null) throw new Error(`moto ended with ${moto.exitCode}`);
    if (Date.now() > deadline) {
      moto.kill();
      throw new Error("moto does not answer");
    }
    await sleep(100);
  }
  const made = new Set<string>();
  return {
    ensureBucket: async (name: string) => {
      if (made.has(name)) return;
      made.add(name);
      const answer = await ask("PUT", `/${name}`, { authorization: ANYBODY });
      if (!answer.ok) throw new Error(`moto made no bucket: ${answer.status}`);
    },
    forward: (request: IncomingMessage, response: ServerResponse) =>
      new Promise<void>((resolve, reject) => {
        const { method, url } = request;
        // As somebody who may, since that was seen already; and by its host it would take a part of the name for a bucket.
        const headers = { ...request.headers, host: `127.0.0.1:${port}`, authorization: ANYBODY };
        const path = url!.replace(/&?X-Amz-\w+=[^&]*/g, "");
        const inner = askMoto({ port, host: "127.0.0.1", method, path, headers }, (answer) => {
          delete answer.headers["access-control-allow-origin"];
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response).on("finish", resolve);
        });
        inner.on("error", reject);
        request.pipe(inner);
      }),
    stop: async () => {
      moto.kill();
      await exited;
    },
  };
}

/** Moto checks no signature, but wants to see one, with its own region. */
const ANYBODY = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request";
