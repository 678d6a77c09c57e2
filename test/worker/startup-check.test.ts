import { setImmediate } from "node:timers/promises";
import { NoOpLogger, TaskHubGrpcWorker, type Logger } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { DurableTaskInstrumentation } from "../../src/instrumentation/index.ts";
import { startLocalSidecar } from "../../src/testing/index.ts";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";

const sidecar = await startLocalSidecar();
afterAll(() => sidecar.close());
afterEach(() => trace.disable());

/** Starts and stops a worker twice; returns the warnings that its logger got. */
async function warningsOf(options: DurableTelemetryOptions, logger: Partial<Logger> = {}): Promise<string[]> {
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  const worker = withDurableTelemetry(
    new TaskHubGrpcWorker({
      hostAddress: sidecar.address,
      logger: { error: ignore, info: ignore, debug: ignore, warn: (line) => void warnings.push(line), ...logger },
    }),
    options,
  );
  onTestFinished(() => worker.stop().catch(ignore));
  for (let start = 1; start <= 2; start += 1) {
    await worker.start();
    await worker.stop();
  }
  return warnings.filter((line) => line.includes("durable-telemetry"));
}

describe("I12 A worker without a registered provider", () => {
  it("says so once, through its logger, with the way out and the option that silences it", async () => {
    expect(await warningsOf({})).toEqual([
      'durable-telemetry: no OpenTelemetry TracerProvider and no MeterProvider is registered, so nothing arrives there. Call setupOtlp() of "durable-telemetry/otlp", or start your OpenTelemetry SDK, before worker.start(). The option "startupCheck: false" of withDurableTelemetry silences this.',
    ]);
  });

  it("says nothing with startupCheck: false, without the built-in middlewares, or where a provider is registered", async () => {
    expect(await warningsOf({ startupCheck: false })).toEqual([]);
    expect(await warningsOf({ tracing: false, metrics: false })).toEqual([]);
    trace.setGlobalTracerProvider(new TracerProvider());
    expect(await warningsOf({})).toEqual([]);
  });

  it("says so where DurableTaskInstrumentation decorates it", async () => {
    const instrumentation = new DurableTaskInstrumentation();
    onTestFinished(() => instrumentation.disable());
    const warnings: string[] = [];
    const logger: Logger = Object.assign(new NoOpLogger(), { warn: (line: string) => void warnings.push(line) });
    const worker = new TaskHubGrpcWorker({ hostAddress: sidecar.address, logger });
    await worker.start();
    await worker.stop();
    expect(warnings).toEqual([
      expect.stringContaining("no OpenTelemetry TracerProvider and no MeterProvider is registered"),
    ]);
  });

  it.each<[string, () => void]>([
    [
      "throws",
      () => {
        throw new Error("no disk");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no disk"))],
  ])("starts even where its logger %s (K1)", async (_, warn) => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    onTestFinished(() => void process.off("unhandledRejection", unhandled));
    await expect(warningsOf({}, { warn })).resolves.toEqual([]);
    await setImmediate();
    expect(unhandled).not.toHaveBeenCalled();
  });
});
