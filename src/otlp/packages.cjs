"use strict";
// CommonJS, and a file of its own in `dist` too: Node.js loads a package at the `require` that asks for it, and a bundler
// finds each by its literal name. The `try` has a bundler go on where one is not installed.

/** Undefined, or another file's name, where a bundler has moved this code. */
exports.file = typeof __filename === "string" ? __filename : undefined;

/** The package as a bundler has put it in; `undefined` where it has not found it. */
exports.fromBundle = (name) => {
  try {
    switch (name) {
      case "@grpc/grpc-js":
        return require("@grpc/grpc-js");
      case "@opentelemetry/core":
        return require("@opentelemetry/core");
      case "@opentelemetry/resources":
        return require("@opentelemetry/resources");
      case "@opentelemetry/sdk-logs":
        return require("@opentelemetry/sdk-logs");
      case "@opentelemetry/sdk-metrics":
        return require("@opentelemetry/sdk-metrics");
      case "@opentelemetry/sdk-node":
        return require("@opentelemetry/sdk-node");
      case "@opentelemetry/sdk-trace":
        return require("@opentelemetry/sdk-trace");
      case "@opentelemetry/exporter-logs-otlp-grpc":
        return require("@opentelemetry/exporter-logs-otlp-grpc");
      case "@opentelemetry/exporter-logs-otlp-http":
        return require("@opentelemetry/exporter-logs-otlp-http");
      case "@opentelemetry/exporter-logs-otlp-proto":
        return require("@opentelemetry/exporter-logs-otlp-proto");
      case "@opentelemetry/exporter-metrics-otlp-grpc":
        return require("@opentelemetry/exporter-metrics-otlp-grpc");
      case "@opentelemetry/exporter-metrics-otlp-http":
        return require("@opentelemetry/exporter-metrics-otlp-http");
      case "@opentelemetry/exporter-metrics-otlp-proto":
        return require("@opentelemetry/exporter-metrics-otlp-proto");
      case "@opentelemetry/exporter-trace-otlp-grpc":
        return require("@opentelemetry/exporter-trace-otlp-grpc");
      case "@opentelemetry/exporter-trace-otlp-http":
        return require("@opentelemetry/exporter-trace-otlp-http");
      case "@opentelemetry/exporter-trace-otlp-proto":
        return require("@opentelemetry/exporter-trace-otlp-proto");
    }
  } catch {
    // Not installed when the bundle was made.
  }
  return undefined;
};
