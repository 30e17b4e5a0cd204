// How the cost of an update grows with the services on one host.
import { join } from "node:path";
import { tmpdir } from "node:os";
import { Engine } from "../components/docker-engine/client.ts";
import { images } from "../tests/support/images.ts";
import { provideImages } from "../toolchain/images.ts";
import { keyOf } from "../toolchain/cache.ts";
import { say } from "../toolchain/steps.ts";
import { makeCertificates } from "../tests/support/certificates.ts";
import type { CommandResult } from "../tests/support/command.ts";
import { currentTestEngine, type TestEngine } from "../tests/support/engine.ts";
import { createTestProject, type TestProject } from "../tests/support/pulumi.ts";
import { startRemoteHost, type RemoteHost } from "../tests/support/remote-host.ts";
import { provideSmallImage } from "../tests/support/small-image.ts";
import { startCountingSocket } from "./counting-socket.ts";
import { insideEngine, quick } from "./inside.ts";
import { coresAtRest, peakMemoryMb } from "./processes.ts";
import { describeMachine, writePart } from "./results.ts";
import { report, type Cost, type Rest } from "./growth-report.ts";
import { sshBytes } from "./ssh-bytes.ts";

const SIZES = quick ? [1, 3] : [5, 25, 50, 100];
const SIZE_OVER_SSH = quick ? 1 : 25;
const REST_SECONDS = quick ? 2 : 10;
const PROGRAM = join(import.meta.dirname, "services");
const COMMAND_TIMEOUT_MS = 1_200_000;

await insideEngine(import.meta.filename, async () => {
  const config = await configuration();
  // A host with an engine of today, which looks at health less often than the test engine can.
  const host = await startRemoteHost(currentTestEngine(), "growth");
  try {
    await host.loadImages(Object.values(config["services:images"] as Record<string, string>));
    const machine = await describeMachine(host);
    const overItsSsh = await overSsh(host, config);
    const { costs, rests } = await byItsSocket(host, config);
    say(`Written: ${await writePart("growth", report(machine, costs, rests, overItsSsh))}`);
  } finally {
    await host.stop();
  }
});

async function byItsSocket(host: RemoteHost, config: Record<string, unknown>) {
  const inspected = ["inspect", "--format", "{{.State.Pid}}", host.container];
  const { stdout: pid } = await currentTestEngine().exec("docker", inspected);
  const engineSocket = `/proc/${pid.trim()}/root/run/docker.sock`;
  const socket = startCountingSocket(join(tmpdir(), `bench-${process.pid}.sock`), engineSocket);
  const settings = { ...config, "services:host": "local" };
  const project = await createTestProject({
    ...{ stack: "growth", program: PROGRAM, timeoutMs: COMMAND_TIMEOUT_MS, config: settings },
    env: { DOCKER_HOST: socket.dockerHost },
  });
  const costs: Cost[] = [];
  const rests: Rest[] = [];
  try {
    const takeCalls = () => Promise.resolve({ calls: socket.take() });
    for (const services of SIZES) {
      costs.push(...(await measure(project, settings, services, takeCalls)));
      rests.push({ services, cores: await coresAtRest(REST_SECONDS) });
      say(JSON.stringify(rests.at(-1)));
    }
    return { costs, rests };
  } finally {
    // What runs goes with the host: to destroy it would measure nothing.
    project.remove();
    socket.close();
  }
}

async function overSsh(host: RemoteHost, config: Record<string, unknown>): Promise<Cost[]> {
  const settings = { ...config, "services:host": host.url, "services:knownHosts": host.knownHostsFile };
  const project = await createTestProject({
    ...{ stack: "growth-ssh", program: PROGRAM, timeoutMs: COMMAND_TIMEOUT_MS, env: host.env, config: settings },
  });
  try {
    let before = 0;
    const costs = await measure(project, settings, SIZE_OVER_SSH, async () => {
      const bytes = (await sshBytes(host)) - before;
      before += bytes;
      return { sshBytes: bytes };
    });
    const { code, stderr, stdout } = await project.destroy();
    if (code !== 0) throw new Error(`destroy: ${stderr}${stdout}`);
    return costs;
  } finally {
    project.remove();
  }
}

/** What every command costs with so many services. `take` gives what was counted since it was last asked. */
async function measure(
  project: TestProject,
  config: Record<string, unknown>,
  services: number,
  take: () => Promise<Pick<Cost, "calls" | "sshBytes">>,
): Promise<Cost[]> {
  const costs: Cost[] = [];
  const cost = async (what: Cost["what"], command: () => Promise<CommandResult>) => {
    await take();
    const { result, memoryMb } = await peakMemoryMb(command);
    if (result.code !== 0) throw new Error(`${what}, ${services} services: ${result.stderr}${result.stdout}`);
    costs.push({ services, what, seconds: result.seconds, memoryMb, ...(await take()) });
    say(JSON.stringify(costs.at(-1)));
  };
  const configure = (release: number) =>
    project.setConfig({ ...config, "services:count": services, "services:release": String(release) });
  // The first service is of the release that the size before has left.
  const index = Math.max(0, SIZES.indexOf(services));
  configure(index);
  await cost("grown", () => project.up());
  await cost("nothing to do", () => project.up());
  configure(index + 1);
  await cost("one service", () => project.up());
  await cost("refresh", () => project.refresh());
  return costs;
}

async function configuration(): Promise<Record<string, unknown>> {
  const here = currentTestEngine();
  const engine = new Engine(here.dockerHost);
  const { traefik, haproxy } = images;
  const proxies = { traefik, haproxy, ...(await provideImages(engine, { traefik, haproxy })) };
  engine.close();
  const { certificate, privateKey } = await makeCertificates("services.test");
  return {
    "services:images": { ...proxies, service: await pinnedSmallImage(here) },
    "services:certificatePem": certificate,
    "services:privateKeyPem": privateKey,
  };
}

/** Under a name that is taken for pinned. */
async function pinnedSmallImage(engine: TestEngine): Promise<string> {
  const small = await provideSmallImage(engine);
  const name = `bulkhead.local/service:${keyOf(small)}`;
  const { code, stderr } = await engine.exec("docker", ["tag", small, name]);
  if (code !== 0) throw new Error(`docker tag: ${stderr}`);
  return name;
}
