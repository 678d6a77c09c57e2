"use strict";
// CommonJS, and a file of its own in `dist` too: Node.js loads a package at the `require` that asks for it, a bundler finds
// it by its literal name, and the code can tell whether it runs in a bundle.

/**
 * The Durable Task SDK that a bundler has put into the same file: Node.js loads no module then that could be watched for.
 * `undefined` outside of a bundle, where the application loads the SDK when it needs it.
 */
exports.bundledSdk = () => {
  if (typeof __filename === "string" && /[\\/]lazy\.cjs$/.test(__filename)) return undefined;
  try {
    return require("@microsoft/durabletask-js");
  } catch {
    return undefined; // It was not there when the bundle was made.
  }
};

/** The entry `durable-telemetry/otlp`. Throws where a package that it needs is missing. */
exports.otlp = () => require("durable-telemetry/otlp");

/** The entry `durable-telemetry/instrumentation`. Throws where a package that it needs is missing. */
exports.instrumentation = () => require("durable-telemetry/instrumentation");
