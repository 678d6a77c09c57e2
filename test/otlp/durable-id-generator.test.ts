import { ROOT_CONTEXT, trace, type TracerProvider as ApiTracerProvider } from "@opentelemetry/api";
import * as sdk3 from "@opentelemetry/sdk-trace";
import * as sdk2 from "@opentelemetry/sdk-trace-base";
import { DurableIdGenerator } from "durable-telemetry/otlp";
import { describe, expect, it } from "vitest";
import { withChosenIds } from "../../src/telemetry/chosen-ids.ts";

const chosen = { traceId: "0123456789abcdef0123456789abcdef", spanId: "fedcba9876543210" };

const providers: readonly [sdk: string, create: (idGenerator: DurableIdGenerator) => ApiTracerProvider][] = [
  ["3.x", (idGenerator) => new sdk3.TracerProvider({ idGenerator })],
  ["2.x", (idGenerator) => new sdk2.BasicTracerProvider({ idGenerator })],
];

describe.each(providers)("I6 DurableIdGenerator in OpenTelemetry SDK %s", (_sdk, create) => {
  it("gives a span that is started with chosen IDs these IDs, and that span only", () => {
    const tracer = create(new DurableIdGenerator()).getTracer("test");
    const { result: span, taken } = withChosenIds(chosen, () => tracer.startSpan("ours", {}, ROOT_CONTEXT));
    expect(span.spanContext()).toMatchObject(chosen);
    expect(taken).toBe(true);

    const other = tracer.startSpan("theirs", {}, ROOT_CONTEXT).spanContext();
    expect(trace.isSpanContextValid(other)).toBe(true);
    expect(other.traceId).not.toBe(chosen.traceId);
    expect(other.spanId).not.toBe(chosen.spanId);
  });

  it("leaves a child in its parent's trace", () => {
    const tracer = create(new DurableIdGenerator()).getTracer("test");
    const parent = tracer.startSpan("parent", {}, ROOT_CONTEXT);
    const context = trace.setSpan(ROOT_CONTEXT, parent);
    const { result: child } = withChosenIds(chosen, () => tracer.startSpan("child", {}, context));
    expect(child.spanContext()).toMatchObject({ traceId: parent.spanContext().traceId, spanId: chosen.spanId });
  });

  it("a second span in the same call gets a random span ID", () => {
    const tracer = create(new DurableIdGenerator()).getTracer("test");
    const { result } = withChosenIds(chosen, () => [
      tracer.startSpan("first", {}, ROOT_CONTEXT),
      tracer.startSpan("second", {}, ROOT_CONTEXT),
    ]);
    const [first, second] = result.map((span) => span.spanContext().spanId);
    expect(first).toBe(chosen.spanId);
    expect(second).toMatch(/^[0-9a-f]{16}$/);
    expect(second).not.toBe(chosen.spanId);
  });

  it("all other spans get their IDs from the generator that it was given", () => {
    const theirs = { generateTraceId: () => "1".repeat(32), generateSpanId: () => "2".repeat(16) };
    const tracer = create(new DurableIdGenerator(theirs)).getTracer("test");
    expect(tracer.startSpan("theirs", {}, ROOT_CONTEXT).spanContext()).toMatchObject({
      traceId: "1".repeat(32),
      spanId: "2".repeat(16),
    });
    const { result: ours } = withChosenIds(chosen, () => tracer.startSpan("ours", {}, ROOT_CONTEXT));
    expect(ours.spanContext()).toMatchObject(chosen);
  });
});

describe("DurableIdGenerator", () => {
  it("makes random IDs that are valid and unique", () => {
    const generator = new DurableIdGenerator();
    const traceIds = Array.from({ length: 10_000 }, () => generator.generateTraceId());
    const spanIds = Array.from({ length: 10_000 }, () => generator.generateSpanId());
    expect(traceIds.every((id) => /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id))).toBe(true);
    expect(spanIds.every((id) => /^[0-9a-f]{16}$/.test(id) && !/^0+$/.test(id))).toBe(true);
    expect(new Set(traceIds).size).toBe(traceIds.length);
    expect(new Set(spanIds).size).toBe(spanIds.length);
  });

  it("keeps the generator's own this", () => {
    class Counting {
      #count = 0;
      generateTraceId(): string {
        this.#count += 1;
        return this.#count.toString(16).padStart(32, "0");
      }
      generateSpanId(): string {
        this.#count += 1;
        return this.#count.toString(16).padStart(16, "0");
      }
    }
    const generator = new DurableIdGenerator(new Counting());
    expect([generator.generateSpanId(), generator.generateTraceId()]).toEqual([
      `${"0".repeat(15)}1`,
      `${"0".repeat(31)}2`,
    ]);
  });

  it.each([null, {}, { generateTraceId: () => "1" }, "random"])("refuses %j as a generator", (wrong) => {
    expect(() => Reflect.construct(DurableIdGenerator, [wrong])).toThrow(
      new TypeError(
        "DurableIdGenerator: the argument must be an ID generator with generateTraceId() and generateSpanId()",
      ),
    );
  });
});
