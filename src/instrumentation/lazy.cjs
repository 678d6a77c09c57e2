"use strict";
// CommonJS, and a separate file in `dist` too: `require` loads a package at the call, a bundler finds it by its literal
// name, and the file's name shows whether it runs in a bundle.

/**
 * The Durable Task SDK that a bundler has put into the same file, because Node.js loads no module then that one could
 * observe. `undefined` outside a bundle, where the application loads the SDK when it needs it.
 */
exports.bundledSdk = () => {
  if (typeof __filename === "string" && /[\\/]lazy\.cjs$/.test(__filename)) return undefined;
  try {
    return require("@microsoft/durabletask-js");
  } catch {
    return undefined; // It was not installed when the bundle was built.
  }
};

/** The entry `durable-telemetry/otlp`. Throws where a package that it needs is missing. */
exports.otlp = () => require("durable-telemetry/otlp");

/** The entry `durable-telemetry/instrumentation`. Throws where a package that it needs is missing. */
exports.instrumentation = () => require("durable-telemetry/instrumentation");
