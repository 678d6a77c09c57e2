import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metrics, trace } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { startupProblems } from "../../src/telemetry/startup-check.ts";

const apiKey = Symbol.for("opentelemetry.js.api.1");
const defaults = ["tracing", "metrics", "logging"];

afterEach(() => {
  trace.disable();
  metrics.disable();
  Reflect.deleteProperty(globalThis, apiKey);
});

/** Loads a module that lies where a copy of the API would lie; it does what `code` says. */
function loadApiCopy(version: string, code = ""): string {
  const directory = join(mkdtempSync(join(tmpdir(), "api-")), "node_modules", "@opentelemetry", "api");
  mkdirSync(join(directory, "build", "src"), { recursive: true });
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "@opentelemetry/api", version }));
  const file = join(directory, "build", "src", "index.js");
  writeFileSync(file, code);
  const require = createRequire(file);
  require(file);
  onTestFinished(() => {
    Reflect.deleteProperty(require.cache, file);
    rmSync(directory, { recursive: true });
  });
  return directory;
}

describe("I12 The check at the start of a worker says", () => {
  it("nothing where the providers are registered", () => {
    trace.setGlobalTracerProvider(new TracerProvider());
    metrics.setGlobalMeterProvider(new MeterProvider());
    expect(startupProblems(defaults)).toEqual([]);
  });

  it("nothing where traces alone are exported, or nothing of OpenTelemetry is in the pipeline", () => {
    expect(startupProblems(["logging", "audit"])).toEqual([]);
    trace.setGlobalTracerProvider(new TracerProvider());
    expect(startupProblems(defaults)).toEqual([]);
  });

  it("that no provider is registered, and how to have one", () => {
    expect(startupProblems(defaults)).toEqual([
      'no OpenTelemetry TracerProvider and no MeterProvider is registered, so nothing arrives there. Call setupOtlp() of "durable-telemetry/otlp", or start your OpenTelemetry SDK, before worker.start().',
    ]);
    metrics.setGlobalMeterProvider(new MeterProvider());
    expect(startupProblems(defaults)).toEqual([
      expect.stringMatching(/^no OpenTelemetry TracerProvider is registered/),
    ]);
    expect(startupProblems(["metrics"])).toEqual([]);
  });

  it("which older copy of the API registered first, so that this package's copy can't use its providers", () => {
    const directory = loadApiCopy("1.8.0");
    Reflect.set(globalThis, apiKey, { version: "1.8.0", trace: {}, metrics: {} });
    const [problem, ...more] = startupProblems(defaults);
    expect(more).toEqual([]);
    expect(problem).toContain(
      `TracerProvider and MeterProvider registered with @opentelemetry/api 1.8.0 (${directory}), which the copy of this package, 1.10.0 (`,
    );
    expect(problem).toContain('"npm ls @opentelemetry/api"');
  });

  it("which copy of the API refuses what another one registers", () => {
    const directory = loadApiCopy("1.9.0");
    Reflect.set(globalThis, apiKey, { version: "1.9.0" });
    expect(trace.setGlobalTracerProvider(new TracerProvider())).toBe(false);
    const [problem] = startupProblems(defaults);
    expect(problem).toContain(
      `@opentelemetry/api 1.9.0 (${directory}) was used first in this process, and refuses what other versions register: 1.10.0 (`,
    );
  });
});
