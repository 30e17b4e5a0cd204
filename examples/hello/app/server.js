// The service. It ends when Docker says so, after the answers that are under way.
const { createServer } = require("node:http");

const greeting = process.env.GREETING ?? "Hello";
const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(request.url === "/health" ? "well\n" : `${greeting}\n`);
});
server.listen(3000);
process.on("SIGTERM", () => server.close(() => process.exit()));
