"use strict";
// CommonJS, and a separate file in `dist` too: `require` loads a package at the call, and a bundler finds each by its
// literal name. Because of the `try`, a bundler continues if one is not installed.

/** Undefined, or another file's name, if a bundler has moved this code. */
exports.file = typeof __filename === "string" ? __filename : undefined;

/** The package from the bundle; `undefined` if the bundler did not find it. */
exports.fromBundle = (name) => {
  try {
    switch (name) {
      case "@grpc/grpc-js":
        return require("@grpc/grpc-js");
      case "@opentelemetry/context-async-hooks":
        return require("@opentelemetry/context-async-hooks");
      case "@opentelemetry/core":
        return require("@opentelemetry/core");
      case "@opentelemetry/otlp-transformer":
        return require("@opentelemetry/otlp-transformer");
      case "@opentelemetry/propagator-b3":
        return require("@opentelemetry/propagator-b3");
      case "@opentelemetry/resources":
        return require("@opentelemetry/resources");
      case "@opentelemetry/sdk-logs":
        return require("@opentelemetry/sdk-logs");
      case "@opentelemetry/sdk-metrics":
        return require("@opentelemetry/sdk-metrics");
      case "@opentelemetry/sdk-trace":
        return require("@opentelemetry/sdk-trace");
    }
  } catch {
    // Not installed when the bundle was built.
  }
  return undefined;
};
