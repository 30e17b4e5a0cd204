// Loaded before the program, in every run. Compiled code is kept between runs, in the user's cache.
const { enableCompileCache } = require("node:module");
const { homedir } = require("node:os");
const { join } = require("node:path");

enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "bulkhead", "compile-cache"));
