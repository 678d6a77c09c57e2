import { logs, metrics, ROOT_CONTEXT, SpanKind, trace, TraceFlags } from "@opentelemetry/api";
import { createTelemetryRecorder } from "../../src/testing/index.ts";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { record, refusal, startShop } from "./recorder-fixture.ts";

const tracer = trace.getTracer("shop");
const logger = logs.getLogger("shop");

describe("A wait", () => {
  it("for a span ends when the span does, and at once if it has ended", async () => {
    const recorder = record();
    const span = tracer.startSpan("late");
    const waiting = recorder.waitForSpan("late");
    tracer.startSpan("other").end();
    let done = false;
    void waiting.then(() => (done = true));
    await new Promise(setImmediate);
    expect(done).toBe(false);
    span.end();
    expect(await waiting).toBe(span);
    expect(await recorder.waitForSpan(({ name }) => name === "late", { timeout: 0 })).toBe(span);
  });

  it("for a log record ends when the record is emitted, by event name, body or function", async () => {
    const recorder = record();
    const waits = [
      recorder.waitForLog("paid"),
      recorder.waitForLog("a line"),
      recorder.waitForLog(({ attributes }) => attributes["amount"] === 3),
    ];
    logger.emit({ eventName: "paid", body: "text" });
    logger.emit({ body: "a line", attributes: { amount: 3 } });
    const [event, line, byAttribute] = await Promise.all(waits);
    expect(event?.eventName).toBe("paid");
    expect(line?.body).toBe("a line");
    expect(byAttribute).toBe(line);
  });

  it("for a metric ends with the measurement that it waits for, though nothing else happens", async () => {
    const recorder = record();
    const counter = metrics.getMeter("shop").createCounter("orders");
    const waiting = recorder.waitForMetric(({ name, points }) => name === "orders" && points[0]?.value === 3);
    counter.add(1);
    await new Promise(setImmediate);
    counter.add(2);
    expect((await waiting).points).toMatchObject([{ value: 3 }]);
    expect((await recorder.waitForMetric("orders")).name).toBe("orders");
  });

  it("for a condition looks again at each change, and gives what the condition gave", async () => {
    const recorder = record();
    let looked = 0;
    const waiting = recorder.waitFor(() => {
      looked += 1;
      return recorder.spans("step").length === 2 && "two steps";
    });
    for (const name of ["step", "step", "step"]) {
      await new Promise(setImmediate);
      if (recorder.spans().length < 2) tracer.startSpan(name).end();
    }
    expect(await waiting).toBe("two steps");
    // At the beginning, and after each of the two: a start and an end at once are one change.
    expect(looked).toBe(3);
  });

  it("for a condition looks again when a span starts, and gives up on a condition that is never answered", async () => {
    const recorder = record();
    const waiting = recorder.waitFor(() => recorder.openSpans("running").length === 1);
    await new Promise(setImmediate);
    tracer.startSpan("running");
    expect(await waiting).toBe(true);
    const never = new Promise<never>(() => undefined);
    expect((await refusal(() => recorder.waitFor(() => never, { timeout: 5 }))).code).toBe(
      "DURABLE_TELEMETRY_WAIT_TIMED_OUT",
    );
  });

  it("for a condition that throws ends with what it threw, and the span's code is not disturbed", async () => {
    const recorder = record();
    const waiting = recorder.waitFor(() => {
      if (recorder.spans().length > 0) throw new RangeError("broken on purpose");
    });
    const outcome = waiting.catch((error: unknown) => error);
    expect(() => tracer.startSpan("step").end()).not.toThrow();
    expect(await outcome).toEqual(new RangeError("broken on purpose"));
  });

  it("that lasts too long says what was seen instead", async () => {
    const recorder = record();
    tracer.startSpan("a").end();
    tracer.startSpan("a").end();
    tracer.startSpan("b");
    logger.emit({ eventName: "paid" });
    logger.emit({ body: "a line" });
    metrics.getMeter("shop").createCounter("orders").add(1);
    const timeout = 5;
    const errors = await Promise.all([
      refusal(() => recorder.waitForSpan("b", { timeout })),
      refusal(() => recorder.waitForTrace("c", { timeout })),
      refusal(() => recorder.waitForLog("d", { timeout })),
      refusal(() => recorder.waitForMetric(() => false, { timeout })),
      refusal(() => recorder.waitFor(() => false, { timeout })),
    ]);
    expect(errors.map(({ code }) => code)).toEqual(errors.map(() => "DURABLE_TELEMETRY_WAIT_TIMED_OUT"));
    const spans = "Spans that ended: 2 × a. Spans that are open: b.";
    expect(errors.map(({ message }) => message)).toEqual([
      `waitForSpan: nothing matched "b" within 5 ms.\n${spans}`,
      `waitForTrace: nothing matched "c" within 5 ms.\n${spans}`,
      `waitForLog: nothing matched "d" within 5 ms.\nLog records: paid, a line.`,
      `waitForMetric: nothing matched the function within 5 ms.\nInstruments that have measured something: orders.`,
      `waitFor: nothing matched the function within 5 ms.\n${spans}\nLog records: paid, a line.`,
    ]);
  });

  it("that lasts too long names no more than twenty of what was seen", async () => {
    const recorder = record();
    for (let number = 1; number <= 25; number += 1) tracer.startSpan(`step ${number}`).end();
    const { message } = await refusal(() => recorder.waitForSpan("never", { timeout: 5 }));
    expect(message).toMatch(/^Spans that ended: step 1, .* step 20 and 5 more\.$/m);
  });

  it("that lasts too long can show every body that a log record may have", async () => {
    const recorder = record();
    for (const body of [{ amount: 3 }, ["a", 1], Object.assign(Object.create(null), { amount: 4 }), undefined])
      logger.emit({ body });
    const { message } = await refusal(() => recorder.waitForLog("paid", { timeout: 5 }));
    expect(message).toContain(
      "Log records: { amount: 3 }, [ 'a', 1 ], [Object: null prototype] { amount: 4 }, one without a body.",
    );
  });

  it("ends with what the making of its error throws", async () => {
    const recorder = record();
    tracer.startSpan("ended").end();
    const broken = new RangeError("broken on purpose");
    // As when something that is printed has a getter of its own.
    Object.defineProperty(recorder.spans("ended")[0], "name", {
      get: () => {
        throw broken;
      },
    });
    await expect(recorder.waitForLog("never", { timeout: 5 })).rejects.toMatchObject({
      code: "DURABLE_TELEMETRY_WAIT_TIMED_OUT",
    });
    await expect(recorder.waitForSpan(() => false, { timeout: 5 })).rejects.toBe(broken);
  });

  it("for a metric that is observed ends when it is what was waited for, though nothing tells of it", async () => {
    const recorder = record();
    const stock = metrics.getMeter("shop").createObservableGauge("stock");
    let reads = 0;
    const observe = (result: { observe(value: number): void }): void => result.observe((reads += 1));
    stock.addCallback(observe);
    onTestFinished(() => stock.removeCallback(observe));
    expect(await recorder.waitForMetric(({ points }) => points[0]?.value === 3)).toMatchObject({
      name: "stock",
      points: [{ value: 3 }],
    });
  });

  it("leaves no timer behind that would keep the process running", async () => {
    const recorder = record();
    const stock = metrics.getMeter("shop").createObservableGauge("stock");
    const observe = (result: { observe(value: number): void }): void => result.observe(1);
    stock.addCallback(observe);
    onTestFinished(() => stock.removeCallback(observe));
    tracer.startSpan("ended").end();
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    for (let wait = 0; wait < 20; wait += 1) await recorder.waitForMetric("stock");
    expect(timers() - before).toBeLessThan(10);
    for (let wait = 0; wait < 20; wait += 1) await recorder.waitForSpan("ended");
    expect(timers() - before).toBeLessThan(10);
  });

  it("leaves most of the time to others, if it takes long to look", async () => {
    const recorder = record();
    let looked = 0;
    const waiting = recorder.waitFor(() => {
      looked += 1;
      for (const until = performance.now() + 10; performance.now() < until;);
      return recorder.spans("last").length > 0;
    });
    for (let step = 0; step < 100; step += 1) {
      await new Promise(setImmediate);
      tracer.startSpan("step").end();
    }
    tracer.startSpan("last").end();
    await waiting;
    expect(looked).toBeLessThan(20);
  });

  it("has a time limit that fake timers do not stop", async () => {
    const recorder = record();
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    expect((await refusal(() => recorder.waitForSpan("never", { timeout: 5 }))).code).toBe(
      "DURABLE_TELEMETRY_WAIT_TIMED_OUT",
    );
  });

  it("ends with an error when the recorder is shut down, and so does one that begins later", async () => {
    const recorder = createTelemetryRecorder();
    const early = refusal(() => recorder.waitForSpan("never"));
    await recorder.shutdown();
    expect((await early).code).toBe("DURABLE_TELEMETRY_RECORDER_SHUT_DOWN");
    expect((await refusal(() => recorder.waitForSpan("never"))).code).toBe("DURABLE_TELEMETRY_RECORDER_SHUT_DOWN");
  });

  it("with a wrong option is refused", async () => {
    const recorder = record();
    for (const timeout of [-1, Number.NaN, 2 ** 31]) {
      await expect(async () => recorder.waitForSpan("a", { timeout })).rejects.toThrow(
        'waitForSpan: option "timeout" must be a number of milliseconds',
      );
    }
    await expect(async () => recorder.waitForLog("a", { timeOut: 1 } as object)).rejects.toThrow(
      'unknown option "timeOut"; the options are timeout.',
    );
    await expect(recorder.waitForTrace("a", { timeOut: 1 } as object)).rejects.toThrow(
      "the options are timeout, remoteParents.",
    );
  });
});

describe("A wait for a trace", () => {
  it("S1 ends when the trace is complete, though its root ended long before", async () => {
    const recorder = record();
    const shop = await startShop();
    const id = await shop.client.scheduleNewOrchestration("order", [1, 2, 3]);
    // The root of the trace ends when the orchestration is accepted.
    const { traceId } = (await recorder.waitForSpan("create_orchestration:order")).spanContext();
    expect(recorder.spans("orchestration:order")).toEqual([]);
    expect(await recorder.waitForTrace(traceId)).toBe(traceId);
    recorder.assertWhole(traceId);
    // The parent's, the sub-orchestration's, and each attempt at the delivery.
    const count = (name: string): number => recorder.spans(name).length;
    expect([
      count("orchestration:order"),
      count("orchestration:delivery"),
      count("activity:charge"),
      count("activity:ship"),
    ]).toEqual([1, 2, 6, 4]);
    expect((await shop.client.getOrchestrationState(id))?.serializedOutput).toBe('"on its way"');
  });

  it.each([
    { what: "an activity", type: "activity", kind: SpanKind.CLIENT },
    { what: "a sub-orchestration", type: "orchestration", kind: SpanKind.CLIENT },
    { what: "an orchestration", type: "orchestration", kind: SpanKind.PRODUCER },
  ])("waits for $what that nobody waited for", async ({ type, kind }) => {
    const recorder = record();
    const root = tracer.startSpan("root", { kind: SpanKind.SERVER });
    const sent = tracer.startSpan(
      "notify",
      { kind, attributes: { "durabletask.type": type } },
      trace.setSpan(ROOT_CONTEXT, root),
    );
    sent.end();
    root.end();
    const error = await refusal(() => recorder.waitForTrace("root", { timeout: 5 }));
    const { traceId, spanId } = sent.spanContext();
    expect(error.message).toContain(
      `Trace ${traceId} is not complete:\n- missing: the SERVER span of what notify ${SpanKind[kind]} ${spanId} sent off`,
    );
    const waiting = recorder.waitForTrace("root");
    tracer.startSpan("notify", { kind: SpanKind.SERVER }, trace.setSpan(ROOT_CONTEXT, sent)).end();
    expect(await waiting).toBe(traceId);
  });

  it.each([
    { what: "an event", type: "event", kind: SpanKind.PRODUCER },
    { what: "a signal", type: "signal_entity", kind: SpanKind.PRODUCER },
    { what: "a call of an entity", type: "call_entity", kind: SpanKind.CLIENT },
  ])("does not wait for the spans that $what does not have", async ({ type, kind }) => {
    const recorder = record();
    const sent = tracer.startSpan("send", { kind, attributes: { "durabletask.type": type } });
    sent.end();
    expect(await recorder.waitForTrace("send", { timeout: 0 })).toBe(sent.spanContext().traceId);
  });

  it("says which spans are open and which parents are missing, and takes parents that are known", async () => {
    const recorder = record();
    const remote = {
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: "b".repeat(16),
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
    };
    const open = tracer.startSpan("open", {}, trace.setSpanContext(ROOT_CONTEXT, remote));
    tracer.startSpan("step", {}, trace.setSpan(ROOT_CONTEXT, open)).end();
    const error = await refusal(() => recorder.waitForTrace("step", { timeout: 5 }));
    expect(error.message).toContain("- orphan: open INTERNAL");
    expect(error.message).toContain("- open: open INTERNAL");
    const waiting = recorder.waitForTrace("step", { remoteParents: [remote.spanId] });
    open.end();
    expect(await waiting).toBe(remote.traceId);
  });

  it("says that the span which was named is open itself", async () => {
    const recorder = record();
    const { traceId, spanId } = tracer.startSpan("slow").spanContext();
    const { message } = await refusal(() => recorder.waitForTrace("slow", { timeout: 5 }));
    expect(message).toContain(`Trace ${traceId} is not complete:\n- open: slow INTERNAL ${spanId}`);
  });

  it("ends with a trace in which a span is there twice: that is assertWhole's to tell", async () => {
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => "2".repeat(16) },
    });
    for (const name of ["one", "two"]) tracer.startSpan(name).end();
    expect(await recorder.waitForTrace("two")).toBe("1".repeat(32));
    expect((await refusal(() => recorder.assertWhole())).problems).toMatchObject([{ kind: "duplicate" }]);
  });

  it("gives the first complete one of several with the same name", async () => {
    const recorder = record();
    tracer.startActiveSpan("first", () => undefined);
    const open = tracer.startSpan("outer");
    tracer.startSpan("step", {}, trace.setSpan(ROOT_CONTEXT, open)).end();
    const complete = tracer.startSpan("step");
    complete.end();
    expect(await recorder.waitForTrace("step")).toBe(complete.spanContext().traceId);
  });
});
