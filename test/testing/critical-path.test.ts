import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { criticalPath } from "../../src/testing/waterfall/critical-path.ts";
import { buildSpanForest } from "../../src/testing/waterfall/span-tree.ts";
import { finishedSpan, type SpanShape } from "./finished-spans.ts";

const pathOf = (shapes: readonly SpanShape[]): readonly (readonly [name: string, milliseconds: number])[] =>
  buildSpanForest(shapes.map(finishedSpan)).traces.flatMap((trace) =>
    criticalPath(trace).map(({ node, time }) => [node?.name ?? "", Number(time) / 1e6] as const),
  );

describe("The critical path of a trace", () => {
  it("is the way along the children that ended last, with the time of each span's own", () => {
    const shapes = [
      { id: 1, name: "order", end: 100 },
      { id: 2, parent: 1, name: "fast", start: 10, end: 30 },
      { id: 3, parent: 1, name: "slow", start: 10, end: 60 },
      { id: 4, parent: 1, name: "then", start: 70, end: 90 },
    ];
    expect(pathOf(shapes)).toEqual([
      ["order", 30],
      ["slow", 50],
      ["then", 20],
    ]);
  });

  it("leads from a caller to what outlasts it, and counts the time between them as the caller's", () => {
    const shapes = [
      { id: 1, name: "caller", end: 5 },
      { id: 2, parent: 1, name: "orchestration", start: 20, end: 100 },
    ];
    expect(pathOf(shapes)).toEqual([
      ["caller", 20],
      ["orchestration", 80],
    ]);
  });

  it("names the time in which no span was there", () => {
    const shapes = [
      { id: 1, name: "a", end: 10 },
      { id: 2, name: "b", start: 30, end: 40 },
    ];
    expect(pathOf(shapes)).toEqual([
      ["a", 10],
      ["", 20],
      ["b", 10],
    ]);
  });

  it("leads to a span that starts before its caller, whose clock is ahead, and not to no span", () => {
    const shapes = [
      { id: 1, name: "GET /", start: 100, end: 120 },
      { id: 2, parent: 1, name: "caller", start: 105, end: 115 },
      { id: 3, parent: 2, name: "orchestration", start: 0, end: 110 },
      { id: 4, parent: 3, name: "activity", start: 10, end: 90 },
    ];
    expect(pathOf(shapes)).toEqual([
      ["orchestration", 25],
      ["activity", 80],
      ["GET /", 10],
      ["caller", 5],
    ]);
  });

  it("is empty for a trace that takes no time", () => {
    expect(pathOf([{ id: 1 }])).toEqual([]);
  });

  it("follows a chain that is deeper than the call stack", () => {
    const shapes = Array.from({ length: 20_000 }, (_, id) => ({ id: id + 1, parent: id, start: id, end: 40_000 - id }));
    expect(pathOf(shapes.slice(1)).reduce((sum, [, time]) => sum + time, 0)).toBeCloseTo(39_998);
    const early = Array.from({ length: 20_000 }, (_, id) => ({
      id: id + 1,
      parent: id,
      start: 20_000 - id,
      end: 40_000,
    }));
    expect(pathOf(early.slice(1)).reduce((sum, [, time]) => sum + time, 0)).toBeCloseTo(39_999);
  });

  it("has times that add up to the duration of any trace, and segments that neither overlap nor leave their span's subtree", () => {
    const spans = fc.array(
      fc.record({ parent: fc.nat(12), start: fc.nat(50), length: fc.nat(50), trace: fc.constantFrom("a", "b") }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(spans, (drawn) => {
        const shapes = drawn.map(({ parent, start, length, trace }, index) => ({
          id: index + 1,
          ...(parent > 0 && { parent }),
          start,
          end: start + length,
          trace,
        }));
        for (const trace of buildSpanForest(shapes.map(finishedSpan)).traces) {
          const path = criticalPath(trace);
          expect(path.reduce((sum, { time }) => sum + time, 0n)).toBe(trace.end - trace.start);
          const segments = path.flatMap((step) => step.segments).toSorted(([a], [b]) => Number(a - b));
          segments.forEach(([from, to], index) => {
            expect(to > from).toBe(true);
            expect(from).toBe(segments[index - 1]?.[1] ?? trace.start);
          });
          for (const { node, segments: own } of path)
            for (const [from] of own) if (node !== undefined) expect(from >= node.start).toBe(true);
        }
      }),
    );
  });
});
