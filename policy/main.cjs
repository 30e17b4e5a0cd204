// Pulumi loads a pack with `require`; the pack is a module that Node runs as it is.
module.exports = import("./index.ts");
