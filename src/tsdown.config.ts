import { fileURLToPath } from "node:url";
import { defineConfig, type UserConfig } from "tsdown";

// CommonJS files that are copied as they are, so that `require` in them loads a package at the call.
const lazyFiles = ["src/otlp/packages.cjs", "src/instrumentation/lazy.cjs", "src/on-demand.cjs"];

const module = (path: string): RegExp => new RegExp(`[\\\\/]${path.replaceAll("/", "[\\\\/]")}(?<!\\.d\\.ts)$`);

const library: UserConfig = defineConfig({
  cwd: fileURLToPath(new URL("..", import.meta.url)),
  entry: {
    index: "src/index.ts",
    middlewares: "middlewares/index.ts",
    otlp: "src/otlp/index.ts",
    instrumentation: "src/instrumentation/index.ts",
    register: "src/instrumentation/register.ts",
    testing: "src/testing/index.ts",
  },
  format: ["esm", "cjs"],
  platform: "node",
  target: "node22.15",
  dts: true,
  sourcemap: false,
  shims: true,
  deps: {
    neverBundle: [
      "@opentelemetry/context-async-hooks",
      "@opentelemetry/core",
      "@opentelemetry/otlp-transformer",
      "@opentelemetry/propagator-b3",
      "@opentelemetry/resources",
      "@opentelemetry/sdk-logs",
      "@opentelemetry/sdk-metrics",
      "@opentelemetry/sdk-node",
      "@opentelemetry/sdk-trace",
      ...lazyFiles.map((file) => file.replace(/.*\//, "./")),
    ],
  },
  // Names of attributes as constants in object literals, which are faster to make, and less code to load. Names stay.
  inputOptions: { makeAbsoluteExternalsRelative: false, optimization: { inlineConst: { mode: "all", pass: 3 } } },
  minify: {
    compress: { sequences: false, joinVars: false, keepNames: { function: true, class: true } },
    mangle: false,
    codegen: false,
  },
  outputOptions: {
    // Declarations have the docstrings. Code without comments loads faster; annotations are for the bundlers of users.
    comments: { legal: true, annotation: true, jsdoc: false },
    // Each file costs about half a millisecond at import: the root entry has few, one of which other entries share. What
    // "register" needs stays out of that: it must work without the OpenTelemetry API. Declarations keep their own chunks.
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [
        {
          name: "shared",
          test: module(
            "(?:src/(?:pipeline/.*|telemetry/.*|options|version|suppress-tracing|on-demand)\\.ts|package\\.json)",
          ),
        },
        { name: "core", test: module("(?:src/worker/.*|src/with-durable-telemetry|middlewares/.+/.+)\\.ts") },
      ],
    },
  },
  copy: lazyFiles.map((from) => ({ from, to: "dist" })),
});

// The program shares no file with the entries: it loads only what it needs.
const program: UserConfig = defineConfig({
  cwd: library.cwd ?? ".",
  entry: { cli: "src/cli/main.ts" },
  format: "esm",
  platform: "node",
  target: "node22.15",
  clean: false,
  dts: false,
  sourcemap: false,
  outputOptions: { comments: { legal: true, annotation: true, jsdoc: false } },
});

const builds: UserConfig[] = [library, program];

export default builds;
