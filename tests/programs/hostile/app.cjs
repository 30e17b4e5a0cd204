// Answers as the path's last element says. Nothing of a body is kept.
const http = require("node:http");
const net = require("node:net");
const block = Buffer.alloc(1 << 16, "x");
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const answers = {
  // As many MiB as asked for.
  down: async (request, answer, asked) => {
    answer.writeHead(200, { "Content-Type": asked.get("type") ?? "application/octet-stream" });
    for (let left = Number(asked.get("mb")) * 16; left > 0 && !answer.destroyed; left--)
      if (!answer.write(block)) await Promise.race([new Promise((r) => answer.once("drain", r)), delay(60_000)]);
    answer.end();
  },
  // How many bytes came.
  up: async (request, answer) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    answer.end(JSON.stringify({ bytes }));
  },
  // A token every while.
  tokens: async (request, answer, asked) => {
    answer.writeHead(200, { "Content-Type": asked.get("type") ?? "text/event-stream" });
    for (let token = 0; token < 6; token++) {
      answer.write(`data: ${token}\n\n`);
      await delay(200);
    }
    answer.end();
  },
  late: async (request, answer, asked) => {
    await delay(Number(asked.get("seconds")) * 1000);
    answer.end("late");
  },
  fail: async (request) => request.socket.destroy(),
};

const server = http
  .createServer((request, answer) => {
    const url = new URL(request.url, "http://app");
    const how = answers[url.pathname.split("/").at(-1)];
    if (how) how(request, answer, url.searchParams).catch(() => answer.destroy());
    // As frameworks do: their own domain alone, and nothing that was not HTTPS.
    else if (request.headers.host.replace(/:\d+$/, "") !== process.env.EXPECTED_DOMAIN)
      answer.writeHead(400).end("not my domain");
    else if (request.headers["x-forwarded-proto"] !== "https")
      answer.writeHead(301, { Location: "https://hostile.test/" }).end();
    else answer.end(JSON.stringify({ release: process.env.RELEASE, ...request.headers }));
  })
  // What is sent after the handshake comes back.
  .on("upgrade", (request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("error", () => undefined).pipe(socket);
    socket.on("close", () => console.log("websocket closed"));
  })
  .setTimeout(0)
  // Who is not taken at once waits: how many may is the service's to say.
  .listen({ port: 8000, backlog: 4096 })
  .on("listening", function () {
    this.requestTimeout = 0;
  });

// Says where a connection has come, and what was sent.
for (const [port, number] of Object.entries(JSON.parse(process.env.TCP)))
  net
    .createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (sent) => socket.end(`${process.env.NAME} ${port} ${sent}`));
    })
    .listen(number);

// No new ones, and what is open goes on for as long as it may.
process.on("SIGTERM", () => {
  server.close(() => process.exit());
  setTimeout(() => process.exit(), Number(process.env.DRAIN_SECONDS) * 1000);
});
