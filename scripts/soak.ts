// `make soak`: the end-to-end tests with all that is exhaustive in them, for a night. The last line counts them all.
import { runSuites, slowSuites, tellCounts } from "./suites.ts";

Object.assign(process.env, { BULKHEAD_SOAK: "1" });
const counts = await runSuites(slowSuites);
tellCounts(counts);
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
