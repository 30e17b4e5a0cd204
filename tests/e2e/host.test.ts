// Shows that the support code itself tells the truth: the other tests stand on it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type ServerResponse } from "node:http";
import * as http2 from "node:http2";
import * as https from "node:https";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startBrowser } from "../support/browser.ts";
import { makeCertificates, type TestCertificates } from "../support/certificates.ts";
import { runCommand, type CommandOptions, type CommandResult } from "../support/command.ts";
import { currentTestEngine, openTestEngine, startTestEngine, type TestEngine } from "../support/engine.ts";
import { runLoad, startLoad, type LoadOptions } from "../support/load.ts";
import { startRemoteHost, startSshAgent, type RemoteHost, type SshAgent } from "../support/remote-host.ts";
import { provideSmallImage } from "../support/small-image.ts";
import { exchangeOverTcp, readEvents } from "../support/streams.ts";

type Docker = (args: string[], options?: CommandOptions) => Promise<CommandResult>;

const dockerOf = (engine: TestEngine): Docker => {
  return (args, options) => engine.exec("docker", args, options);
};

/** Runs docker, which has to succeed, and gives what it printed. */
async function printed(docker: Docker, ...args: string[]): Promise<string> {
  const result = await docker(args);
  expect(result, `docker ${args.join(" ")}`).toMatchObject({ code: 0 });
  return result.stdout.trim();
}

describe("a test engine", () => {
  const id = "host-test";

  test("is seen inside its namespaces and not outside", async () => {
    const engine = await startTestEngine(id);
    onTestFinished(() => engine.stop());
    const docker = dockerOf(engine);
    const image = await provideSmallImage(engine);
    // A port that nothing outside listens on.
    const port = 18_099;
    const publish = ["--publish", `127.0.0.1:${port}:80`];
    await printed(docker, "run", "-d", ...publish, image, "sh", "-c", "echo true >/tmp/index.html; httpd -f -h /tmp");

    const fetchInside = ["-qO-", `http://127.0.0.1:${port}/`];
    await expect
      .poll(() => engine.exec("busybox", ["wget", ...fetchInside]), { timeout: 10_000 })
      .toMatchObject({ code: 0, stdout: "true\n" });
    expect(await runCommand("busybox", ["wget", ...fetchInside])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("Connection refused") as string,
    });
    const outside = await printed(dockerOf(currentTestEngine()), "ps", "--quiet", "--no-trunc");
    const inside = await printed(docker, "ps", "--quiet", "--no-trunc");
    expect(inside).toMatch(/^[0-9a-f]{64}$/);
    expect(outside).not.toContain(inside);
    // The container's bridge and its end of the cable are in there too.
    expect(await interfaces(engine)).toContain("docker0");
    expect((await interfaces(engine)).filter((name) => name.startsWith("veth"))).toHaveLength(1);
    expect((await interfaces(currentTestEngine())).filter((name) => name.startsWith("veth"))).toEqual([]);
  });

  test("reaches what lies beyond this machine, from containers on any network", async () => {
    const engine = await startTestEngine(id);
    onTestFinished(() => engine.stop());
    const docker = dockerOf(engine);
    const image = await provideSmallImage(engine);
    // To this engine the tests' own namespace is the machine, and the way out of there lies beyond it.
    const beyond = await gatewayOf(currentTestEngine());
    expect(beyond).not.toBe(await gatewayOf(engine));
    await printed(docker, "network", "create", "apart");
    for (const network of ["bridge", "apart"]) {
      await printed(docker, "run", "--rm", "--network", network, image, "ping", "-c", "1", "-W", "3", beyond);
    }
  });

  test("is one at a time for an id", async () => {
    const engine = await startTestEngine(id);
    onTestFinished(() => engine.stop());
    await expect(startTestEngine(id)).rejects.toThrow(
      `test engine "${id}" is in use by process ${process.pid}: wait until it ends, or use another id`,
    );
    expect((await engine.exec("docker", ["version"])).code).toBe(0);
  });

  test("brings restart: always containers back after dockerd was killed", async () => {
    const engine = await startTestEngine(id);
    onTestFinished(() => engine.stop());
    const docker = dockerOf(engine);
    const image = await provideSmallImage(engine);
    await printed(docker, "run", "-d", "--init", "--name", "stays", "--restart", "always", image, "sleep", "1000");
    await printed(docker, "run", "-d", "--init", "--name", "ends", image, "sleep", "1000");
    await engine.restart("SIGKILL");
    await expect.poll(() => printed(docker, "ps", "--format", "{{.Names}}"), { timeout: 20_000 }).toBe("stays");
  });

  test("leaves nothing running when its owner is killed, and nothing at all after the next start", async () => {
    const script = fileURLToPath(new URL("../support/engine.ts", import.meta.url));
    const owner = spawn(process.execPath, [script, "start", id], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void owner.kill());
    const [greeting] = (await Promise.race([once(owner.stdout, "data"), once(owner, "exit")])) as [unknown];
    expect(String(greeting)).toBe(`DOCKER_HOST=unix:///run/bulkhead-test-${id}/docker.sock\n`);
    const engine = openTestEngine(id);
    const docker = dockerOf(engine);
    const image = await provideSmallImage(engine);
    await printed(docker, "network", "create", "left-network");
    await printed(docker, "volume", "create", "left-volume");
    const run = ["run", "--detach", "--restart", "always", "--network", "left-network"];
    // The argument makes the container's process known among all of this machine's.
    const marker = `3600.${process.pid}`;
    await printed(docker, ...run, "--volume", "left-volume:/data", image, "sleep", marker);
    const running = () => readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(marker));
    expect(running()).toHaveLength(1);

    owner.kill("SIGKILL");
    await expect.poll(running, { timeout: 10_000 }).toEqual([]);
    // The keeper of the namespaces is the last to end.
    const after = () => engine.exec("true", []).then(() => "runs", String);
    await expect.poll(after, { timeout: 10_000 }).toContain(`test engine "${id}" is not running`);

    const next = await startTestEngine(id);
    try {
      expect(running()).toEqual([]);
      expect(await printed(docker, "ps", "--all", "--quiet")).toBe("");
      expect(await printed(docker, "volume", "ls", "--quiet")).toBe("");
      expect(await printed(docker, "network", "ls", "--filter", "type=custom", "--quiet")).toBe("");
      expect(await printed(docker, "image", "ls", "--quiet", image)).not.toBe("");
    } finally {
      await next.stop();
    }
    // What Docker had on this machine is gone with it.
    const name = `bulkhead-test-${id}`;
    expect(existsSync(`/run/${name}`)).toBe(false);
    for (const table of ["nat", "filter"]) {
      expect((await runCommand("iptables", ["-t", table, "-S"])).stdout).not.toContain(name);
    }
    expect((await interfaces(currentTestEngine())).filter((link) => link.startsWith("bulkhd"))).toEqual([]);
    expect((await runCommand("find", ["/sys/fs/cgroup", "-maxdepth", "2", "-name", name])).stdout).toBe("");
  });
});

describe("remote hosts", () => {
  let agent: SshAgent;
  let hosts: RemoteHost[] = [];
  let image: string;

  beforeAll(async () => {
    const engine = currentTestEngine();
    image = await provideSmallImage(engine);
    agent = await startSshAgent();
    hosts = [await startRemoteHost(engine, "one", agent), await startRemoteHost(engine, "two", agent)];
    await Promise.all(hosts.map((host) => host.loadImages([image])));
  }, 600_000);
  afterAll(async () => {
    await Promise.all(hosts.map((host) => host.stop()));
    await agent?.stop();
  }, 60_000);

  test("have engines of their own, reached over ssh://", async () => {
    for (const host of hosts) {
      expect(host.url).toBe(`ssh://deploy@${host.address}`);
      expect(await printed(host.docker, "info", "--format", "{{.Name}}")).toBe(host.name);
      expect((await host.ssh("id --user --name; id --groups --name")).stdout).toMatch(/^deploy\ndeploy docker\n$/);
    }
    const ids = await Promise.all(hosts.map((host) => printed(host.docker, "info", "--format", "{{.ID}}")));
    expect(new Set(ids).size).toBe(2);
  });

  test("let in whoever has the key, and only under the known host key", async () => {
    const [one, two] = hosts as [RemoteHost, RemoteHost];
    const withoutAgent = await one.ssh("true", { env: { SSH_AUTH_SOCK: undefined } });
    expect(withoutAgent).toMatchObject({ code: 255, stderr: expect.stringContaining("Permission denied") as string });

    const known = readFileSync(one.knownHostsFile, "utf8");
    onTestFinished(() => writeFileSync(one.knownHostsFile, known));
    const keyOfTwo = readFileSync(two.knownHostsFile, "utf8").replace(two.address, one.address);
    writeFileSync(one.knownHostsFile, keyOfTwo);
    const underAnotherKey = await one.docker(["info"]);
    expect(underAnotherKey.code).not.toBe(0);
    expect(underAnotherKey.stderr).toContain("Host key verification failed");
  });

  test("publish ports where the tests reach them", async () => {
    const host = hosts[0]!;
    const serve = "echo from the host >/tmp/index.html; httpd -f -h /tmp";
    const container = await printed(host.docker, "run", "-d", "--publish", "8080:80", image, "sh", "-c", serve);
    onTestFinished(async () => void (await host.docker(["rm", "--force", container])));
    await expect
      .poll(() => runCommand("busybox", ["wget", "-qO-", `http://${host.address}:8080/`]), { timeout: 10_000 })
      .toMatchObject({ code: 0, stdout: "from the host\n" });
  });

  test("enforce a pids limit", async () => {
    const fork = ["sh", "-c", "for i in $(seq 40); do sleep 2 & done; wait"];
    const docker = hosts[0]!.docker;
    expect(await docker(["run", "--rm", image, ...fork])).toMatchObject({ code: 0 });
    const limited = await docker(["run", "--rm", "--pids-limit", "20", image, ...fork]);
    expect(limited.code).not.toBe(0);
    expect(limited.stderr).toMatch(/can't fork/);
  });

  test("enforce a memory limit", async () => {
    // tail keeps all of what it may have to print.
    const fill = ["sh", "-c", "head -c 100m /dev/zero | tail -c 100m | wc -c"];
    const docker = hosts[0]!.docker;
    expect((await docker(["run", "--rm", image, ...fill])).stdout).toBe(`${100 * 1024 ** 2}\n`);
    const limit = ["--memory", "32m", "--memory-swap", "32m"];
    const container = await printed(docker, "create", ...limit, image, "tail", "-c", "100m", "/dev/zero");
    onTestFinished(async () => void (await docker(["rm", "--force", container])));
    expect(await docker(["start", "--attach", container])).toMatchObject({ code: 137 });
    expect(await printed(docker, "inspect", "--format", "{{.State.OOMKilled}}", container)).toBe("true");
  });

  test("enforce a cpu limit", async () => {
    // cgroup version 1, then 2.
    const files = "/sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat";
    const burn = ["sh", "-c", `timeout 2 yes >/dev/null; grep -h '^nr_throttled' ${files} 2>/dev/null`];
    const docker = hosts[0]!.docker;
    const throttled = async (...limit: string[]) =>
      Number(/nr_throttled (\d+)/.exec((await docker(["run", "--rm", ...limit, image, ...burn])).stdout)?.[1] ?? 0);
    expect(await throttled()).toBe(0);
    expect(await throttled("--cpus", "0.2")).toBeGreaterThan(5);
  });
});

describe("the load generator", () => {
  let certificates: TestCertificates;
  beforeAll(async () => {
    certificates = await makeCertificates("test.example");
  });

  const drop = (request: http2.Http2ServerRequest) => {
    if (request.httpVersionMajor === 2) request.stream.session?.destroy();
    else request.socket.destroy();
  };

  type Respond = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse, number: number) => void;

  /** A server for both protocols that counts what reaches it. */
  async function serve(respond: Respond): Promise<{ target: LoadOptions; received: () => number }> {
    let received = 0;
    const { certificate: cert, privateKey: key } = certificates;
    const server = http2.createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
      respond(request, response, ++received);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => sockets.add(socket));
    onTestFinished(() => {
      server.close();
      sockets.forEach((socket) => socket.destroy());
    });
    const { port } = server.address() as AddressInfo;
    const url = `https://test.example:${port}/`;
    const target = { url, address: "127.0.0.1", ca: certificates.ca, connections: 8, seconds: 30 };
    return { target, received: () => received };
  }

  for (const protocol of ["http/1.1", "http/2"] as const) {
    describe(`over ${protocol}`, () => {
      test("counts dropped connections and wrong answers exactly", async () => {
        let dropped = 0;
        let refused = 0;
        const { target, received } = await serve((request, response, number) => {
          if (number % 100 === 0) {
            dropped++;
            drop(request);
          } else if (number % 37 === 0) {
            refused++;
            response.writeHead(500).end("no");
          } else {
            response.writeHead(200, { "x-release": number <= 1000 ? "old" : "new" }).end("yes");
          }
        });
        const result = await runLoad({ ...target, protocol, maxRequests: 2_000, release: { header: "X-Release" } });
        expect(received()).toBe(2_000);
        expect(dropped).toBe(20);
        expect(result).toMatchObject({
          requests: 2_000,
          failed: dropped + refused,
          byStatus: { 200: 2_000 - dropped - refused, 500: refused },
        });
        // One for each dropped connection that had more to send.
        expect(result.connectionsOpened).toBeGreaterThan(target.connections);
        expect(result.connectionsOpened).toBeLessThanOrEqual(target.connections + dropped);
        expect(result.byRelease["old"]! + result.byRelease["new"]!).toBe(2_000 - dropped - refused);
        expect(result.byRelease["old"]).toBe(1_000 - 10 - 27);
        const reasons = result.failures.map(({ reason }) => reason);
        expect(reasons).toContain("status 500: no");
        expect(reasons.filter((reason) => !reason.startsWith("status 500")).length).toBeGreaterThan(0);
      });

      test("reports no failure of a server without any", async () => {
        const { target, received } = await serve((_, response) => response.end("yes"));
        const result = await runLoad({ ...target, protocol, maxRequests: 1_000 });
        expect(result).toMatchObject({ requests: 1_000, failed: 0, failures: [], byStatus: { 200: 1_000 } });
        expect(result.connectionsOpened).toBe(target.connections);
        expect(received()).toBe(1_000);
      });

      test("counts answers that are cut short, late, or never come", async () => {
        const { target } = await serve((request, response, number) => {
          if (number === 1) {
            response.writeHead(200);
            response.write("the first half");
            setTimeout(() => drop(request), 50);
          } else if (number > 2) {
            response.end("yes");
          }
        });
        const bound = { connections: 1, maxRequests: 3, timeoutMs: 300 };
        const result = await runLoad({ ...target, ...bound, protocol });
        expect(result).toMatchObject({ requests: 3, failed: 2 });
        expect(result.failures[1]!.reason).toBe("no complete answer within 300 ms");
      });

      test("sends each POST once, with an id of its own", async () => {
        const seen: string[] = [];
        const { target } = await serve((request, response, number) => {
          let body = "";
          request.on("data", (chunk: Buffer) => (body += chunk.toString()));
          request.on("end", () => {
            seen.push((JSON.parse(body) as { id: string }).id);
            if (number % 50 === 0) drop(request);
            else response.end();
          });
        });
        const result = await runLoad({ ...target, protocol, method: "POST", maxRequests: 500 });
        expect(new Set(seen).size).toBe(500);
        expect(seen).toHaveLength(500);
        expect(result.unacknowledgedIds).toHaveLength(10);
        expect([...result.acknowledgedIds, ...result.unacknowledgedIds].sort()).toEqual(seen.sort());
      });

      test("trusts the given authority only, and only for the name asked for", async () => {
        const { target, received } = await serve((_, response) => response.end());
        const { ca } = await makeCertificates("test.example");
        const few = { protocol, connections: 1, maxRequests: 2 };
        const stranger = await runLoad({ ...target, ...few, ca });
        expect(stranger).toMatchObject({ requests: 2, failed: 2 });
        const otherName = target.url.replace("test.example", "other.example");
        const wrongName = await runLoad({ ...target, ...few, url: otherName });
        expect(wrongName.failures[0]!.reason).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID|does not match/);
        expect(wrongName).toMatchObject({ requests: 2, failed: 2 });
        expect(received()).toBe(0);
      });
    });
  }

  test("measures what the server takes, not what the test does meanwhile", async () => {
    const { target } = await serve((_, response) => void setTimeout(() => response.end(), 100));
    const result = await runLoad({ ...target, maxRequests: 80 });
    expect(result.latencyMs.p50).toBeGreaterThanOrEqual(99);
    expect(result.latencyMs.p50).toBeLessThan(200);
    expect(result.latencyMs.max).toBeGreaterThanOrEqual(result.latencyMs.p99);
  });

  test("hides no stall behind the requests that were not sent in it, where asked for", async () => {
    const slow = async (latencyFrom: "sent" | "due") => {
      const { target } = await serve((_, response, number) => {
        setTimeout(() => response.end(), number === 10 ? 1_000 : 0);
      });
      const paced = { connections: 1, requestsPerSecond: 50, maxRequests: 60, latencyFrom, everyRequest: true };
      const { all, requests } = await runLoad({ ...target, ...paced });
      expect(all).toHaveLength(requests);
      return all.filter(({ latencyMs }) => latencyMs >= 500).length;
    };
    // Due in the first half of the stall: half a second's worth.
    expect(await slow("due")).toBeGreaterThanOrEqual(25);
    expect(await slow("sent")).toBeLessThan(25);
  });

  test("tells of every request what became of it", async () => {
    const { target } = await serve((_, response, number) =>
      response.writeHead(number % 5 === 0 ? 500 : 200, { "x-release": number <= 10 ? "old" : "new" }).end("yes"),
    );
    const few = { connections: 1, maxRequests: 20, pauseMs: 20, everyRequest: true, release: { header: "X-Release" } };
    const started = Date.now();
    const { all, seconds } = await runLoad({ ...target, ...few });
    expect(seconds).toBeGreaterThanOrEqual((few.maxRequests * few.pauseMs) / 1000);
    expect(all.map(({ failed }) => failed)).toEqual(Array.from({ length: 20 }, (_, index) => index % 5 === 4));
    expect(all.filter(({ release }) => release === "new")).toHaveLength(8);
    for (const { at } of all) expect(at).toBeGreaterThanOrEqual(started);
  });

  test("ends when told, at the pace asked for", async () => {
    const { target, received } = await serve((_, response) => response.end());
    const load = startLoad({ ...target, requestsPerSecond: 50 });
    await load.advance(100);
    const result = await load.stop();
    expect(result.requests).toBe(received());
    expect(result.requests).toBeGreaterThanOrEqual(100);
    expect(result.requests / result.seconds).toBeLessThan(60);
    await expect(load.advance(1)).rejects.toThrow(/the load ended after \d+ requests/);
  });
});

describe("stream clients", () => {
  async function serveEvents(send: (response: ServerResponse) => void): Promise<string[]> {
    const { ca, certificate: cert, privateKey: key } = await makeCertificates("localhost");
    const server = https.createServer({ cert, key }, (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      send(response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return [`https://localhost:${(server.address() as AddressInfo).port}/`, ca];
  }

  test("tell events that arrive one by one from events that were held back", async () => {
    const flow = async (response: ServerResponse) => {
      for (let number = 1; number <= 3; number++) {
        response.write(`: still here\n\nevent: tick\nid: ${number}\ndata: ${number}\n\n`);
        await sleep(200);
      }
    };
    const [url, ca] = (await serveEvents((response) => void flow(response))) as [string, string];
    const events = await readEvents({ url, address: "127.0.0.1", ca }, 3);
    expect(events.map(({ event, id, data }) => ({ event, id, data }))).toEqual(
      ["1", "2", "3"].map((number) => ({ event: "tick", id: number, data: number })),
    );
    expect(events[2]!.atMs - events[0]!.atMs).toBeGreaterThan(350);

    const [heldUrl, heldCa] = (await serveEvents((response) => {
      setTimeout(() => response.write("data: 1\n\ndata: 2\n\ndata: 3\n\n"), 400);
    })) as [string, string];
    const held = await readEvents({ url: heldUrl, address: "127.0.0.1", ca: heldCa }, 3);
    expect(held[2]!.atMs - held[0]!.atMs).toBeLessThan(50);
  });

  test("fail when events stay away", async () => {
    const [url, ca] = (await serveEvents((response) => response.write("data: 1\n\n"))) as [string, string];
    await expect(readEvents({ url, address: "127.0.0.1", ca, timeoutMs: 300 }, 2)).rejects.toThrow("1 of 2 events");
  });

  test("see what a TCP server echoes, and that one does not", async () => {
    const listen = async (server: Server) => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      onTestFinished(() => void server.close());
      return (server.address() as AddressInfo).port;
    };
    const echo = await listen(createServer((socket) => socket.pipe(socket)));
    expect(await exchangeOverTcp("127.0.0.1", echo, "hello")).toBe("hello");
    const mute = await listen(createServer((socket) => socket.end()));
    await expect(exchangeOverTcp("127.0.0.1", mute, "hello")).rejects.toThrow("closed after 0 bytes");
  });
});

describe("the browser", () => {
  test("checks certificates as a user's does", async () => {
    const { ca, certificate: cert, privateKey: key } = await makeCertificates("localhost");
    const server = https.createServer({ cert, key }, (_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<title>Trusted</title>");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    const trusting = await startBrowser({ ca });
    onTestFinished(() => trusting.stop());
    await trusting.page.goto(url);
    expect(await trusting.page.title()).toBe("Trusted");
    const plain = await startBrowser();
    onTestFinished(() => plain.stop());
    await expect(plain.page.goto(url)).rejects.toThrow("ERR_CERT_AUTHORITY_INVALID");
  });
});

async function gatewayOf(engine: TestEngine): Promise<string> {
  const { stdout } = await engine.exec("ip", ["-json", "-4", "route", "show", "default"]);
  return (JSON.parse(stdout) as [{ gateway: string }])[0].gateway;
}

async function interfaces(engine: TestEngine): Promise<string[]> {
  const { stdout } = await engine.exec("ip", ["-json", "link"]);
  return (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // It ended meanwhile.
    return "";
  }
}
