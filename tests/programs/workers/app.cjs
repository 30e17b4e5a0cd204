// One program for all of it: what it is to do is its first argument. It is read by index.ts, and runs by `node --eval`.
const { hostname } = require("node:os");
const { writeFileSync } = require("node:fs");
const { RELEASE, ROLE, SLOW_MS = "0" } = process.env;
const say = (message) => console.log(JSON.stringify({ level: "info", message, release: RELEASE, host: hostname() }));

if (ROLE === "web") {
  const server = require("node:http").createServer((request, response) => {
    // More than it may have.
    if (request.url === "/eat") for (const held = []; ;) held.push(Buffer.alloc(2 ** 20, 1));
    if (request.url === "/health" && RELEASE === "broken") response.statusCode = 500;
    response.setHeader("Content-Type", "application/json");
    setTimeout(() => response.end(JSON.stringify({ release: RELEASE, host: hostname() })), Number(SLOW_MS));
  });
  server.listen(8000);
  process.on("SIGTERM", () => server.close(() => process.exit(0)));
}

if (ROLE === "worker") {
  const beat = () => writeFileSync("/tmp/beat", "");
  if (RELEASE !== "broken") setInterval(beat, 500);
  // What it has begun it ends: a second's work.
  process.on("SIGTERM", () => {
    say("told to end");
    setTimeout(() => (say("ended what it had begun"), process.exit(0)), 1000);
  });
  say("working");
}

// It has work for some seconds, and says whose.
if (ROLE === "job") {
  say("begins");
  setTimeout(() => say("done"), 8000);
}
