// Pulumi loads a pack with `require`; the pack is a module. Node runs it from source, but strips no types in node_modules.
const { existsSync } = require("node:fs");
const { join } = require("node:path");

module.exports = import(existsSync(join(__dirname, "index.ts")) ? "./index.ts" : "./index.js");
