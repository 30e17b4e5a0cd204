// The same image under the same load, deployed by Bulkhead and by other ways: what fails meanwhile, and what it costs.
import { say, step } from "../toolchain/steps.ts";
import { currentTestEngine } from "../tests/support/engine.ts";
import { startRemoteHost } from "../tests/support/remote-host.ts";
import { startBulkhead } from "./contenders/bulkhead.ts";
import { startComposeRollout, startComposeUp } from "./contenders/compose.ts";
import type { Contender } from "./contenders/contender.ts";
import { prepareOnHost } from "./contenders/on-host.ts";
import { startSwarm } from "./contenders/swarm.ts";
import { failurePicture } from "./failure-picture.ts";
import { insideEngine, quick } from "./inside.ts";
import { measure, type Load, type Measurement } from "./measurement.ts";
import { provideReleases } from "./releases.ts";
import { describeMachine, writePart, writePicture } from "./results.ts";
import { report } from "./rollout-report.ts";

const ROUNDS = quick ? 1 : 3;
const LOADS: Load[] = quick ? ["open"] : ["open", "closed"];

await insideEngine(import.meta.filename, async () => {
  const host = await startRemoteHost(currentTestEngine(), "bench");
  Object.assign(process.env, host.env);
  const contenders: Contender[] = [];
  try {
    const machine = await describeMachine(host);
    const { frontend, backends, ...proxies } = await provideReleases(host);
    const [first, second] = backends;
    const onHost = await prepareOnHost(host, proxies.traefik);
    for (const [name, start] of Object.entries({
      Bulkhead: () => startBulkhead(host, { ...proxies, frontend }, first),
      "docker compose": () => startComposeUp(onHost, first),
      "docker-rollout": () => startComposeRollout(onHost, first),
      Swarm: () => startSwarm(onHost, first),
    }))
      contenders.push(await step(`starting ${name}`, start));

    const measurements: Measurement[] = [];
    let next = second;
    for (let round = 0; round < ROUNDS; round++) {
      // In turn forwards and backwards, so that nobody always comes first, or after the same one.
      const order = round % 2 === 0 ? contenders : [...contenders].reverse();
      for (const load of LOADS) {
        for (const contender of order) measurements.push(await measure(host, contender, load, next));
        next = next === first ? second : first;
      }
    }
    const open = measurements.filter(({ load }) => load === "open");
    writePicture("failures.svg", failurePicture(open));
    say(`Written: ${await writePart("rollouts", report(machine, contenders, measurements))}`);
  } finally {
    for (const contender of contenders) await contender.stop().catch((error: Error) => say(error.message));
    await host.stop();
  }
});
