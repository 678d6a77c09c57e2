import { context, diag, logs, metrics, propagation, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, describe, expect, it, vi } from "vitest";
import { deadCollector } from "./collectors.ts";
import { runProgram, startProgram } from "./program.ts";
import { startReceiver } from "./receiver.ts";

describe("start, stop, start again", () => {
  it("sends each run's spans where that run says, and none in between", async () => {
    await using first = await startReceiver();
    await using second = await startReceiver();
    const { stdout } = await runProgram("restart", { input: { collectors: [first.url, second.url, first.url] } });

    const nameAndService = ({ name, resource }: (typeof first.spans)[number]): unknown[] => [name, resource["service.name"]];
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
    expect(stdout.split("\n").slice(0, 4)).toEqual([traceparent(0), "span after 0 none", traceparent(1), "span after 1 none"]);
  });

  it("tracers that were taken before, from whichever copy of the OpenTelemetry API, record", async () => {
    await using receiver = await startReceiver();
    await runProgram("both-copies", { env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
    expect(receiver.spans.map(({ scope }) => scope.name).toSorted()).toEqual(["other", "own"]);
  });

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

  it("after shutdown a tracer, forceFlush and shutdown do nothing", async () => {
    await using receiver = await startReceiver();
    const telemetry = setupOtlp({ endpoint: receiver.url });
    const tracer = trace.getTracer("test");
    await telemetry.shutdown();
    tracer.startSpan("late").end();
    trace.getTracer("test").startSpan("later").end();
    await telemetry.forceFlush();
    await telemetry.shutdown();
    expect(receiver.requests).toEqual([]);
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

  it("where another tracer provider is registered it throws, tells of DurableIdGenerator, and changes nothing", async () => {
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
    expect(() => setupOtlp()).toThrow(
      expect.objectContaining({
        code: "DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED",
        message: expect.stringContaining("new NodeSDK({ idGenerator: new DurableIdGenerator() })"),
      }),
    );
    trace.getTracer("test").startSpan("theirs").end();
    await vi.waitFor(() => expect(exporter.getFinishedSpans().map((span) => span.name)).toEqual(["theirs"]));
    expect(propagation.fields()).toEqual([]);

    trace.disable();
    await setupOtlp({ endpoint: await deadCollector() }).shutdown();
  });

  it("shutdown takes back its own registrations", async () => {
    const telemetry = setupOtlp();
    expect(propagation.fields()).toEqual(["traceparent", "tracestate", "baggage"]);
    expect(trace.getTracer("test").startSpan("span").isRecording()).toBe(true);
    await telemetry.shutdown();
    expect(propagation.fields()).toEqual([]);
    expect(trace.getTracer("test").startSpan("span").isRecording()).toBe(false);
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
    // It would be told if it replaced another one.
    diag.setLogger(theirs);
    expect(theirs.warn).not.toHaveBeenCalled();
  });
});

describe("K3 SIGTERM", () => {
  it("handleSigterm delivers what there is, and the process ends by the signal", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", { input: { options: { endpoint: receiver.url, handleSigterm: true } } });
    await program.printed("ready, 1 listeners");
    program.kill("SIGTERM");
    expect(await program.result).toMatchObject({ code: null, signal: "SIGTERM", stderr: "" });
    expect(receiver.spans.map((span) => span.name)).toEqual(["work"]);
  });

  it("a program that listens to SIGTERM too ends when it wants to, and its last spans are delivered", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("sigterm", { input: { spans: 1, options: { endpoint: receiver.url, handleSigterm: true } } });
    await program.printed("ready, 2 listeners");
    program.kill("SIGTERM");
    expect(await program.result).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(receiver.spans.map((span) => span.name)).toEqual(["work", "last work"]);
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
});
