import {
  ROOT_CONTEXT,
  SpanKind,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
} from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { record, refusal, startShop } from "./recorder-fixture.ts";

const tracer = trace.getTracer("shop");
const under = (span: Span): Context => trace.setSpan(ROOT_CONTEXT, span);
const idOf = (span: Span): string => span.spanContext().spanId;
const traceIdOf = (span: Span): string => span.spanContext().traceId;
/** A context as it comes with a `traceparent` header, or from a span that was made up in this process. */
const from = (traceId: string, spanId: string, isRemote = true): Context =>
  trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote });

describe("assertWhole", () => {
  it("S1 accepts a trace whose parents are all there, whatever their order", () => {
    const recorder = record();
    const root = tracer.startSpan("root");
    const child = tracer.startSpan("child", {}, under(root));
    root.end();
    tracer.startSpan("grandchild", {}, under(child)).end();
    child.end();
    recorder.assertWhole(traceIdOf(root));
    recorder.assertWhole();
  });

  it("S1 tells every orphan, with the parent that is missing", async () => {
    const recorder = record();
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const local = tracer.startSpan("one", {}, from(traceId, "a".repeat(16), false));
    local.end();
    const remote = tracer.startSpan("two", { kind: SpanKind.SERVER }, from(traceId, "b".repeat(16)));
    remote.end();
    const { code, message, problems } = await refusal(() => recorder.assertWhole(traceId));
    expect(code).toBe("DURABLE_TELEMETRY_TRACE_NOT_WHOLE");
    expect(problems).toEqual([
      {
        kind: "orphan",
        name: "one",
        spanKind: "INTERNAL",
        traceId,
        spanId: idOf(local),
        parentSpanId: "a".repeat(16),
        remote: false,
      },
      {
        kind: "orphan",
        name: "two",
        spanKind: "SERVER",
        traceId,
        spanId: idOf(remote),
        parentSpanId: "b".repeat(16),
        remote: true,
      },
    ]);
    expect(message).toContain(`Trace ${traceId} is not whole:`);
    expect(message).toContain(`- orphan: one INTERNAL ${idOf(local)}: its parent ${"a".repeat(16)} was not recorded`);
    expect(message).toContain(
      `- orphan: two SERVER ${idOf(remote)}: its remote parent ${"b".repeat(16)} was not recorded`,
    );
    // And the trace as a waterfall.
    expect(message).toMatch(/^✓ one \[orphan\]/m);
  });

  it("S1 accepts a parent in another process that is named, and one whose context came back from another process", () => {
    const recorder = record();
    const entry = tracer.startSpan("entry", {}, from("4bf92f3577b34da6a3ce929d0e0e4736", "b".repeat(16)));
    tracer.startSpan("came back", {}, from(traceIdOf(entry), idOf(entry))).end();
    entry.end();
    recorder.assertWhole(traceIdOf(entry), { remoteParents: ["b".repeat(16)] });
  });

  it("I3 tells every open span, whose children are no orphans", async () => {
    const recorder = record();
    const open = tracer.startSpan("open");
    const alsoOpen = tracer.startSpan("also open", {}, under(open));
    tracer.startSpan("ended", {}, under(open)).end();
    const { problems, message } = await refusal(() => recorder.assertWhole(traceIdOf(open)));
    expect(problems.map(({ kind, name, spanId }) => [kind, name, spanId])).toEqual([
      ["open", "open", idOf(open)],
      ["open", "also open", idOf(alsoOpen)],
    ]);
    expect(message).toContain(`- open: open INTERNAL ${idOf(open)}: it was started and has not ended`);
    for (const span of [alsoOpen, open]) span.end();
    recorder.assertWhole(traceIdOf(open));
  });

  it("I4 tells every span that has another one's ID", async () => {
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => "2".repeat(16) },
    });
    for (const name of ["one", "two", "three"])
      tracer.startSpan(name, { startTime: [1_700_000_000, name.length] }).end();
    const { problems, message } = await refusal(() => recorder.assertWhole("1".repeat(32)));
    expect(problems).toMatchObject([
      { kind: "duplicate", name: "two", of: "2".repeat(16) },
      { kind: "duplicate", name: "three", of: "2".repeat(16) },
    ]);
    expect(message).toContain(`- duplicate: two INTERNAL ${"2".repeat(16)}: another span has the same ID`);
  });

  it("I2 tells a task that has two spans, though their IDs differ", async () => {
    const recorder = record();
    const root = tracer.startSpan("orchestration:order", { kind: SpanKind.SERVER });
    const task = (attributes: Attributes, parent: Span = root): Span => {
      const span = tracer.startSpan(
        "activity:charge",
        { kind: SpanKind.CLIENT, attributes: { "durabletask.type": "activity", ...attributes } },
        under(parent),
      );
      span.end();
      return span;
    };
    const first = task({ "durabletask.task.task_id": 1 });
    const again = task({ "durabletask.task.task_id": 1 });
    const other = task({ "durabletask.task.task_id": 2 });
    // Another execution, which numbers its tasks anew.
    task({ "durabletask.task.task_id": 1 }, other);
    root.end();
    const { problems, message } = await refusal(() => recorder.assertWhole(traceIdOf(root)));
    expect(problems).toMatchObject([{ kind: "duplicate", spanId: idOf(again), of: idOf(first) }]);
    expect(message).toContain(`the same task has the span ${idOf(first)} too`);
  });

  it("S1 tells a span whose parent is in another trace, though a span of its own trace has that parent's ID", async () => {
    const [one, two] = ["1".repeat(32), "2".repeat(32)];
    const spanIds = ["a".repeat(16), "a".repeat(16), "b".repeat(16)];
    let next = 0;
    const recorder = record({
      idGenerator: { generateTraceId: () => (next === 1 ? one : two), generateSpanId: () => spanIds[next++] ?? "" },
    });
    for (const name of ["in one", "in two"]) tracer.startSpan(name).end();
    // As tracing does with a span whose identity it has chosen.
    const child = tracer.startSpan("child", {}, from(two, "a".repeat(16)));
    Object.assign(child, {
      parentSpanContext: { traceId: one, spanId: "a".repeat(16), traceFlags: 1, isRemote: true },
    });
    child.end();
    const { problems, message } = await refusal(() => recorder.assertWhole(two));
    expect(problems).toMatchObject([
      { kind: "orphan", name: "child", parentSpanId: "a".repeat(16), parentTraceId: one, remote: false },
    ]);
    expect(message).toContain(
      `- orphan: child INTERNAL ${"b".repeat(16)}: its parent ${"a".repeat(16)} is in another trace, ${one}`,
    );
    recorder.assertWhole(one);
  });

  it("S1 tells every root after the first", async () => {
    let next = 0;
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => `${(next += 1)}`.repeat(16) },
    });
    for (const name of ["one", "two", "three"]) tracer.startSpan(name, { startTime: [1_700_000_000, next] }).end();
    // Entries that have one caller are no roots.
    for (const name of ["four", "five"]) tracer.startSpan(name, {}, from("1".repeat(32), "c".repeat(16))).end();
    const { problems, message } = await refusal(() =>
      recorder.assertWhole("1".repeat(32), { remoteParents: ["c".repeat(16)] }),
    );
    expect(problems).toMatchObject([
      { kind: "root", name: "two", of: "1".repeat(16) },
      { kind: "root", name: "three", of: "1".repeat(16) },
    ]);
    expect(message).toContain(
      `- root: two INTERNAL ${"2".repeat(16)}: it has no parent, and neither has ${"1".repeat(16)}`,
    );
  });

  it("tells every problem of a big trace, and leaves the waterfall out", async () => {
    const recorder = record();
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const count = 501;
    for (let number = 1; number <= count; number += 1)
      tracer.startSpan("step", {}, from(traceId, number.toString(16).padStart(16, "0"))).end();
    const { problems, message } = await refusal(() => recorder.assertWhole(traceId));
    expect(problems).toHaveLength(count);
    expect(message.split("\n")).toHaveLength(count + 1);
  });

  it("tells a span that is its own ancestor", async () => {
    const spanIds = ["a".repeat(16), "b".repeat(16)];
    let next = 0;
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => spanIds[next++] ?? "" },
    });
    tracer.startSpan("hen", { startTime: [1_700_000_000, 1] }, from("1".repeat(32), "b".repeat(16))).end();
    tracer.startSpan("egg", { startTime: [1_700_000_000, 2] }, from("1".repeat(32), "a".repeat(16))).end();
    const { problems } = await refusal(() => recorder.assertWhole());
    expect(problems).toMatchObject([{ kind: "cycle", name: "hen" }]);
  });

  it("refuses a trace that it knows nothing of, and a wrong option, and names what it knows", async () => {
    const recorder = record();
    expect((await refusal(() => recorder.assertWhole())).code).toBe("DURABLE_TELEMETRY_TRACE_UNKNOWN");
    tracer.startSpan("only").end();
    const { code, message } = await refusal(() => recorder.assertWhole("0af7651916cd43dd8448eb211c80319c"));
    expect(code).toBe("DURABLE_TELEMETRY_TRACE_UNKNOWN");
    expect(message).toBe(
      "assertWhole: no span of trace 0af7651916cd43dd8448eb211c80319c was recorded. Spans that ended: only.",
    );
    expect(() => recorder.assertWhole(undefined, { remoteParents: ["00-abc"] })).toThrow(
      'option "remoteParents" must be an array of span IDs',
    );
    expect(() => recorder.assertWhole(undefined, { parents: [] } as object)).toThrow('unknown option "parents"');
  });

  it("tells what is wrong with all traces, if none is named", async () => {
    const recorder = record();
    for (const name of ["one", "two"]) tracer.startSpan(name);
    const { problems } = await refusal(() => recorder.assertWhole());
    expect(problems.map(({ name }) => name).toSorted()).toEqual(["one", "two"]);
  });

  it("finds the orphans and the repeated spans that the SDK's built-in tracing makes", async () => {
    const recorder = record();
    const shop = await startShop({ bare: true });
    await shop.run("order", [10]);
    await recorder.waitFor(() =>
      recorder
        .spans("orchestration:order")
        .some(({ attributes }) => attributes["durabletask.task.status"] === "Completed"),
    );
    const traceId = recorder.spans("orchestration:order")[0]?.spanContext().traceId;
    const { problems } = await refusal(() => recorder.assertWhole(traceId));
    const found = new Set(problems.map(({ kind, name, spanKind }) => `${kind} ${name} ${spanKind}`));
    expect(found).toContain("orphan activity:charge SERVER");
    expect(found).toContain("orphan orchestration:delivery SERVER");
    expect(found).toContain("duplicate orchestration:order SERVER");
    // No span of it is open, nor does it have a CLIENT span's ID twice.
    expect([...found].filter((each) => !/^(orphan|duplicate) .* SERVER$/.test(each))).toEqual([]);
    const repeated = problems.filter(({ kind, name }) => kind === "duplicate" && name === "orchestration:order");
    expect(repeated).toHaveLength(recorder.spans("orchestration:order").length - 1);
  });
});
