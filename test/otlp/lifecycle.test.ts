import { context, createContextKey, diag, logs, metrics, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { deadCollector } from "./collectors.ts";
import { runProgram, startProgram } from "./program.ts";
import { startReceiver } from "./receiver.ts";

describe("start, stop, start again", () => {
  it("sends each run's spans where that run says, and none in between", async () => {
    await using first = await startReceiver();
    await using second = await startReceiver();
    const { stdout } = await runProgram("restart", { input: { collectors: [first.url, second.url, first.url] } });

    const nameAndService = ({ name, resource }: (typeof first.spans)[number]): unknown[] => [
      name,
      resource["service.name"],
    ];
    expect(first.spans.map(nameAndService)).toEqual([
      ["child of span 0", "run 0"],
      ["span 0", "run 0"],
      ["child of span 2", "run 2"],
      ["span 2", "run 2"],
    ]);
    expect(second.spans.map(nameAndService)).toEqual([
      ["child of span 1", "run 1"],
      ["span 1", "run 1"],
    ]);
    // Context and propagation work in each run, and are gone after it.
    for (const { spans } of [first, second]) expect(spans[0]?.parentSpanId).toBe(spans[1]?.spanId);
    const traceparent = (index: 0 | 1, { spans } = index === 0 ? first : second): string =>
      `span ${index} 00-${spans[1]?.traceId}-${spans[1]?.spanId}-01`;
    expect(stdout.split("\n").slice(0, 4)).toEqual([
      traceparent(0),
      "span after 0 none",
      traceparent(1),
      "span after 1 none",
    ]);
  });

  it.each<[how: string, nodeArgs: readonly string[], isRequired: boolean]>([
    ["imported", [], false],
    ["required", [], true],
    ["imported where no ES module can be required", ["--no-experimental-require-module"], false],
  ])(
    "%s: tracers and loggers that were taken before, from whichever copy of the OpenTelemetry API, record",
    async (_how, nodeArgs, isRequired) => {
      await using receiver = await startReceiver();
      await runProgram("both-copies", {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
        input: { isRequired },
        nodeArgs,
      });
      expect(receiver.spans.map(({ scope }) => scope.name).toSorted()).toEqual(["imported", "required"]);
      expect(receiver.logs.map(({ scope }) => scope.name).toSorted()).toEqual(["imported", "required"]);
    },
  );

  it("await using shuts down at the end of the block", async () => {
    await using receiver = await startReceiver();
    await runProgram("dispose", { env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
    expect(receiver.spans.map((span) => span.name)).toEqual(["order"]);
  });
});

describe("in one process", () => {
  afterEach(() => {
    trace.disable();
    context.disable();
    propagation.disable();
    diag.disable();
    vi.unstubAllEnvs();
  });

  it("forceFlush delivers what has ended, and the set-up goes on", async () => {
    await using receiver = await startReceiver();
    await using telemetry = setupOtlp({ endpoint: receiver.url });
    const tracer = trace.getTracer("test");
    tracer.startSpan("first").end();
    await telemetry.forceFlush();
    expect(receiver.spans.map((span) => span.name)).toEqual(["first"]);
    tracer.startSpan("second").end();
    await telemetry.forceFlush();
    expect(receiver.spans.map((span) => span.name)).toEqual(["first", "second"]);
  });

  it("forceFlush also waits for spans whose export is under way", async () => {
    // Each span is on its way as soon as it ends: the first one still waits for the resource to be detected.
    vi.stubEnv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
    await using receiver = await startReceiver();
    await using telemetry = setupOtlp({ endpoint: receiver.url });
    for (const name of ["first", "second"]) {
      trace.getTracer("test").startSpan(name).end();
      await telemetry.forceFlush();
      expect(receiver.spans.at(-1)?.name).toBe(name);
    }
  });

  it("forceFlush delivers metrics and log records too", async () => {
    await using receiver = await startReceiver();
    await using telemetry = setupOtlp({ endpoint: receiver.url });
    metrics.getMeter("test").createCounter("orders").add(1);
    logs.getLogger("test").emit({ body: "ordered" });
    await telemetry.forceFlush();
    expect(receiver.metrics.map(({ name, points }) => [name, points[0]?.value])).toEqual([["orders", 1]]);
    expect(receiver.logs.map(({ body }) => body)).toEqual(["ordered"]);
  });

  it("K5 after shutdown a tracer, forceFlush and shutdown do nothing, and what comes too late is counted", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    onTestFinished(() => warn.mockRestore());
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({ endpoint: receiver.url });
    const tracer = trace.getTracer("test");
    await telemetry.shutdown();
    tracer.startSpan("late").end();
    trace.getTracer("test").startSpan("later").end();
    await telemetry.forceFlush();
    await telemetry.shutdown();
    expect(receiver.requests).toEqual([]);
    expect(warn.mock.calls).toEqual([["durable-telemetry: dropped 1 span: shutdown was over"]]);
  });

  it("a second set-up throws, says to shut down the first, and harms nothing", async () => {
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({ endpoint: receiver.url });
    const refused = expect.objectContaining({
      code: "DURABLE_TELEMETRY_OTLP_RUNNING",
      message: expect.stringContaining("await shutdown() on what the first call returned"),
    });
    expect(() => setupOtlp()).toThrow(refused);
    trace.getTracer("test").startSpan("span").end();
    const ended = telemetry.shutdown();
    expect(() => setupOtlp()).toThrow(refused);
    await ended;
    expect(receiver.spans.map((span) => span.name)).toEqual(["span"]);
    await setupOtlp({ endpoint: receiver.url }).shutdown();
  });

  it("OTEL_SDK_DISABLED keeps that rule", async () => {
    vi.stubEnv("OTEL_SDK_DISABLED", "true");
    const telemetry = setupOtlp({ handleSigterm: true });
    expect(process.listenerCount("SIGTERM")).toBe(0);
    expect(() => setupOtlp()).toThrow("running in this process already");
    await telemetry.forceFlush();
    await telemetry.shutdown();
    await setupOtlp().shutdown();
  });

  it("where another tracer provider is registered it throws, says that it may stay, without setupOtlp, and changes nothing", async () => {
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
    expect(() => setupOtlp()).toThrow(
      expect.objectContaining({
        code: "DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED",
        message: expect.stringContaining("or keep it, and leave setupOtlp out."),
      }),
    );
    await setupOtlp({ disabled: true }).shutdown();
    trace.getTracer("test").startSpan("theirs").end();
    await vi.waitFor(() => expect(exporter.getFinishedSpans().map((span) => span.name)).toEqual(["theirs"]));
    expect(propagation.fields()).toEqual([]);

    trace.disable();
    await setupOtlp({ endpoint: deadCollector }).shutdown();
  });

  it("the longest times that there are do not end an export at once", async () => {
    await using receiver = await startReceiver();
    const longest = 2 ** 31 - 1;
    await using telemetry = setupOtlp({
      endpoint: receiver.url,
      timeout: longest,
      traces: { exportTimeout: longest },
      shutdownTimeout: longest,
    });
    trace.getTracer("test").startSpan("span").end();
    await telemetry.forceFlush();
    expect(receiver.spans.map(({ name }) => name)).toEqual(["span"]);
  });

  it("forceFlush waits for 30 seconds at most", async () => {
    const telemetry = setupOtlp({ traces: false, logs: false, shutdownTimeout: 1 });
    metrics
      .getMeter("test")
      .createObservableGauge("hung")
      .addCallback(() => new Promise(() => {}));
    vi.useFakeTimers();
    const flushed = vi.fn<() => void>();
    void telemetry.forceFlush().then(flushed);
    await vi.advanceTimersByTimeAsync(29_999);
    expect(flushed).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(flushed).toHaveBeenCalledTimes(1);
    vi.useRealTimers();
    vi.spyOn(console, "warn").mockReturnValueOnce(undefined);
    await telemetry.shutdown();
  });

  it("an option that is an empty list says none", async () => {
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({
      endpoint: receiver.url,
      propagators: [],
      resourceDetectors: [],
      metrics: { exporter: [] },
    });
    expect(propagation.fields()).toEqual([]);
    trace.getTracer("test").startSpan("span").end();
    metrics.getMeter("test").createCounter("orders").add(1);
    await telemetry.shutdown();
    expect(receiver.requests.map(({ path }) => path)).toEqual(["/v1/traces"]);
    expect(receiver.spans[0]?.resource).not.toHaveProperty("process.pid");
  });

  it("shutdown takes back its own registrations", async () => {
    const telemetry = setupOtlp();
    expect(propagation.fields()).toEqual(["traceparent", "tracestate", "baggage"]);
    expect(trace.getTracer("test").startSpan("span").isRecording()).toBe(true);
    await telemetry.shutdown();
    expect(propagation.fields()).toEqual([]);
    expect(trace.getTracer("test").startSpan("span").isRecording()).toBe(false);
    const key = createContextKey("test");
    expect(context.with(ROOT_CONTEXT.setValue(key, true), () => context.active().getValue(key))).toBeUndefined();
  });

  it("shutdown leaves alone what the program has registered in the meantime", async () => {
    vi.stubEnv("OTEL_LOG_LEVEL", "none");
    const telemetry = setupOtlp();
    for (const api of [propagation, diag]) api.disable();
    const theirs = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() };
    diag.setLogger(theirs);
    propagation.setGlobalPropagator({ fields: () => ["theirs"], inject: () => {}, extract: (extracted) => extracted });
    await telemetry.shutdown();
    expect(propagation.fields()).toEqual(["theirs"]);
    diag.warn("after it");
    expect(theirs.warn.mock.calls).toEqual([["after it"]]);
  });

  it("without a log level no logger of OpenTelemetry's own is left after the set-up", async () => {
    await using _telemetry = setupOtlp();
    const theirs = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() };
    // `diag` would log that it replaced another one.
    diag.setLogger(theirs);
    expect(theirs.warn).not.toHaveBeenCalled();
  });

  it("a propagator that the program has registered stays, then and afterwards", async () => {
    const consoleWarn = vi.spyOn(console, "warn");
    propagation.setGlobalPropagator({ fields: () => ["theirs"], inject: () => {}, extract: (extracted) => extracted });
    const telemetry = setupOtlp();
    expect(propagation.fields()).toEqual(["theirs"]);
    await telemetry.shutdown();
    expect(propagation.fields()).toEqual(["theirs"]);
    expect(consoleWarn).not.toHaveBeenCalled();
    consoleWarn.mockRestore();
  });

  it("a diag logger that the program has set stays, whatever OTEL_LOG_LEVEL says", async () => {
    vi.stubEnv("OTEL_LOG_LEVEL", "error");
    const theirs = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() };
    diag.setLogger(theirs);
    const telemetry = setupOtlp();
    diag.warn("while it runs");
    await telemetry.shutdown();
    diag.warn("after it");
    expect(theirs.warn.mock.calls).toEqual([["while it runs"], ["after it"]]);
  });

  it("the logger that OTEL_LOG_LEVEL asks for is taken back at shutdown", async () => {
    vi.stubEnv("OTEL_LOG_LEVEL", "error");
    await setupOtlp().shutdown();
    const theirs = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() };
    // `diag` would log that it replaced another one.
    diag.setLogger(theirs);
    expect(theirs.warn).not.toHaveBeenCalled();
  });
});

describe("K3 SIGTERM", () => {
  it("handleSigterm delivers what there is, and the process ends by the signal", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", {
      input: { options: { endpoint: receiver.url, handleSigterm: true } },
    });
    await program.printed("ready, 1 listeners");
    program.kill("SIGTERM");
    expect(await program.result).toMatchObject({ code: null, signal: "SIGTERM", stderr: "" });
    expect(receiver.spans.map((span) => span.name)).toEqual(["work"]);
  });

  it("a program that listens to SIGTERM too ends when it wants to, and its last spans are exported", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", {
      input: { spans: 1, options: { endpoint: receiver.url, handleSigterm: true } },
    });
    await program.printed("ready, 2 listeners");
    program.kill("SIGTERM");
    expect(await program.result).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(receiver.spans.map((span) => span.name)).toEqual(["work", "last work"]);
  });

  it("handleSigint does the same for SIGINT", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", {
      input: { options: { endpoint: receiver.url, handleSigint: true } },
    });
    await program.printed("ready, 0 listeners");
    program.kill("SIGINT");
    expect(await program.result).toMatchObject({ code: null, signal: "SIGINT", stderr: "" });
    expect(receiver.spans.map((span) => span.name)).toEqual(["work"]);
  });

  it("without handleSigterm nothing listens", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", { input: { options: { endpoint: receiver.url } } });
    await program.printed("ready, 0 listeners");
    program.kill("SIGTERM");
    expect(await program.result).toMatchObject({ code: null, signal: "SIGTERM" });
    expect(receiver.spans).toEqual([]);
  });

  it("shutdown takes the listener back", async () => {
    const telemetry = setupOtlp({ handleSigterm: true });
    expect(process.listenerCount("SIGTERM")).toBe(1);
    await telemetry.shutdown();
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });

  it("beside a listener of the program it waits for an idle process, until shutdown", async () => {
    const before = process.listenerCount("beforeExit");
    const telemetry = setupOtlp({ handleSigterm: true });
    process.once("SIGTERM", () => {});
    process.emit("SIGTERM", "SIGTERM");
    expect(process.listenerCount("beforeExit")).toBe(before + 1);
    await telemetry.shutdown();
    expect(process.listenerCount("beforeExit")).toBe(before);
  });
});
