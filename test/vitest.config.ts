import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const from = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

const config: ViteUserConfig = defineConfig({
  root: from("."),
  resolve: {
    // Tests import the package by its public names and get the sources.
    alias: [
      { find: /^durable-telemetry\/middlewares$/, replacement: from("middlewares/index.ts") },
      { find: /^durable-telemetry\/otlp$/, replacement: from("src/otlp/index.ts") },
      { find: /^durable-telemetry\/instrumentation$/, replacement: from("src/instrumentation/index.ts") },
      { find: /^durable-telemetry\/testing$/, replacement: from("src/testing/index.ts") },
      { find: /^durable-telemetry$/, replacement: from("src/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    // Generous, for machines that have other work: what must be fast has a bound of its own.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // By default one core is left to the main process, which has little to do.
    maxWorkers: "100%",
  },
});

export default config;
