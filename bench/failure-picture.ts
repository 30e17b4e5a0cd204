import type { Measurement } from "./measurement.ts";

const BUCKET_MS = 100;
const [WIDTH, LEFT, RIGHT, TOP, LANE, BAR] = [960, 180, 20, 44, 94, 48];

/** Failed requests over time as an SVG: a lane for each contender, with the round whose failures are the median. */
export function failurePicture(measurements: readonly Measurement[]): string {
  const contenders = [...new Set(measurements.map(({ contender }) => contender))];
  const lanes = contenders.map((name) => medianRound(measurements.filter(({ contender }) => contender === name)));
  const times = lanes.flatMap(({ requests }) => requests.map(({ at }) => at));
  const first = Math.floor(Math.min(...times) / 1000);
  const last = Math.ceil(Math.max(...times, ...lanes.map(({ seconds }) => seconds * 1000)) / 1000);
  const x = (ms: number) => LEFT + ((ms / 1000 - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const perBucket = Math.max(...lanes.flatMap(({ requests }) => [...counted(requests).values()]));
  const bottom = TOP + lanes.length * LANE;
  const round = (value: number) => Math.round(value * 10) / 10;

  const grid = Array.from({ length: last - first + 1 }, (_, index) => first + index).map((second) => {
    const at = round(x(second * 1000));
    const label = second % 2 === 0 ? `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${second} s</text>` : "";
    return `<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom}"/>${label}`;
  });
  const drawn = lanes.map((measurement, lane) => {
    const base = TOP + (lane + 1) * LANE - 8;
    const failed = measurement.requests.filter((request) => request.failed);
    const end = round(x(measurement.seconds * 1000));
    const bars = [...counted(failed)].map(([bucket, count]) => {
      const height = round((count / perBucket) * BAR);
      const width = round(x(BUCKET_MS) - x(0));
      return `<rect class="failed" x="${round(x(bucket * BUCKET_MS))}" y="${base - height}" width="${width}" height="${height}"/>`;
    });
    return [
      `<rect class="deploy" x="${round(x(0))}" y="${base - BAR - 6}" width="${round(end - x(0))}" height="${BAR + 6}"/>`,
      `<line class="base" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${base}" y2="${base}"/>`,
      ...bars,
      `<line class="mark" x1="${round(x(0))}" x2="${round(x(0))}" y1="${base - BAR - 6}" y2="${base}"/>`,
      `<line class="mark" x1="${end}" x2="${end}" y1="${base - BAR - 6}" y2="${base}"/>`,
      `<text x="${end}" y="${base - BAR - 11}" text-anchor="end">deployed after ${measurement.seconds.toFixed(1)} s</text>`,
      `<text class="name" x="${LEFT - 12}" y="${base - 24}" text-anchor="end">${measurement.contender}</text>`,
      `<text x="${LEFT - 12}" y="${base - 6}" text-anchor="end">${failed.length} of ${measurement.requests.length} failed</text>`,
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 30}" role="img">
<title>Failed requests over time, from the begin of each deploy</title>
<style>
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .name, .title { font-weight: 600; font-size: 13px; fill: #1f2328 }
  .grid { stroke: #d0d7de; stroke-width: 0.5 } .base { stroke: #8c959f } .mark { stroke: #0969da }
  .deploy { fill: #0969da; fill-opacity: 0.08 } .failed { fill: #cf222e } .paper { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .name, .title { fill: #f0f6fc }
    .grid { stroke: #30363d } .base { stroke: #6e7681 } .mark { stroke: #4493f8 }
    .deploy { fill: #4493f8; fill-opacity: 0.14 } .failed { fill: #ff7b72 } .paper { fill: #0d1117 }
  }
</style>
<rect class="paper" width="100%" height="100%"/>
<text class="title" x="${LEFT}" y="20">Failed requests in each ${BUCKET_MS} ms of one rollout under 200 requests a second</text>
<text x="${LEFT}" y="36">0 s is the begin of the deploy; a full bar is ${perBucket} requests, all that were sent</text>
${[...grid, ...drawn].join("\n")}
</svg>
`;
}

function medianRound(rounds: readonly Measurement[]): Measurement {
  const failures = ({ requests }: Measurement) => requests.filter(({ failed }) => failed).length;
  return [...rounds].sort((a, b) => failures(a) - failures(b))[Math.floor(rounds.length / 2)]!;
}

/** How many requests each bucket has. */
function counted(requests: Measurement["requests"]): Map<number, number> {
  const buckets = new Map<number, number>();
  for (const { at } of requests) {
    const bucket = Math.floor(at / BUCKET_MS);
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  return buckets;
}
