import { createRequire } from "node:module";
import { context, diag, logs, metrics, propagation, trace, type BatchObservableResult } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AlwaysOffSampler as AlwaysOffSampler2,
  InMemorySpanExporter,
  RandomIdGenerator,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import {
  AlwaysOffSampler,
  SamplingDecision,
  TracerProvider,
  type Sampler,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace";
import { describe, expect, it, onTestFinished } from "vitest";
import { withChosenIds } from "../../src/telemetry/chosen-ids.ts";
import { createTelemetryRecorder } from "../../src/testing/index.ts";
import { record, refusal, startShop } from "./recorder-fixture.ts";

// As a program has them: taken before there is a recorder, and kept.
const tracer = trace.getTracer("shop");
const logger = logs.getLogger("shop");
const apiLogsKey = Symbol.for("io.opentelemetry.js.api.logs");

describe("A recorder of a real worker's telemetry", () => {
  it("has the spans, the metrics and the logs of an orchestration, after one call", async () => {
    const recorder = record();
    const shop = await startShop();
    const instance = await shop.run("order", [10, 20]);
    const traceId = await recorder.waitForTrace("orchestration:order");

    recorder.assertWhole(traceId);
    expect(recorder.openSpans()).toEqual([]);
    const [order] = recorder.spans("orchestration:order");
    expect(order?.spanContext().traceId).toBe(traceId);
    expect(order?.attributes["durabletask.task.instance_id"]).toBe(instance);
    // One CLIENT and one SERVER span for each of the two.
    expect(recorder.spans("activity:charge")).toHaveLength(4);
    // What the activities' code opened is theirs, so there is a context.
    const parents = recorder.spans("call the bank").map(({ parentSpanContext }) => parentSpanContext?.spanId);
    const charges = recorder.spans("activity:charge").map((span) => span.spanContext().spanId);
    expect(parents.every((parent) => charges.includes(parent ?? ""))).toBe(true);

    const started = await recorder.waitForLog(
      ({ eventName, attributes }) =>
        eventName === "durabletask.orchestration.started" && attributes["durabletask.task.name"] === "order",
    );
    expect(started.spanContext?.traceId).toBe(traceId);
    expect(recorder.logs("durabletask.activity.started")).toHaveLength(4);

    const duration = await recorder.waitForMetric(
      ({ name, points }) => name === "durabletask.activity.duration" && points.length === 3,
    );
    expect(duration).toMatchObject({ kind: "histogram", unit: "s", scope: "durable-telemetry" });
    const charged = duration.points.find(({ attributes }) => attributes["durabletask.task.name"] === "charge");
    expect(charged?.count).toBe(2);
    expect(charged?.sum).toBeGreaterThan(0);
    expect(charged?.sum).toBeLessThanOrEqual(2 * (charged?.max ?? 0));
    const [retries] = await recorder.metrics("durabletask.task.retries");
    expect(retries).toMatchObject({
      kind: "counter",
      unit: "{attempt}",
      points: [{ value: 1, attributes: { "durabletask.task.name": "ship" } }],
    });
  });

  it("S1 finds whole traces where the backend drops trace contexts too", async () => {
    const recorder = record();
    const shop = await startShop({ traceContext: "drop" });
    await shop.run("order", [10]);
    const traceId = await recorder.waitForTrace("orchestration:delivery");
    recorder.assertWhole(traceId);
  });

  it("I6 gives spans the identity that tracing chose for them, and all others random IDs", () => {
    const recorder = record();
    const identity = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
    withChosenIds(identity, () => tracer.startSpan("durable").end());
    tracer.startSpan("other").end();
    const [durable, other] = recorder.spans().map((span) => span.spanContext());
    expect(durable).toMatchObject(identity);
    expect([other?.traceId, other?.spanId]).not.toEqual([identity.traceId, identity.spanId]);
  });
});

describe("One recorder after the other", () => {
  it("takes everything back, and records what is its own, from tracers and loggers that were taken long before", async () => {
    for (const name of ["first", "second", "third"]) {
      const recorder = createTelemetryRecorder();
      expect(logger.enabled()).toBe(true);
      tracer.startActiveSpan(name, (span) => {
        expect(trace.getActiveSpan()).toBe(span);
        logger.emit({ body: name });
        span.end();
      });
      await recorder.shutdown();
      tracer.startSpan("between").end();
      expect(logger.enabled()).toBe(false);
      logger.emit({ body: "between" });
      expect(recorder.spans().map((span) => span.name)).toEqual([name]);
      expect(recorder.logs().map(({ body }) => body)).toEqual([name]);
      expect(recorder.logs(name)[0]?.spanContext?.spanId).toBe(recorder.spans()[0]?.spanContext().spanId);
      // Nothing is left: others can register theirs.
      const left = [
        trace.setGlobalTracerProvider(new TracerProvider()),
        logs.setGlobalLoggerProvider(new LoggerProvider()),
        metrics.setGlobalMeterProvider(new MeterProvider()),
      ];
      for (const api of [trace, logs, metrics]) api.disable();
      expect(left).toEqual([true, true, true]);
      expect(propagation.fields()).toEqual([]);
      expect(apiLogsKey in globalThis).toBe(false);
    }
  });

  it("has the client's spans each time, though the SDK keeps its first tracer", async () => {
    for (let time = 0; time < 2; time += 1) {
      await using recorder = createTelemetryRecorder();
      const shop = await startShop();
      await shop.run("delivery");
      const traceId = await recorder.waitForTrace("create_orchestration:delivery");
      recorder.assertWhole(traceId);
      expect(recorder.spans("orchestration:delivery")).toHaveLength(1);
    }
  });

  it("goes on with instruments that were taken from an earlier one, counting from zero", async () => {
    const first = createTelemetryRecorder();
    const meter = metrics.getMeter("shop");
    const counter = meter.createCounter("orders", { unit: "{order}", description: "Orders." });
    const upDown = meter.createUpDownCounter("open");
    const gauge = meter.createGauge("level");
    const histogram = meter.createHistogram("size");
    let stock = 5;
    const observed = meter.createObservableGauge("stock");
    const observations = new Map<string, number>();
    const observing = (name: string): void => void observations.set(name, (observations.get(name) ?? 0) + 1);
    const observe = (result: { observe(value: number): void }): void => {
      observing("stock");
      result.observe(stock);
    };
    observed.addCallback(observe);
    const sold = meter.createObservableCounter("sold");
    const returned = meter.createObservableUpDownCounter("returned");
    const observeBoth = (result: BatchObservableResult): void => {
      observing("both");
      result.observe(sold, 7, { shop: "a" });
      result.observe(returned, -2);
    };
    meter.addBatchObservableCallback(observeBoth, [sold, returned]);
    const measure = (): void => {
      counter.add(2, { shop: "a" });
      upDown.add(-1);
      gauge.record(3);
      histogram.record(4);
    };
    const values = async (recorder: typeof first): Promise<unknown> =>
      Object.fromEntries(
        (await recorder.metrics()).map(({ name, kind, points }) => [
          name,
          [kind, ...points.map(({ value, count, sum }) => value ?? [count, sum])],
        ]),
      );
    const expected = {
      orders: ["counter", 2],
      open: ["up-down counter", -1],
      level: ["gauge", 3],
      size: ["histogram", [1, 4]],
      stock: ["gauge", 5],
      sold: ["counter", 7],
      returned: ["up-down counter", -2],
    };
    measure();
    expect(await values(first)).toEqual(expected);
    const [orders] = await first.metrics("orders");
    expect(orders).toMatchObject({
      unit: "{order}",
      description: "Orders.",
      scope: "shop",
      points: [{ attributes: { shop: "a" } }],
    });
    await first.shutdown();
    measure();

    const second = record();
    measure();
    expect(await values(second)).toEqual(expected);
    second.reset();
    measure();
    stock = 6;
    expect(await values(second)).toEqual({ ...expected, stock: ["gauge", 6] });
    const reads = (): number => [...observations.values()].reduce((sum, each) => sum + each, 0);
    observed.removeCallback(observe);
    meter.removeBatchObservableCallback(observeBoth, [sold, returned]);
    const before = reads();
    await second.metrics();
    second.reset();
    expect(await values(second)).toEqual({});
    expect(reads()).toBe(before);
    // What was recorded before can still be read.
    expect(await first.metrics("orders")).toMatchObject([{ points: [{ value: 2 }] }]);
  });

  it("tells what the callbacks of observed instruments throw", async () => {
    const recorder = record();
    const broken = new RangeError("broken on purpose");
    const stock = metrics.getMeter("shop").createObservableGauge("stock");
    const fail = (): never => {
      throw broken;
    };
    stock.addCallback(fail);
    onTestFinished(() => stock.removeCallback(fail));
    await expect(recorder.metrics()).rejects.toMatchObject({ errors: [broken] });
    await expect(recorder.waitForMetric("orders")).rejects.toMatchObject({ errors: [broken] });
  });

  it("is refused while another one is there, and that one goes on", async () => {
    const recorder = record();
    const { code, message, cause } = await refusal(() => createTelemetryRecorder());
    expect(code).toBe("DURABLE_TELEMETRY_RECORDER_RUNNING");
    expect(message).toContain("shutdown()");
    // So that the test that forgot it is found.
    expect(cause).toMatchObject({ stack: expect.stringContaining("recorder-fixture.ts") as unknown });
    tracer.startSpan("still").end();
    expect(recorder.spans("still")).toHaveLength(1);
  });

  it.each<[name: string, register: () => unknown, unregister: () => void]>([
    ["TracerProvider", () => trace.setGlobalTracerProvider(new TracerProvider()), () => trace.disable()],
    ["MeterProvider", () => metrics.setGlobalMeterProvider(new MeterProvider()), () => metrics.disable()],
    ["LoggerProvider", () => logs.setGlobalLoggerProvider(new LoggerProvider()), () => logs.disable()],
    // That of @opentelemetry/api-logs, which the SDK 2.x uses.
    [
      "LoggerProvider",
      () => Reflect.set(globalThis, apiLogsKey, () => new LoggerProvider()),
      () => Reflect.deleteProperty(globalThis, apiLogsKey),
    ],
  ])("is refused while a %s is registered, and registers nothing", async (name, register, unregister) => {
    register();
    onTestFinished(unregister);
    const { code, message } = await refusal(() => createTelemetryRecorder());
    expect(code).toBe("DURABLE_TELEMETRY_PROVIDER_REGISTERED");
    expect(message).toContain(`a ${name} registered`);
    unregister();
    await createTelemetryRecorder().shutdown();
  });

  it("is refused where another version of the OpenTelemetry API was first, and registers nothing", async () => {
    const key = Symbol.for("opentelemetry.js.api.1");
    const own: unknown = Reflect.get(globalThis, key);
    onTestFinished(() => void Reflect.set(globalThis, key, own));
    Reflect.set(globalThis, key, { version: "1.9.0" });
    const { code, message } = await refusal(() => createTelemetryRecorder());
    expect(code).toBe("DURABLE_TELEMETRY_API_REFUSED");
    expect(message).toContain("since version 1.9.0 of it was there first");
    expect(Reflect.get(globalThis, key)).toEqual({ version: "1.9.0" });
    Reflect.set(globalThis, key, own);
    await createTelemetryRecorder().shutdown();
  });

  it("has the spans and log records of tracers and loggers that the API's other copy gave before there was any", () => {
    // Before a provider is registered, those of the two copies are unrelated.
    const api = createRequire(import.meta.url)("@opentelemetry/api") as typeof import("@opentelemetry/api");
    expect(api.trace).not.toBe(trace);
    const early = { tracer: api.trace.getTracer("early"), logger: api.logs.getLogger("early") };
    early.tracer.startSpan("nobody's").end();
    const recorder = record();
    early.tracer.startSpan("required").end();
    early.logger.emit({ body: "required" });
    expect([recorder.spans().map(({ name }) => name), recorder.logs().map(({ body }) => body)]).toEqual([
      ["required"],
      ["required"],
    ]);
  });

  it("records a worker that was decorated, and has worked, before there was any recorder", async () => {
    const shop = await startShop();
    await shop.run("refused");
    const recorder = record();
    await shop.run("delivery");
    const traceId = await recorder.waitForTrace("create_orchestration:delivery");
    recorder.assertWhole(traceId);
    await recorder.waitForMetric(({ points }) =>
      points.some(({ attributes, count }) => attributes["durabletask.task.name"] === "delivery" && count === 1),
    );
    await recorder.waitForLog(
      ({ eventName, spanContext }) =>
        eventName === "durabletask.orchestration.finished" && spanContext?.traceId === traceId,
    );
  });

  it("leaves a context manager and a propagator alone that were there before", async () => {
    const before = createTelemetryRecorder();
    await before.shutdown();
    const fields = ["x-own"];
    propagation.setGlobalPropagator({ inject: () => undefined, extract: (each) => each, fields: () => fields });
    onTestFinished(() => propagation.disable());
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    onTestFinished(() => context.disable());
    // The API says it if somebody registers a second one.
    const said: string[] = [];
    const say = (message: string): void => void said.push(message);
    diag.setLogger({ error: say, warn: say, info: say, debug: () => undefined, verbose: () => undefined });
    onTestFinished(() => diag.disable());
    const recorder = createTelemetryRecorder();
    expect(propagation.fields()).toEqual(fields);
    await recorder.shutdown();
    expect(propagation.fields()).toEqual(fields);
    expect(context.setGlobalContextManager(new AsyncLocalStorageContextManager())).toBe(false);
    expect(said).toEqual([expect.stringContaining("duplicate registration of API: context")]);
  });

  it("has the W3C propagators, and a context that lasts", async () => {
    record();
    expect(propagation.fields()).toEqual(expect.arrayContaining(["traceparent", "baggage"]));
    await tracer.startActiveSpan("outer", async (span) => {
      await Promise.resolve();
      expect(trace.getActiveSpan()).toBe(span);
      expect(trace.getSpan(context.active())).toBe(span);
    });
  });
});

describe("Options of createTelemetryRecorder", () => {
  it("that are unknown or wrong are refused with a TypeError that names them", () => {
    expect(() => createTelemetryRecorder({ samplers: [] } as object)).toThrow(
      new TypeError(
        'createTelemetryRecorder: unknown option "samplers"; the options are sampler, idGenerator, spanProcessors.',
      ),
    );
    expect(() => createTelemetryRecorder({ spanProcessors: {} } as never)).toThrow(
      'option "spanProcessors" must be an array',
    );
    // Nothing was registered.
    expect(trace.setGlobalTracerProvider(new TracerProvider())).toBe(true);
    trace.disable();
  });

  it.each<[decision: string, sampler: Sampler]>([
    ["leaves a span out", new AlwaysOffSampler()],
    ["lets processors see a span and exporters not", { shouldSample: () => ({ decision: SamplingDecision.RECORD }) }],
  ])("let a sampler decide: one that %s", (_, sampler) => {
    const recorder = record({ sampler });
    tracer.startSpan("ended").end();
    tracer.startSpan("open");
    expect(recorder.spans()).toEqual([]);
    expect(recorder.openSpans()).toEqual([]);
  });

  it("take what SDK 2.x has for them", async () => {
    const exporter = new InMemorySpanExporter();
    const recorder = createTelemetryRecorder({
      spanProcessors: [new SimpleSpanProcessor(exporter)],
      idGenerator: new RandomIdGenerator(),
    });
    tracer.startSpan("seen").end();
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(["seen"]);
    expect(recorder.spans("seen")).toHaveLength(1);
    await recorder.shutdown();
    const none = record({ sampler: new AlwaysOffSampler2() });
    tracer.startSpan("left out").end();
    expect(none.spans()).toEqual([]);
  });

  it("let a span processor throw, and the span is recorded all the same", async () => {
    let broken: "onStart" | "onEnd" = "onEnd";
    const fail = (method: typeof broken) => (): void => {
      if (method === broken) throw new Error("on purpose");
    };
    const processor: SpanProcessor = {
      onStart: fail("onStart"),
      onEnd: fail("onEnd"),
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    };
    const recorder = record({ spanProcessors: [processor] });
    const waiting = recorder.waitForSpan("ended");
    expect(() => tracer.startSpan("ended").end()).toThrow("on purpose");
    expect((await waiting).name).toBe("ended");
    expect(recorder.openSpans()).toEqual([]);
    broken = "onStart";
    // Who started it has no span to end.
    expect(() => tracer.startSpan("started")).toThrow("on purpose");
    expect((await refusal(() => recorder.assertWhole())).problems).toMatchObject([{ kind: "open", name: "started" }]);
  });

  it("let span processors change a span that is recorded, and shut them down", async () => {
    let stopped = 0;
    const processor: SpanProcessor = {
      onStart: (span) => void span.setAttribute("by", "processor"),
      onEnd: () => undefined,
      forceFlush: async () => undefined,
      shutdown: async () => void (stopped += 1),
    };
    const recorder = record({ spanProcessors: [processor] });
    tracer.startSpan("seen").end();
    expect(recorder.spans()[0]?.attributes).toEqual({ by: "processor" });
    await Promise.all([recorder.shutdown(), recorder.shutdown()]);
    expect(stopped).toBe(1);
  });

  it("let a processor fail at its shutdown, and everything is taken back all the same", async () => {
    const shutdown = async (): Promise<void> => {
      throw new Error("on purpose");
    };
    const recorder = createTelemetryRecorder({
      spanProcessors: [
        { onStart: () => undefined, onEnd: () => undefined, forceFlush: async () => undefined, shutdown },
      ],
    });
    await expect(recorder.shutdown()).rejects.toThrow("on purpose");
    await createTelemetryRecorder().shutdown();
  });

  it("let an ID generator give the IDs", () => {
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => "2".repeat(16) },
    });
    tracer.startSpan("chosen").end();
    expect(recorder.spans()[0]?.spanContext()).toMatchObject({ traceId: "1".repeat(32), spanId: "2".repeat(16) });
  });
});

describe("A reset", () => {
  it("forgets what ended, what is open, what was logged and what was measured", async () => {
    const recorder = record();
    const counter = metrics.getMeter("shop").createCounter("orders");
    const open = tracer.startSpan("open");
    tracer.startSpan("ended").end();
    logger.emit({ body: "line" });
    counter.add(1);
    recorder.reset();
    open.end();
    expect([recorder.spans(), recorder.openSpans(), recorder.logs(), await recorder.metrics()]).toEqual([
      [],
      [],
      [],
      [],
    ]);
    counter.add(1);
    expect(await recorder.metrics("orders")).toMatchObject([{ points: [{ value: 1 }] }]);
    await recorder.shutdown();
    recorder.reset();
    expect(await recorder.metrics()).toEqual([]);
  });
});
