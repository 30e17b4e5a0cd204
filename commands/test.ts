// `make test`: every test, fast ones first; a failure ends the run. The last line counts them all.
import { closingLine, fastSuites, runSuites, slowSuites } from "./suites.ts";

const counts = await runSuites([...fastSuites, ...slowSuites]);
console.log(`\n${closingLine(counts)}`);
// Something may still hold the process open, and the line above is the last.
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
