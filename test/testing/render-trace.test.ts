import { context, trace, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import * as sdk3 from "@opentelemetry/sdk-trace";
import * as sdk2 from "@opentelemetry/sdk-trace-base";
import * as fc from "fast-check";
import { stripVTControlCharacters } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { renderTrace } from "../../src/testing/waterfall/render-trace.ts";
import { displayWidth } from "../../src/testing/waterfall/display-width.ts";
import { finishedSpan, traceId, type SpanShape } from "./finished-spans.ts";

const plain = (shapes: readonly SpanShape[], width = 100): string[] =>
  renderTrace(shapes.map(finishedSpan), { color: false, width }).split("\n");

/** The column in which the first of `characters` stands. */
const columnOf = (line: string, characters: RegExp): number => displayWidth(line.slice(0, line.search(characters)));

function startAndEnd(tracer: Tracer): void {
  const parent = tracer.startSpan("parent", { kind: SpanKind.SERVER });
  const child = tracer.startSpan("child", { kind: SpanKind.CLIENT }, trace.setSpan(context.active(), parent));
  child.setStatus({ code: SpanStatusCode.ERROR, message: "it broke" });
  child.end();
  parent.end();
}

const order: readonly SpanShape[] = [
  { id: 1, name: "create_orchestration:order", kind: 3, end: 2 },
  { id: 2, parent: 1, name: "orchestration:order", kind: 1, start: 4, end: 1004 },
  { id: 3, parent: 2, name: "activity:reserve", kind: 2, start: 54, end: 304 },
  { id: 4, parent: 3, name: "activity:reserve", kind: 1, start: 104, end: 254 },
  { id: 5, parent: 4, name: "db.query", start: 150, end: 200 },
  { id: 6, parent: 2, name: "activity:charge", kind: 2, start: 304, end: 404, error: "card declined" },
  { id: 7, parent: 6, name: "activity:charge", kind: 1, start: 354, end: 400, error: "card declined" },
  { id: 8, parent: 2, name: "orchestration:order:timer", start: 404, end: 904 },
  { id: 9, parent: 2, name: "orchestration_event:shipping", kind: 3, start: 950 },
];

describe("renderTrace", () => {
  it("shows a trace as a waterfall: tree, status, kind, start offset, duration and bar", () => {
    expect(`\n${plain(order).join("\n")}\n`).toBe(`
Trace 4bf92f3577b34da6a3ce929d0e0e4736 · 9 spans · 1.00 s · 2 failed
  span                                kind         start     took  0                          1.00 s
✓ create_orchestration:order          producer         0  2.00 ms  ╸
✓ └─ orchestration:order              server    +4.00 ms   1.00 s  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
✓    ├─ activity:reserve              client    +54.0 ms   250 ms    ━━━━━━━━
✓    │  └─ activity:reserve           server     +104 ms   150 ms     ╺━━━━╸
✓    │     └─ db.query                internal   +150 ms  50.0 ms       ━╸
✗    ├─ activity:charge               client     +304 ms   100 ms            ━━━╸
✗    │  └─ activity:charge            server     +354 ms  46.0 ms             ╺━
     │     ↳ card declined
✓    ├─ orchestration:order:timer     internal   +404 ms   500 ms               ╺━━━━━━━━━━━━━━━╸
✓    └─ orchestration_event:shipping  producer   +950 ms        0                                 ┃
`);
  });

  it("says so where there is no span", () => {
    expect(renderTrace([])).toBe("No spans to show.");
  });

  it("gives each trace a block of its own, in the order of their starts", () => {
    const text = renderTrace(
      [
        finishedSpan({ trace: "later", id: 1, start: 5 }),
        finishedSpan({ trace: "earlier", id: 2, start: 1, end: 3 }),
        finishedSpan({ trace: "earlier", id: 3, parent: 2, start: 1 }),
      ],
      { color: false },
    );
    const headings = text.split("\n\n").map((block) => block.split("\n")[0]);
    expect(headings).toEqual(["Trace earlier · 2 spans · 2.00 ms", "Trace later · 1 span · 0"]);
  });

  it("keeps the branches before a short name", () => {
    const chain = [1, 2, 3, 4].map((id) => ({ id, parent: id - 1, name: "x", end: 9 }));
    const names = plain(chain).flatMap((line) => /^✓ (.*x) /.exec(line)?.[1] ?? []);
    expect(names).toEqual(["x", "└─ x", "   └─ x", "      └─ x"]);
  });

  describe("marks what a whole trace does not have", () => {
    it("an orphan, at the top level, with the parent that is missing", () => {
      const lines = plain([
        { id: 1, name: "root", end: 10 },
        { id: 2, name: "lost", parent: 0xabc, start: 1, end: 2 },
      ]);
      expect(lines[0]).toContain("1 orphan");
      expect(lines).toContainEqual(expect.stringMatching(/^✓ lost \[orphan\] /));
      expect(lines).toContain("  ↳ parent 0000000000000abc is not among these spans");
    });

    it("a duplicate of a span ID, and not the span that came first", () => {
      const lines = plain([
        { id: 1, name: "root", end: 10 },
        { id: 2, name: "first", parent: 1, start: 1, end: 2 },
        { id: 2, name: "second", parent: 1, start: 3, end: 4 },
      ]);
      expect(lines).toContainEqual(expect.stringMatching(/^✓ └─ second \[duplicate\] /));
      expect(lines).toContainEqual(expect.stringMatching(/^✓ ├─ first {2}/));
    });

    it("a span that is its own ancestor, one without an end, and one that ends before it starts", () => {
      expect(plain([{ id: 1, parent: 1, name: "self" }]).join("\n")).toContain("self [cycle]");
      const open = { ...finishedSpan({ name: "open", start: 5 }), endTime: [0, 0] as const };
      const [, , row] = renderTrace([open], { color: false }).split("\n");
      expect(row).toMatch(/^✓ open \[no end\] .* \? {2}┃$/);
      const [, , skewed] = plain([{ name: "skewed", start: 5, end: 1 }]);
      expect(skewed).toMatch(/^✓ skewed \[ends before its start\] .* \? {2}┃$/);
    });
  });

  it("takes a span whose parent is only remote for a root, not for an orphan", () => {
    const text = plain([{ id: 2, parent: 1, remote: true, name: "orchestration:order", end: 3 }]).join("\n");
    expect(text).toContain("✓ orchestration:order [remote parent]");
    expect(text).not.toContain("orphan");
  });

  describe("failures", () => {
    it("shows the message where the failure comes from, not again on every span it passes", () => {
      const lines = plain([
        { id: 1, name: "orchestration", end: 9, error: "Task 'charge' failed: declined" },
        { id: 2, parent: 1, name: "charge", start: 1, end: 8, error: "declined" },
      ]);
      expect(lines.filter((line) => line.startsWith("✗"))).toHaveLength(2);
      expect(lines.filter((line) => line.includes("↳"))).toEqual(["     ↳ declined"]);
    });

    it("shows a message of the outer span's own", () => {
      const lines = plain([
        { id: 1, name: "orchestration", end: 9, error: "order rejected" },
        { id: 2, parent: 1, name: "charge", start: 1, end: 8, error: "declined" },
      ]);
      expect(lines.filter((line) => line.includes("↳"))).toEqual(["  │ ↳ order rejected", "     ↳ declined"]);
    });

    it("shows a message where the span below failed without one", () => {
      const lines = plain([
        { id: 1, name: "orchestration", end: 9, error: "order rejected" },
        { id: 2, parent: 1, name: "charge", start: 1, end: 8, error: "" },
      ]);
      expect(lines.filter((line) => line.includes("↳"))).toEqual(["  │ ↳ order rejected"]);
    });

    it("shortens a long message to the line, and makes one line of many", () => {
      const lines = plain([{ name: "a", end: 1, error: `first\nsecond ${"x".repeat(200)}` }], 80);
      const message = lines.at(-1) ?? "";
      expect(message).toMatch(/^ {2}↳ first second x+…$/);
      expect(displayWidth(message)).toBe(80);
    });
  });

  describe("bars", () => {
    it("end where the trace ends, at the line's last column", () => {
      const lines = plain([
        { id: 1, name: "root", end: 700 },
        { id: 2, parent: 1, name: "last", start: 500, end: 700 },
      ]);
      expect(lines.slice(2).map(displayWidth)).toEqual([100, 100]);
    });

    it("are never empty, however short the span and wherever it stands", () => {
      const lines = plain([
        { id: 1, name: "root", end: 1000 },
        { id: 2, parent: 1, start: 0, end: 0.001 },
        { id: 3, parent: 1, start: 500, end: 500.001 },
        { id: 4, parent: 1, start: 999.999, end: 1000 },
      ]);
      for (const line of lines.slice(3)) expect(line).toMatch(/ [╸╺]$/);
      expect(Math.max(...lines.map(displayWidth))).toBe(100);
    });

    it("are a tick for a span that takes no time, also at the very end", () => {
      const lines = plain([
        { id: 1, name: "root", end: 10 },
        { id: 2, parent: 1, name: "sent", start: 5 },
        { id: 3, parent: 1, name: "sent", start: 10 },
      ]);
      expect(lines[3]).toMatch(/ ┃$/);
      expect(displayWidth(lines[4] ?? "")).toBe(100);
      expect(lines[4]).toMatch(/ ┃$/);
    });

    it("are ticks where the whole trace takes no time", () => {
      expect(plain([{ name: "instant" }])[2]).toMatch(/ 0 +0 {2}┃$/);
    });
  });

  describe("columns", () => {
    it("stay aligned beside names in CJK characters and emoji, and names that are cut", () => {
      const names = ["注文を処理する", "📦 pack", "👩‍👩‍👧‍👦 family", "e\u0301te\u0301", "x".repeat(300), "注".repeat(100)];
      const lines = plain([
        { id: 1, name: "root", end: 100 },
        ...names.map((name, index) => ({ id: index + 2, parent: 1, name, kind: 1, end: 100 })),
      ]).slice(3);
      expect(new Set(lines.map((line) => columnOf(line, /━/))).size).toBe(1);
      expect(new Set(lines.map((line) => columnOf(line, /server/))).size).toBe(1);
      expect(lines.map(displayWidth)).toEqual(names.map(() => 100));
    });

    it("leave out the kind on a narrow line, for the tree's sake", () => {
      expect(plain(order, 79)[1]).not.toContain("kind");
      expect(plain(order, 80)[1]).toContain("kind");
    });

    it("show the end of branches that are too deep, and still the names and the messages", () => {
      const deep = Array.from({ length: 400 }, (_, index) => ({
        id: index + 1,
        name: `level ${index}`,
        start: index,
        end: 1000 - index,
        ...(index > 0 && { parent: index }),
        ...(index === 399 && { error: "too deep" }),
      }));
      const lines = plain(deep, 80);
      expect(lines.at(-2)).toMatch(/^✗ ⋯ +└─ level 399 /);
      expect(lines.at(-1)).toMatch(/^ {2}⋯ +↳ too deep$/);
      expect(Math.max(...lines.map(displayWidth))).toBe(80);
    });

    it("leave some of a name beside its marks", () => {
      const spans = [
        { id: 1, name: "root", end: 9 },
        ...[5, 6].map((start) => ({ id: 2, parent: 9, name: "important", start, end: 1 })),
      ];
      expect(plain(spans, 60).at(-2)).toMatch(/^✓ impor… \[orphan\]/);
    });

    it("never make a line longer than the width that was asked for", () => {
      const shape = fc.record({
        id: fc.nat({ max: 12 }),
        parent: fc.nat({ max: 14 }),
        remote: fc.boolean(),
        name: fc.string({ unit: "grapheme", maxLength: 80 }),
        kind: fc.nat({ max: 5 }),
        start: fc.nat({ max: 100_000 }),
        end: fc.nat({ max: 100_000 }),
        error: fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }),
      });
      fc.assert(
        fc.property(fc.array(shape, { minLength: 1 }), fc.integer({ min: 60, max: 200 }), (shapes, width) => {
          const [, ...lines] = plain(shapes, width);
          for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
        }),
      );
    });
  });

  describe("colour", () => {
    const spans = order.map(finishedSpan);

    afterEach(() => {
      vi.unstubAllEnvs();
    });

    it("adds nothing to the string but escape sequences", () => {
      const colored = renderTrace(spans, { color: true, width: 100 });
      expect(colored).toContain("\u001B[31m");
      expect(stripVTControlCharacters(colored)).toBe(renderTrace(spans, { color: false, width: 100 }));
    });

    it("comes by default where FORCE_COLOR asks for it, and not where NO_COLOR forbids it", () => {
      vi.stubEnv("NO_COLOR", undefined);
      vi.stubEnv("NODE_DISABLE_COLORS", undefined);
      vi.stubEnv("FORCE_COLOR", "1");
      expect(renderTrace(spans)).toContain("\u001B[");
      vi.stubEnv("FORCE_COLOR", undefined);
      vi.stubEnv("NO_COLOR", "1");
      expect(renderTrace(spans)).not.toContain("\u001B[");
    });

    it("does not let a span's name or message through with escape sequences of their own", () => {
      const text = renderTrace([finishedSpan({ name: "\u001B[2Jwiped", error: "\u001B[41mred" })], { color: false });
      expect(text).not.toContain("\u001B");
      expect(text).toContain("wiped");
    });
  });

  describe("odd input", () => {
    it("is counted where it can't be read as a span, and the rest is shown", () => {
      // JavaScript callers can pass anything, so the type is left behind here.
      const odd: unknown[] = [null, 3, {}, { spanContext: () => ({}) }, finishedSpan({ name: "fine" })];
      const text: unknown = Reflect.apply(renderTrace, undefined, [odd, { color: false }]);
      expect(text).toContain("✓ fine");
      expect(text).toMatch(/\n\n4 entries could not be read as a span\.$/);
    });

    it("never makes it throw", () => {
      const spanLike = fc.record(
        {
          name: fc.anything(),
          kind: fc.anything(),
          spanContext: fc.constant(() => ({ traceId, spanId: "a" })),
          parentSpanContext: fc.oneof(fc.record({ spanId: fc.anything() }), fc.anything()),
          parentSpanId: fc.anything(),
          startTime: fc.oneof(fc.tuple(fc.double(), fc.double()), fc.anything()),
          endTime: fc.oneof(fc.tuple(fc.double(), fc.double()), fc.anything()),
          status: fc.oneof(fc.record({ code: fc.constant(2), message: fc.anything() }), fc.anything()),
        },
        { requiredKeys: ["spanContext"] },
      );
      fc.assert(
        fc.property(
          fc.oneof(fc.array(fc.oneof(spanLike, fc.anything())), fc.anything()),
          fc.double(),
          (spans, width) => {
            expect(Reflect.apply(renderTrace, undefined, [spans, { width, color: false }])).toBeTypeOf("string");
          },
        ),
      );
    });
  });

  describe("with spans of the OpenTelemetry SDK", () => {
    const shown = /\n✓ parent +server .*\n✗ └─ child +client .*\n +↳ it broke$/;

    it("3.x reads their parents, kinds and statuses", () => {
      const exporter = new sdk3.InMemorySpanExporter();
      const spanProcessors = [new sdk3.SimpleSpanProcessor({ exporter })];
      startAndEnd(new sdk3.TracerProvider({ spanProcessors }).getTracer("test"));
      expect(renderTrace(exporter.getFinishedSpans(), { color: false })).toMatch(shown);
    });

    it("2.x reads their parents, kinds and statuses", () => {
      const exporter = new sdk2.InMemorySpanExporter();
      const spanProcessors = [new sdk2.SimpleSpanProcessor(exporter)];
      startAndEnd(new sdk2.BasicTracerProvider({ spanProcessors }).getTracer("test"));
      expect(renderTrace(exporter.getFinishedSpans(), { color: false })).toMatch(shown);
    });
  });
});
