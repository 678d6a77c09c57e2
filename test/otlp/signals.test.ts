import { context, logs, metrics, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, describe, expect, it, vi } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { startGunzip } from "./collectors.ts";
import { runProgram } from "./program.ts";
import { type OtlpReceiver, startReceiver } from "./receiver.ts";

const paths = ({ requests }: OtlpReceiver): readonly string[] => requests.map(({ path }) => path).toSorted();
const all = ["/v1/logs", "/v1/metrics", "/v1/traces"];
const signals = [
  ["traces", "TRACES", "/v1/traces"],
  ["metrics", "METRICS", "/v1/metrics"],
  ["logs", "LOGS", "/v1/logs"],
] as const;

/** Runs the program against the receiver. */
async function emit(
  receiver: OtlpReceiver,
  env: Record<string, string> = {},
  options: Record<string, unknown> = {},
): Promise<string> {
  const { stdout } = await runProgram("emit-signals", {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env },
    input: { options },
  });
  return stdout;
}

describe.concurrent("All three signals are exported by default", () => {
  it.each([
    ["http/json", "application/json"],
    ["http/protobuf", "application/x-protobuf"],
  ])("over %s, whole and valid, each from the same resource", async (protocol, contentType) => {
    await using receiver = await startReceiver();
    const { stderr } = await runProgram("emit-signals", {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_SERVICE_NAME: "shop",
      },
    });
    expect(stderr).toBe("");
    expect(paths(receiver)).toEqual(all);
    for (const { headers } of receiver.requests) expect(headers["content-type"]).toBe(contentType);

    const scope = { name: "shop", version: "1.2.3" };
    const [span] = receiver.spans;
    expect(span).toMatchObject({ name: "order", scope });
    expect(receiver.metrics).toMatchObject([
      {
        name: "orders",
        unit: "{order}",
        kind: "sum",
        temporality: "CUMULATIVE",
        points: [{ attributes: { country: "nl" }, value: 2 }],
        scope,
      },
      { name: "open", kind: "sum", temporality: "CUMULATIVE", points: [{ value: -1 }], scope },
      {
        name: "price",
        unit: "EUR",
        kind: "histogram",
        temporality: "CUMULATIVE",
        points: [{ value: 1, bounds: [1, 10] }],
        scope,
      },
      { name: "heat", kind: "gauge", temporality: undefined, points: [{ value: 21.5 }], scope },
    ]);
    expect(receiver.logs).toMatchObject([
      {
        eventName: "shop.ordered",
        severity: "INFO",
        body: "ordered",
        attributes: { items: 3, gift: false },
        spanId: span?.spanId,
        scope,
      },
      { eventName: "", severity: "WARN", body: "closing", attributes: {}, spanId: undefined, scope },
    ]);
    for (const { resource } of [...receiver.spans, ...receiver.metrics, ...receiver.logs]) {
      expect(resource).toMatchObject({
        "service.name": "shop",
        "telemetry.distro.name": "durable-telemetry",
        "telemetry.distro.version": packageJson.version,
        "host.name": expect.any(String),
      });
    }
  });

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    ["OTEL_EXPORTER_OTLP_COMPRESSION=gzip", { OTEL_EXPORTER_OTLP_COMPRESSION: "gzip" }, {}],
    ["the option compression", { OTEL_EXPORTER_OTLP_COMPRESSION: "none" }, { compression: "gzip" }],
  ])("%s compresses all", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await using gunzip = await startGunzip(receiver.url); // It refuses what is not compressed.
    await emit(receiver, { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: gunzip.url }, options);
    expect(paths(receiver)).toEqual(all);
  });

  it("OTEL_SDK_DISABLED=true, and the option disabled, send none", async () => {
    await using receiver = await startReceiver();
    await emit(receiver, { OTEL_SDK_DISABLED: "true" });
    await emit(receiver, {}, { disabled: true });
    expect(paths(receiver)).toEqual([]);
    await emit(receiver, { OTEL_SDK_DISABLED: "true" }, { disabled: false });
    expect(paths(receiver)).toEqual(all);
  });
});

describe.concurrent.each(signals)("%s", (signal, name, path) => {
  const others = all.filter((other) => other !== path);

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    [`OTEL_${name}_EXPORTER=none`, { [`OTEL_${name}_EXPORTER`]: "none" }, {}],
    [`OTEL_${name}_EXPORTER=otlp,none`, { [`OTEL_${name}_EXPORTER`]: "otlp,none" }, {}],
    [`the option ${signal}: false`, { [`OTEL_${name}_EXPORTER`]: "otlp" }, { [signal]: false }],
    [
      `the option ${signal}.exporter: "none"`,
      { [`OTEL_${name}_EXPORTER`]: "otlp" },
      { [signal]: { exporter: "none" } },
    ],
  ])("%s leaves out this signal and no other", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await emit(receiver, env, options);
    expect(paths(receiver)).toEqual(others);
  });

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    [`OTEL_${name}_EXPORTER=console`, { [`OTEL_${name}_EXPORTER`]: "console" }, {}],
    [`the option ${signal}.exporter: "console"`, {}, { [signal]: { exporter: ["console"] } }],
  ])("%s prints this signal and sends the others", async (_what, env, options) => {
    await using receiver = await startReceiver();
    const stdout = await emit(receiver, env, options);
    expect(stdout).toContain({ traces: "name: 'order'", metrics: "name: 'orders'", logs: "body: 'closing'" }[signal]);
    expect(paths(receiver)).toEqual(others);
  });

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    ["the variable", { [`OTEL_EXPORTER_OTLP_${name}_PROTOCOL`]: "http/protobuf" }, {}],
    ["the option", {}, { [signal]: { protocol: "http/protobuf" } }],
  ])("has a protocol of its own: %s", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await emit(receiver, env, options);
    const types = new Map(receiver.requests.map((request) => [request.path, request.headers["content-type"]]));
    expect(types.get(path)).toBe("application/x-protobuf");
    for (const other of others) expect(types.get(other)).toBe("application/json");
  });

  it.each<
    [what: string, toEnv: (url: string) => Record<string, string>, toOptions: (url: string) => Record<string, unknown>]
  >([
    ["the variable", (url) => ({ [`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`]: url }), () => ({})],
    [
      "the option",
      (url) => ({ [`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`]: `${url}/wrong` }),
      (url) => ({ [signal]: { endpoint: url } }),
    ],
  ])("has an endpoint of its own, taken as it is: %s", async (_what, toEnv, toOptions) => {
    await using receiver = await startReceiver();
    await using own = await startReceiver();
    await emit(receiver, toEnv(`${own.url}${path}`), toOptions(`${own.url}${path}`));
    expect(paths(own)).toEqual([path]);
    expect(paths(receiver)).toEqual(others);
  });

  it("has headers of its own: the strongest of the options and variables wins, whatever its case", async () => {
    await using receiver = await startReceiver();
    await emit(
      receiver,
      { OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=1,c=1,d=1", [`OTEL_EXPORTER_OTLP_${name}_HEADERS`]: "B=2,c=2,d=2" },
      { headers: { C: "3", d: "3" }, [signal]: { headers: { D: "4" } } },
    );
    const headers = new Map(receiver.requests.map((request) => [request.path, request.headers]));
    expect(headers.get(path)).toMatchObject({ a: "1", b: "2", c: "3", d: "4" });
    for (const other of others) expect(headers.get(other)).toMatchObject({ a: "1", b: "1", c: "3", d: "3" });
  });

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    ["the variable", { [`OTEL_EXPORTER_OTLP_${name}_COMPRESSION`]: "gzip" }, {}],
    ["the option", { [`OTEL_EXPORTER_OTLP_${name}_COMPRESSION`]: "none" }, { [signal]: { compression: "gzip" } }],
  ])("can be compressed: %s", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await using gunzip = await startGunzip(receiver.url);
    // This one refuses what is not compressed, and is asked by this signal alone.
    await emit(receiver, { ...env, [`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`]: `${gunzip.url}${path}` }, options);
    expect(paths(receiver)).toContain(path);
  });
});

describe.concurrent("Of metrics", () => {
  const kinds = ({ metrics: received }: OtlpReceiver): unknown =>
    received.map(({ name, kind, temporality }) => [name, kind, temporality]);

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    [
      "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=Delta",
      { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "Delta" },
      {},
    ],
    ["the option metrics.temporality", {}, { metrics: { temporality: "delta" } }],
  ])("%s makes deltas", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await emit(receiver, env, options);
    expect(kinds(receiver)).toEqual([
      ["orders", "sum", "DELTA"],
      ["open", "sum", "CUMULATIVE"],
      ["price", "histogram", "DELTA"],
      ["heat", "gauge", undefined],
    ]);
  });

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>]>([
    [
      "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
      { OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: "base2_exponential_bucket_histogram" },
      {},
    ],
    [
      "the option metrics.histogramAggregation",
      {},
      { metrics: { histogramAggregation: "base2_exponential_bucket_histogram" } },
    ],
  ])("%s makes exponential histograms", async (_what, env, options) => {
    await using receiver = await startReceiver();
    await emit(receiver, env, options);
    expect(receiver.metrics.find(({ name }) => name === "price")).toMatchObject({
      kind: "exponentialHistogram",
      points: [{ value: 1 }],
    });
  });
});

describe("in one process", () => {
  afterEach(() => {
    trace.disable();
    context.disable();
    metrics.disable();
    logs.disable();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  it.each([
    ["OTEL_METRIC_EXPORT_INTERVAL", "50", {}],
    ["the option metrics.exportInterval", "60000", { metrics: { exportInterval: 50 } }],
  ])("%s sets how often metrics are exported", async (_what, variable, options) => {
    vi.stubEnv("OTEL_METRIC_EXPORT_INTERVAL", variable);
    await using receiver = await startReceiver();
    await using _telemetry = setupOtlp({ endpoint: receiver.url, ...options });
    metrics.getMeter("test").createCounter("orders").add(1);
    await receiver.waitFor(() => receiver.metrics.length >= 2);
  });

  it("metrics.exportInterval sets how often metrics are printed, too", async () => {
    const printed = vi.spyOn(console, "dir").mockReturnValue(undefined);
    await using _telemetry = setupOtlp({
      traces: false,
      logs: false,
      metrics: { exporter: "console", exportInterval: 20 },
    });
    metrics.getMeter("test").createCounter("orders").add(1);
    await vi.waitFor(() => expect(printed.mock.calls.length).toBeGreaterThan(1));
  });

  it.each([
    ["OTEL_BLRP_SCHEDULE_DELAY", "1", {}],
    ["the option logs.scheduleDelay", "3600000", { logs: { scheduleDelay: 1 } }],
  ])("%s sets how long log records are gathered", async (_what, variable, options) => {
    vi.stubEnv("OTEL_BLRP_SCHEDULE_DELAY", variable);
    await using receiver = await startReceiver();
    await using _telemetry = setupOtlp({ endpoint: receiver.url, ...options });
    logs.getLogger("test").emit({ body: "ordered" });
    await receiver.waitFor(() => receiver.logs.length === 1);
  });

  it("a flush of log records during another one delivers what came in between", async () => {
    await using receiver = await startReceiver();
    await using telemetry = setupOtlp({ endpoint: receiver.url });
    const logger = logs.getLogger("test");
    logger.emit({ body: "first" });
    const first = telemetry.forceFlush();
    await Promise.resolve();
    logger.emit({ body: "second" });
    await telemetry.forceFlush();
    expect(receiver.logs.map(({ body }) => body)).toEqual(["first", "second"]);
    await first;
  });

  it("MAX_QUEUE_SIZE and MAX_EXPORT_BATCH_SIZE of log records bound what waits and what a request carries", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    vi.stubEnv("OTEL_BLRP_MAX_QUEUE_SIZE", "3");
    vi.stubEnv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2");
    await using receiver = await startReceiver();
    await using telemetry = setupOtlp({ endpoint: receiver.url, logs: { maxQueueSize: 5 } });
    for (let i = 0; i < 20; i += 1) logs.getLogger("test").emit({ body: i });
    await telemetry.forceFlush();
    expect(receiver.logs.map(({ body }) => body)).toEqual([0, 1, 2, 3, 4]);
    expect(receiver.requests).toHaveLength(3);
    expect(warn.mock.calls).toEqual([
      ["durable-telemetry: dropped 15 log records: more than maxQueueSize (5), or 32 MiB, waited for the collector"],
    ]);
  });

  it.each(["a b=1", "line=%0A", "=3", "4"])(
    "%s in OTEL_EXPORTER_OTLP_HEADERS, which HTTP can't carry, is reported and omitted; the rest is sent",
    async (wrong) => {
      const lines = vi.spyOn(console, "warn").mockReturnValue(undefined);
      vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", `${wrong},key=2`);
      await using receiver = await startReceiver();
      const telemetry = setupOtlp({ endpoint: receiver.url });
      logs.getLogger("test").emit({ body: "ordered" });
      await telemetry.shutdown();
      expect(receiver.requests[0]?.headers).toMatchObject({ key: "2" });
      expect(receiver.requests[0]?.headers).not.toHaveProperty("line");
      expect(lines.mock.calls).toEqual([
        [expect.stringContaining("of OTEL_EXPORTER_OTLP_HEADERS is ignored: it must be key=value pairs")],
      ]);
    },
  );

  it("K3 after shutdown nothing is registered, and it can be set up again", async () => {
    await using receiver = await startReceiver();
    for (const round of ["first", "second"]) {
      const telemetry = setupOtlp({ endpoint: receiver.url, serviceName: round });
      metrics.getMeter("test").createCounter("orders").add(1);
      logs.getLogger("test").emit({ body: "ordered" });
      await telemetry.shutdown();
      metrics.getMeter("test").createCounter("late").add(1);
      logs.getLogger("test").emit({ body: "late" });
    }
    const services = [...receiver.metrics, ...receiver.logs].map(({ resource }) => resource["service.name"]);
    expect(services).toEqual(["first", "second", "first", "second"]);
  });

  it("with traces left out it works beside a tracer provider and a context manager of the program, and changes neither", async () => {
    const lines = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({ endpoint: receiver.url, traces: false });
    logs.getLogger("test").emit({ body: "ordered" });
    await telemetry.shutdown();
    context.with(ROOT_CONTEXT.setValue(Symbol.for("test"), true), () => {
      expect(context.active().getValue(Symbol.for("test"))).toBe(true);
    });
    trace.getTracer("test").startSpan("theirs").end();
    await vi.waitFor(() => expect(exporter.getFinishedSpans()).toHaveLength(1));
    expect(paths(receiver)).toEqual(["/v1/logs"]);
    expect(lines).not.toHaveBeenCalled();
  });

  it("leaves metrics and logs to the providers that the program has registered, and says so", async () => {
    const lines = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const providers = { metrics: new MeterProvider(), logs: new LoggerProvider() };
    metrics.setGlobalMeterProvider(providers.metrics);
    logs.setGlobalLoggerProvider(providers.logs);
    await setupOtlp().shutdown();
    expect(metrics.getMeterProvider()).toBe(providers.metrics);
    expect(lines.mock.calls.flat()).toEqual([
      'durable-telemetry: metrics are left to the MeterProvider that is registered already; "metrics: false" in setupOtlp\'s options says that this is meant',
      'durable-telemetry: logs are left to the LoggerProvider that is registered already; "logs: false" in setupOtlp\'s options says that this is meant',
    ]);
    lines.mockClear();
    await setupOtlp({ metrics: false, logs: false }).shutdown();
    expect(lines).not.toHaveBeenCalled();
    await setupOtlp({ disabled: true }).shutdown();
    expect(lines).not.toHaveBeenCalled();
  });
});
