// Loaded before the pack, in every run of it: what makes it start fast without changing what it does. A language host
// that does not load it starts the pack all the same, about a second later.
const Module = require("node:module");
const { homedir } = require("node:os");
const { join } = require("node:path");

// Compiled code is kept between runs.
Module.enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "bulkhead", "compile-cache"));

// Pulumi would load TypeScript's compiler to translate a pack, a debugger to serialize its functions, and source maps.
// Node runs this pack as it is, and it has no function that is serialized.
const STAND_INS = [
  [/^source-map-support\/register$/, {}],
  [/^typescript$/, { version: "0.0.0" }],
  [/(^|[\\/])ts-node(@[\d.]+)?$/, { register() {} }],
  [/\/v8Hooks$/, { isInitializedAsync: () => Promise.resolve() }],
];

// What Pulumi loads for programs and for packs that it translates, loaded when first asked for.
const LAZY =
  /^(@npmcli\/arborist|@opentelemetry\/api|js-yaml|normalize-package-data|semver|\.\/automation|\.\/dynamic|\.\/provider|\.\.\/\.\.\/typescript-shim)$/;
const PULUMI = /[\\/]@pulumi[\\/]pulumi[\\/]/;
const POLICY = /[\\/]@pulumi[\\/]policy[\\/]/;

const load = Module._load;
Module._load = (request, parent, isMain) => {
  const [, standIn] = STAND_INS.find(([pattern]) => pattern.test(request)) ?? [];
  if (standIn !== undefined) return standIn;
  if (LAZY.test(request) && PULUMI.test(parent?.filename ?? ""))
    return whenAskedFor(() => load(request, parent, isMain));
  const module = load(request, parent, isMain);
  if (POLICY.test(parent?.filename ?? "")) {
    if (request === "./deserialize") readOnce(module);
    if (request === "./protoutil") remedyNothing(module);
  }
  return module;
};

/**
 * Pulumi reads the properties of a resource anew for each rule. These rules change nothing of them: once is enough. For
 * rules that remedy it reads them with what is secret marked: there is no such rule here, and nobody who looks at them.
 */
function readOnce(module) {
  const { deserializeProperties } = module;
  const read = new WeakMap();
  module.deserializeProperties = (message, forRemedies) => {
    if (forRemedies) return {};
    if (!read.has(message)) read.set(message, deserializeProperties(message, forRemedies));
    return read.get(message);
  };
}

/** Pulumi says of each resource that each rule remedies nothing, with the reason. */
function remedyNothing(module) {
  const { makeRemediateResponse } = module;
  module.makeRemediateResponse = (remedies) => makeRemediateResponse(remedies);
}

function whenAskedFor(module) {
  // __esModule keeps the importer from copying every property at once.
  return new Proxy({}, { get: (_, property) => (property === "__esModule" ? true : module()[property]) });
}
