import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { createTelemetryRecorder } from "../../src/testing/index.ts";
import { describe, expect, it } from "vitest";
import { record, refusal, startShop } from "./recorder-fixture.ts";

const tracer = trace.getTracer("shop");

describe("The tree of a trace", () => {
  it("is the same for two runs of the same workflow, as objects and as a string", async () => {
    const trees: unknown[] = [];
    const texts = new Set<string>();
    for (let run = 0; run < 3; run += 1) {
      await using recorder = createTelemetryRecorder();
      const shop = await startShop();
      await shop.run("order", [10, 20, 30]);
      const traceId = await recorder.waitForTrace("orchestration:order");
      trees.push(recorder.tree(traceId, { attributes: ["amount"] }));
      texts.add(recorder.treeText(traceId, { attributes: ["amount"] }));
    }
    expect(trees[1]).toEqual(trees[0]);
    expect(trees[2]).toEqual(trees[0]);
    expect([...texts]).toEqual([
      [
        "create_orchestration:order producer ok",
        '└─ orchestration:order server {durabletask.task.status="Completed"}',
        "   ├─ activity:charge client",
        "   │  └─ activity:charge server",
        "   │     └─ call the bank internal {amount=10}",
        "   ├─ activity:charge client",
        "   │  └─ activity:charge server",
        "   │     └─ call the bank internal {amount=20}",
        "   ├─ activity:charge client",
        "   │  └─ activity:charge server",
        "   │     └─ call the bank internal {amount=30}",
        "   ├─ orchestration:order:timer internal",
        "   ├─ orchestration:delivery client",
        '   │  └─ orchestration:delivery server {durabletask.task.status="Completed"}',
        '   │     ├─ activity:ship client error: "no truck" {error.type="RangeError"}',
        '   │     │  └─ activity:ship server error: "no truck" {error.type="RangeError"}',
        '   │     │        · exception {exception.message="no truck", exception.type="RangeError"}',
        "   │     ├─ orchestration:delivery:timer internal",
        "   │     └─ activity:ship client",
        "   │        └─ activity:ship server",
        "   └─ check the order internal",
      ].join("\n"),
    ]);
  });

  it("has placeholders for the IDs in its strings, so a failure is the same each time", async () => {
    const recorder = record();
    const shop = await startShop();
    const ids = [await shop.run("refused"), await shop.run("refused")];
    const traceIds = ids.map(
      (id) =>
        recorder
          .spans("create_orchestration:refused")
          .find(({ attributes }) => attributes["durabletask.task.instance_id"] === id)
          ?.spanContext().traceId,
    );
    const [one, two] = await Promise.all(traceIds.map((traceId) => recorder.waitForTrace(traceId ?? "")));
    const text = recorder.treeText(one);
    expect(text).toContain('"<instance> is refused"');
    expect(recorder.treeText(two)).toBe(text);
    for (const id of ids) expect(text).not.toContain(id);
    // Both, if none is named.
    expect(recorder.treeText()).toBe(`${text}\n${text}`);
  });

  it("tells everything that is the same in each run, and nothing else", () => {
    const recorder = record();
    const other = tracer.startSpan("other");
    const root = tracer.startSpan("root", {
      kind: SpanKind.CONSUMER,
      attributes: {
        shown: ["a", "b"],
        hidden: 1,
        "durabletask.task.instance_id": "instance-1",
        also: "about instance-1",
      },
      links: [{ context: other.spanContext() }],
    });
    root
      .addEvent("paid", { shown: 1, hidden: 2 })
      .setStatus({ code: SpanStatusCode.ERROR, message: `in ${root.spanContext().traceId}` });
    // The ID of a sub-orchestration begins with its parent's.
    const sub = { "durabletask.task.instance_id": "instance-1:0001", also: "about instance-1:0001" };
    tracer
      .startSpan("z", { attributes: sub }, trace.setSpan(ROOT_CONTEXT, root))
      .setStatus({ code: SpanStatusCode.OK })
      .end();
    tracer.startSpan("a", {}, trace.setSpan(ROOT_CONTEXT, root));
    root.end();
    const { traceId } = root.spanContext();
    expect(recorder.tree(traceId, { attributes: ["shown", "also"] })).toEqual([
      {
        name: "root",
        kind: "consumer",
        status: "error",
        message: "in <trace>",
        attributes: { also: "about <instance>", shown: ["a", "b"] },
        events: [{ name: "paid", attributes: { shown: 1 } }],
        links: 1,
        children: [
          {
            name: "a",
            kind: "internal",
            status: "unset",
            marks: ["open"],
            attributes: {},
            events: [],
            links: 0,
            children: [],
          },
          {
            name: "z",
            kind: "internal",
            status: "ok",
            attributes: { also: "about <instance>" },
            events: [],
            links: 0,
            children: [],
          },
        ],
      },
    ]);
    expect(recorder.treeText(traceId)).toBe(
      ['root consumer error: "in <trace>" links: 1', "│  · paid", "├─ a internal [open]", "└─ z internal ok"].join(
        "\n",
      ),
    );
  });

  it("marks what keeps the trace from being whole", () => {
    const recorder = record({
      idGenerator: { generateTraceId: () => "1".repeat(32), generateSpanId: () => "2".repeat(16) },
    });
    const context = (isRemote: boolean) =>
      trace.setSpanContext(ROOT_CONTEXT, { traceId: "1".repeat(32), spanId: "3".repeat(16), traceFlags: 1, isRemote });
    tracer.startSpan("one", { startTime: [1_700_000_000, 1] }, context(false)).end();
    tracer.startSpan("two", { startTime: [1_700_000_000, 2] }, context(true)).end();
    expect(recorder.treeText()).toBe("one internal [orphan]\ntwo internal [remote parent] [duplicate]");
  });

  it("sorts spans that differ in what is below them only by that, whichever began first", () => {
    const recorder = record();
    const texts = ["b", "a"].map((name, number) => {
      const root = tracer.startSpan("root");
      for (const below of number === 0 ? ["one", "two"] : ["two", "one"]) {
        const group = tracer.startSpan("group", {}, trace.setSpan(ROOT_CONTEXT, root));
        tracer.startSpan(below, {}, trace.setSpan(ROOT_CONTEXT, group)).end();
        group.end();
      }
      root.setAttribute("run", name).end();
      return recorder.treeText(root.spanContext().traceId);
    });
    expect(texts[0]).toBe(
      ["root internal", "├─ group internal", "│  └─ one internal", "└─ group internal", "   └─ two internal"].join(
        "\n",
      ),
    );
    expect(texts[1]).toBe(texts[0]);
  });

  it("has placeholders for IDs wherever they are in a string, and leaves short ones", () => {
    const recorder = record();
    const ids = ["instance-1", "instance-1:0001", "order-7"];
    for (const id of ids)
      tracer
        .startSpan("step", { attributes: { "durabletask.task.instance_id": id, note: `${id}${ids[0]}, of ${id}` } })
        .end();
    expect(recorder.treeText(undefined, { attributes: ["note"] })).toBe(
      [
        'step internal {note="<instance><instance>, of <instance>"}',
        'step internal {note="<instance><instance>, of <instance>"}',
        'step internal {note="order-7<instance>, of order-7"}',
      ].join("\n"),
    );
  });

  it("has placeholders in names, events and lists too, for every kind of ID", () => {
    const recorder = record();
    const parent = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", traceFlags: 1 };
    const execution = "execution-1";
    const span = tracer.startSpan(
      `after ${parent.spanId}`,
      { attributes: { "durabletask.task.execution_id": execution } },
      trace.setSpanContext(ROOT_CONTEXT, parent),
    );
    const { traceId, spanId } = span.spanContext();
    span.setAttribute("seen", [traceId, spanId, execution]).addEvent(`at ${spanId}`, { seen: execution }).end();
    expect(recorder.treeText(traceId, { attributes: ["seen"] })).toBe(
      [
        'after <span> internal [orphan] {seen=["<trace>","<span>","<execution>"]}',
        '   · at <span> {seen="<execution>"}',
      ].join("\n"),
    );
  });

  it(
    "of ten thousand spans is there at once, be they side by side or each below the other",
    { timeout: 20_000 },
    () => {
      const size = 10_000;
      const recorder = record();
      const root = tracer.startSpan("root");
      for (let number = 0; number < size; number += 1)
        tracer.startSpan("step", { attributes: { number } }, trace.setSpan(ROOT_CONTEXT, root)).end();
      root.end();
      expect(recorder.treeText(undefined, { attributes: ["number"] }).split("\n")).toHaveLength(size + 1);
      recorder.reset();
      let parent = tracer.startSpan("step");
      parent.end();
      for (let depth = 0; depth < size; depth += 1) {
        parent = tracer.startSpan("step", {}, trace.setSpan(ROOT_CONTEXT, parent));
        parent.end();
      }
      const [tree] = recorder.tree();
      expect(tree?.children).toHaveLength(1);
      recorder.assertWhole();
    },
  );

  it("of a trace that is not known is refused; of nothing at all it is empty", async () => {
    const recorder = record();
    expect(recorder.tree()).toEqual([]);
    expect(recorder.treeText()).toBe("");
    expect((await refusal(() => recorder.tree("0af7651916cd43dd8448eb211c80319c"))).code).toBe(
      "DURABLE_TELEMETRY_TRACE_UNKNOWN",
    );
    expect(() => recorder.tree(undefined, { attributes: "amount" } as never)).toThrow(
      'tree: option "attributes" must be an array of attribute keys',
    );
  });
});
