// Loaded before the program, in every run of it: what makes a run fast without changing what it does.
const Module = require("node:module");
const { homedir } = require("node:os");
const { join } = require("node:path");

// One that is too old would fail by a function that it lacks, and nobody would know why. package.json says the same.
const NEEDED = "22.18";
const [major, minor] = process.versions.node.split(".").map(Number);
const [neededMajor, neededMinor] = NEEDED.split(".").map(Number);
if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
  process.stderr.write(
    `error: Node ${process.versions.node} (${process.execPath}): too old: install ${NEEDED} or newer, https://nodejs.org\n`,
  );
  process.exit(1);
}

// Compiled code is kept between runs.
Module.enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "bulkhead", "compile-cache"));

// Only functions that are serialized into the state need these, and Bulkhead has none: loaded when first asked for.
const LAZY = ["@npmcli/arborist", "../../typescript-shim"];
// And what runs pulumi from within a program.
const PULUMI = /[\\/]@pulumi[\\/]pulumi[\\/]index\.js$/;

const load = Module._load;
Module._load = (request, parent, isMain) => {
  // Pulumi keeps a stack trace for every output, and would map each through source maps: a fifth of a run's time. Node
  // strips types in place, so lines and columns are right as they are, and there is nothing to map.
  if (request === "source-map-support/register") return {};
  if (LAZY.includes(request) || (request === "./automation" && PULUMI.test(parent?.filename ?? "")))
    return whenAskedFor(() => load(request, parent, isMain));
  if (request.endsWith("/v8Hooks")) return withoutDebugger(() => load(request, parent, isMain));
  if (request === "./tracing" && PULUMIS_RUN.test(parent?.filename ?? ""))
    return withoutTracing(() => load(request, parent, isMain));
  const module = load(request, parent, isMain);
  if (request.endsWith("/debuggable")) withoutTraces(module);
  if (/(^|\/)log$/.test(request)) withoutProgress(module);
  if (request.endsWith("/rpc")) withPropertiesWhenRead(module);
  return module;
};

/**
 * Pulumi keeps a stack trace for every promise of every property, which takes most of the time of a large program; it is
 * shown only where a promise never ends. Errors keep theirs, and so do resources, which are asked for theirs elsewhere.
 */
function withoutTraces(module) {
  const { debuggablePromise } = module;
  if (typeof debuggablePromise !== "function" || debuggablePromise.withoutTraces) return;
  module.debuggablePromise = (...args) => {
    const { stackTraceLimit } = Error;
    // Only while this function runs, which calls nothing of the program.
    Error.stackTraceLimit = 0;
    try {
      return debuggablePromise(...args);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  };
  module.debuggablePromise.withoutTraces = true;
}

/**
 * Pulumi makes an output of every property that a resource can have, each of a dozen promises: more than half of all
 * outputs of a run, and almost none of them is ever read. Each is made, by Pulumi's own code, when it is read.
 */
function withPropertiesWhenRead(module) {
  const { transferProperties } = module;
  if (typeof transferProperties !== "function" || transferProperties.whenRead) return;
  module.transferProperties = (resource, label, properties) => {
    const resolvers = {};
    for (const key of Object.keys(properties)) {
      // Pulumi makes these itself, and refuses what is there already.
      if (key === "id" || key === "urn" || Object.hasOwn(resource, key)) {
        Object.assign(resolvers, transferProperties(resource, label, { [key]: properties[key] }));
        continue;
      }
      let resolve;
      let known;
      resolvers[key] = (...result) => (resolve === undefined ? (known = result) : resolve(...result));
      Object.defineProperty(resource, key, {
        enumerable: true,
        configurable: true,
        get: () => {
          delete resource[key];
          resolve = transferProperties(resource, label, { [key]: properties[key] })[key];
          if (known !== undefined) resolve(...known);
          return resource[key];
        },
        set: (value) =>
          void Object.defineProperty(resource, key, { value, writable: true, enumerable: true, configurable: true }),
      });
    }
    return resolvers;
  };
  module.transferProperties.whenRead = true;
}

const PULUMIS_RUN = /[\\/]@pulumi[\\/]pulumi[\\/]cmd[\\/]run[\\/]/;

/**
 * Pulumi attaches a debugger to every program, for functions that are serialized into the state: it hears of every script,
 * and takes as long as the program's own code to load. A program that has such functions gets it when the first comes.
 */
function withoutDebugger(module) {
  return {
    isInitializedAsync: () => Promise.resolve(),
    getSessionAsync: () => module().getSessionAsync(),
    getScriptUrl: (id) => module().getScriptUrl(id),
  };
}

/** What measures calls is loaded for `--tracing` and `--otel-traces` alone. */
function withoutTracing(module) {
  const span = { setAttribute() {}, addEvent() {}, end() {} };
  let isOn = process.env.PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT !== undefined;
  return {
    start: (url) => ((isOn = true), module().start(url)),
    stop: () => module().stop(),
    newSpan: (name) => (isOn ? module().newSpan(name) : span),
  };
}

/**
 * Pulumi's own code tells the engine of every step of every registration, which only `--debug` shows: more calls than the
 * registrations themselves. DEBUG=1 brings them back; what a program says by pulumi.log.debug is told in any case.
 */
function withoutProgress(module) {
  const { debug } = module;
  if (process.env.DEBUG || typeof debug !== "function" || debug.withoutProgress) return;
  module.debug = (message, ...args) => (PROGRESS.test(message) ? Promise.resolve() : debug(message, ...args));
  module.debug.withoutProgress = true;
}

const PROGRESS =
  /^(Registering resource: |RegisterResource(Outputs)? RPC (prepared|finished): |Resource RPC serialization )/;

function whenAskedFor(module) {
  // __esModule keeps the importer from copying every property at once.
  return new Proxy({}, { get: (_, property) => (property === "__esModule" ? true : module()[property]) });
}
