import { defineConfig } from "vitest/config";

const minutes = (count: number) => count * 60_000;

// `bulkhead` is this package's source here.
const conditions = ["bulkhead-source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: [
      {
        // Fast and alone: no engine, no network. One module graph for all files saves most of the time.
        test: {
          name: "unit",
          include: ["tests/unit/**/*.test.ts"],
          isolate: false,
          // Half of the time is waiting, for the clocks of the shells of a schedule and for processes.
          maxWorkers: 2,
          // Not the engine of whoever runs them.
          env: { DOCKER_HOST: "unix:///nowhere/docker.sock" },
          // No test is about time: a machine that is busy with something else may take ten times as long.
          testTimeout: minutes(1),
        },
      },
      {
        // The rules of the policy pack, without Pulumi.
        test: {
          name: "policy",
          include: ["tests/policy/**/*.test.ts"],
          isolate: false,
          maxWorkers: 2,
          testTimeout: minutes(1),
        },
      },
      {
        // On a real engine, one after the other; scripts/test.ts starts it.
        test: {
          name: "e2e",
          include: ["tests/e2e/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: minutes(10),
          hookTimeout: minutes(20),
        },
      },
    ],
  },
});
