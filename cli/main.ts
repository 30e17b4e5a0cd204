#!/usr/bin/env node
// What a shell starts. Without this, loading takes most of the time of a short command, as it does of a program.
import "../toolchain/node-start.cjs";

// An import at the top would be loaded before it.
const { main } = await import("./bulkhead.ts");
await main(process.argv.slice(2));
