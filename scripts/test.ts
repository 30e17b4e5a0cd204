// `make test`: every test, fast ones first; a failure ends the run. The last line counts them all.
import { fastSuites, runSuites, slowSuites, tellCounts } from "./suites.ts";

const counts = await runSuites([...fastSuites, ...slowSuites]);
tellCounts(counts);
// Something may still hold the process open, and the line above is the last.
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
