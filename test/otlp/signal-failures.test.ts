import { diag, logs, metrics, trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type Collector,
  deadCollector,
  startDrippingCollector,
  startHungCollector,
  startRefusingCollector,
  startMalformedCollector,
  startWebSite,
} from "./collectors.ts";
import { runProgram } from "./program.ts";
import { type OtlpReceiver, startReceiver } from "./receiver.ts";

const startDeadCollector = async (): Promise<Collector> => ({
  url: deadCollector,
  [Symbol.asyncDispose]: async () => {},
});
const paths = ({ requests }: OtlpReceiver): readonly string[] => requests.map(({ path }) => path).toSorted();
const all = ["/v1/logs", "/v1/metrics", "/v1/traces"];
const signals = [
  ["traces", "span", "1 span", "/v1/traces"],
  ["metrics", "metric data point", "4 metric data points", "/v1/metrics"],
  ["logs", "log record", "2 log records", "/v1/logs"],
] as const;

describe.each(signals)("K1 and K3 the collector of %s", (signal, _item, items, path) => {
  it.each<[what: string, start: () => Promise<Collector>, cause: string]>([
    ["is down", startDeadCollector, "ECONNREFUSED"],
    ["hangs", startHungCollector, "Request timed out"],
    ["never ends its answer", startDrippingCollector, "Request timed out"],
    ["is full", () => startRefusingCollector(429), "HTTP 429 Too Many Requests"],
    ["refuses", () => startRefusingCollector(400), "HTTP 400 Bad Request"],
    ["is a web site", startWebSite, "the answer is a web page, not that of an OTLP collector"],
    [
      "sends a malformed answer",
      startMalformedCollector,
      "HPE_INVALID_CONSTANT: the answer is not HTTP; is this port gRPC?",
    ],
  ])("%s: one line, shutdown ends in time, and the other signals are delivered", async (_what, start, cause) => {
    await using receiver = await startReceiver();
    await using collector = await start();
    const { stdout, stderr } = await runProgram("emit-signals", {
      input: {
        options: { endpoint: receiver.url, shutdownTimeout: 1000, [signal]: { endpoint: `${collector.url}${path}` } },
      },
    });
    // Nobody knows what a collector that is silent has taken.
    const what = cause === "Request timed out" ? `cannot confirm that ${items} reached` : `cannot export ${items} to`;
    expect(stderr).toBe(`durable-telemetry: ${what} ${collector.url}${path} (${cause}); workflows go on without it\n`);
    expect(paths(receiver)).toEqual(all.filter((other) => other !== path));
    const times: { readonly shutdown: number; readonly exit: number } = JSON.parse(stdout);
    expect(times.shutdown).toBeLessThan(3000);
    expect(times.exit).toBeLessThan(2000);
  });

  it("hangs, and a flood of data and flushes leaves memory bounded", async () => {
    await using collector = await startHungCollector();
    const { stdout } = await runProgram("flood", {
      env: {
        OTEL_BSP_MAX_QUEUE_SIZE: "100",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "100",
        OTEL_BLRP_MAX_QUEUE_SIZE: "100",
        OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: "100",
      },
      input: { signal, spans: 100_000, options: { endpoint: collector.url } },
      nodeArgs: ["--expose-gc"],
    });
    // What was recorded holds more than 100 MB.
    expect(JSON.parse(stdout).grownBy).toBeLessThan(30_000_000);
  });
});

describe("K1 in one process", () => {
  afterEach(() => {
    diag.disable();
    vi.restoreAllMocks();
  });

  it("each signal and cause is reported once a minute, however many exports fail, to the program's diag logger", async () => {
    const console = vi.spyOn(globalThis.console, "warn");
    const lines: string[] = [];
    const log = (...args: readonly unknown[]): void => void lines.push(args.join(" "));
    diag.setLogger({ error: log, warn: log, info: () => {}, debug: () => {}, verbose: () => {} });
    await using collector = await startRefusingCollector(400);
    const telemetry = setupOtlp({ endpoint: collector.url, logs: { scheduleDelay: 1 }, shutdownTimeout: 500 });
    for (let round = 0; round < 3; round += 1) {
      trace.getTracer("test").startSpan("order").end();
      metrics.getMeter("test").createCounter("orders").add(1);
      logs.getLogger("test").emit({ body: "ordered" });
      await telemetry.forceFlush();
    }
    await telemetry.shutdown();
    // The first at once; what is lost within the minute after it when telemetry ends, with its number.
    const line = (items: string, path: string): string =>
      `durable-telemetry: cannot export ${items} to ${collector.url}${path} (HTTP 400 Bad Request); workflows go on without it`;
    expect(lines.toSorted()).toEqual(
      signals
        .flatMap(([signal, item, , path]) => [
          line(`1 ${item}`, path),
          line(`${signal === "metrics" ? 3 : 2} ${item}s`, path),
        ])
        .toSorted(),
    );
    expect(console).not.toHaveBeenCalled();
  });

  it("metrics that a collector hangs on are given up before the next ones are due: one line", async () => {
    const { promise: reported, resolve } = Promise.withResolvers<void>();
    const lines: string[] = [];
    const log = (...args: readonly unknown[]): void => {
      lines.push(args.join(" "));
      resolve();
    };
    diag.setLogger({ error: log, warn: log, info: () => {}, debug: () => {}, verbose: () => {} });
    await using hung = await startHungCollector();
    const telemetry = setupOtlp({
      endpoint: hung.url,
      traces: false,
      logs: false,
      metrics: { exportInterval: 400 },
      shutdownTimeout: 100,
    });
    metrics.getMeter("test").createCounter("orders").add(1);
    await reported;
    await telemetry.shutdown();
    const line = `durable-telemetry: cannot confirm that 1 metric data point reached ${hung.url}/v1/metrics (Request timed out); workflows go on without it`;
    // Once at the interval, and once at the end.
    expect(lines).toEqual([line, line]);
  });

  it("forceFlush is not held for longer than an export may take, and delivers the other signals", async () => {
    vi.spyOn(console, "warn").mockReturnValue(undefined);
    await using receiver = await startReceiver();
    await using hung = await startHungCollector();
    await using telemetry = setupOtlp({
      endpoint: receiver.url,
      metrics: { endpoint: hung.url, timeout: 100 },
      shutdownTimeout: 200,
    });
    trace.getTracer("test").startSpan("order").end();
    metrics.getMeter("test").createCounter("orders").add(1);
    logs.getLogger("test").emit({ body: "ordered" });
    const start = performance.now();
    await telemetry.forceFlush();
    expect(performance.now() - start).toBeLessThan(5000);
    expect(paths(receiver)).toEqual(["/v1/logs", "/v1/traces"]);
  });

  it("an answer that never ends is given up while the program goes on, so that such answers do not pile up", async () => {
    vi.spyOn(console, "warn").mockReturnValue(undefined);
    await using collector = await startDrippingCollector();
    await using telemetry = setupOtlp({ endpoint: collector.url, timeout: 1000 });
    trace.getTracer("test").startSpan("order").end();
    const start = performance.now();
    await telemetry.forceFlush();
    await collector.dropped;
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("an observable that throws costs its own metric only, and one line reports it", async () => {
    const lines = vi.spyOn(console, "warn").mockReturnValue(undefined);
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({ endpoint: receiver.url });
    metrics
      .getMeter("test")
      .createObservableGauge("broken")
      .addCallback(() => {
        throw new Error("broken gauge");
      });
    metrics.getMeter("test").createCounter("orders").add(1);
    await telemetry.shutdown();
    expect(receiver.metrics.map(({ name }) => name)).toEqual(["orders"]);
    expect(lines.mock.calls).toEqual([
      ["durable-telemetry: not all metrics can be collected (a callback failed: broken gauge)"],
    ]);
  });
});
