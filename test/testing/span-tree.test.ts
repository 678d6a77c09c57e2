import { describe, expect, it } from "vitest";
import { buildSpanForest, type FinishedSpan, type SpanNode } from "../../src/testing/waterfall/span-tree.ts";
import { finishedSpan, spanId } from "./finished-spans.ts";

type Outline = string | { readonly [name: string]: readonly Outline[] };

function outline(node: SpanNode<unknown>): Outline {
  return node.children.length === 0 ? node.name : { [node.name]: node.children.map(outline) };
}

function tree(spans: readonly FinishedSpan[]): {
  readonly outline: readonly Outline[];
  readonly nodes: readonly SpanNode[];
} {
  const { traces } = buildSpanForest(spans);
  expect(traces).toHaveLength(1);
  const trace = traces.flatMap((found) => found.roots);
  return { outline: trace.map(outline), nodes: traces.flatMap((found) => found.nodes) };
}

const parentages = (nodes: readonly SpanNode[]): Record<string, string> =>
  Object.fromEntries(nodes.map((node) => [node.name, node.parentage]));

describe("buildSpanForest", () => {
  it("hangs children on their parents, whatever the order in which the spans finished", () => {
    const spans = [
      finishedSpan({ name: "leaf", id: 3, parent: 2, start: 2 }),
      finishedSpan({ name: "root", id: 1, end: 9 }),
      finishedSpan({ name: "middle", id: 2, parent: 1, start: 1 }),
    ];
    expect(tree(spans).outline).toEqual([{ root: [{ middle: ["leaf"] }] }]);
  });

  it("sorts children by start, then by name", () => {
    const spans = [
      finishedSpan({ name: "root", id: 1 }),
      finishedSpan({ name: "late", id: 2, parent: 1, start: 5 }),
      finishedSpan({ name: "b", id: 3, parent: 1, start: 2 }),
      finishedSpan({ name: "a", id: 4, parent: 1, start: 2 }),
    ];
    expect(tree(spans).outline).toEqual([{ root: ["a", "b", "late"] }]);
  });

  it("tells a root, a child, a remote parent and an orphan apart", () => {
    const { nodes, outline: roots } = tree([
      finishedSpan({ name: "root", id: 1 }),
      finishedSpan({ name: "child", id: 2, parent: 1 }),
      finishedSpan({ name: "remote child", id: 3, parent: 1, remote: true }),
      finishedSpan({ name: "entry", id: 4, parent: 98, remote: true, start: 1 }),
      finishedSpan({ name: "orphan", id: 5, parent: 99, start: 2 }),
    ]);
    expect(parentages(nodes)).toEqual({
      root: "root",
      child: "child",
      "remote child": "child",
      entry: "remote",
      orphan: "orphan",
    });
    expect(roots).toEqual([{ root: ["child", "remote child"] }, "entry", "orphan"]);
  });

  it("reads the parent's span ID of an SDK 1.x span", () => {
    const old: FinishedSpan = { ...finishedSpan({ name: "child", id: 2 }), parentSpanId: spanId(1) };
    expect(tree([finishedSpan({ name: "root", id: 1 }), old]).outline).toEqual([{ root: ["child"] }]);
  });

  it("takes an all-zero parent ID for no parent", () => {
    expect(parentages(tree([finishedSpan({ name: "root", parent: 0 })]).nodes)).toEqual({ root: "root" });
  });

  it("marks all spans with one span ID but the earliest, on which their children hang", () => {
    const { nodes, outline: roots } = tree([
      finishedSpan({ name: "root", id: 1 }),
      finishedSpan({ name: "again", id: 2, parent: 1, start: 4 }),
      finishedSpan({ name: "first", id: 2, parent: 1, start: 2 }),
      finishedSpan({ name: "leaf", id: 3, parent: 2, start: 5 }),
    ]);
    expect(roots).toEqual([{ root: [{ first: ["leaf"] }, "again"] }]);
    expect(nodes.filter((node) => node.duplicate).map((node) => node.name)).toEqual(["again"]);
  });

  it("cuts a cycle at its earliest span, also when what hangs on it started before", () => {
    const { nodes, outline: roots } = tree([
      finishedSpan({ name: "hanger-on", id: 3, parent: 2, start: 0 }),
      finishedSpan({ name: "a", id: 1, parent: 2, start: 1 }),
      finishedSpan({ name: "b", id: 2, parent: 1, start: 2 }),
    ]);
    expect(roots).toEqual([{ a: [{ b: ["hanger-on"] }] }]);
    expect(parentages(nodes)).toEqual({ a: "cycle", b: "child", "hanger-on": "child" });
  });

  it("has a span at which a cycle is cut at its time among the other roots", () => {
    const spans = [
      finishedSpan({ name: "root", id: 3, start: 2 }),
      finishedSpan({ name: "a", id: 1, parent: 2, start: 1 }),
      finishedSpan({ name: "b", id: 2, parent: 1, start: 3 }),
    ];
    expect(tree(spans).outline).toEqual([{ a: ["b"] }, "root"]);
  });

  it("cuts a span that is its own parent", () => {
    const { nodes, outline: roots } = tree([finishedSpan({ name: "self", id: 1, parent: 1 })]);
    expect(roots).toEqual(["self"]);
    expect(parentages(nodes)).toEqual({ self: "cycle" });
  });

  it("survives a chain deeper than the call stack, and a parent with very many children", () => {
    const size = 50_000;
    const chain = Array.from({ length: size }, (_, index) =>
      finishedSpan({ id: index + 1, start: index, ...(index > 0 && { parent: index }) }),
    );
    expect(buildSpanForest(chain).traces[0]?.nodes).toHaveLength(size);
    const fan = Array.from({ length: size }, (_, index) =>
      finishedSpan({ id: index + 1, ...(index > 0 && { parent: 1 }) }),
    );
    expect(buildSpanForest(fan).traces[0]?.nodes).toHaveLength(size);
  });

  it("keeps traces apart, even where span IDs meet, and sorts them by their starts", () => {
    const { traces } = buildSpanForest([
      finishedSpan({ name: "second", id: 1, trace: "b", start: 3, end: 4 }),
      finishedSpan({ name: "first", id: 1, trace: "c", start: 1, end: 2 }),
      finishedSpan({ name: "second's child", id: 2, parent: 1, trace: "b", start: 3, end: 8 }),
    ]);
    expect(traces.map((trace) => [trace.traceId, trace.nodes.length, Number(trace.end - trace.start) / 1e6])).toEqual([
      ["c", 1, 1],
      ["b", 2, 5],
    ]);
  });

  it("has no end for a span that ends before it starts", () => {
    const { nodes } = tree([finishedSpan({ start: 2, end: 1 })]);
    expect(nodes.map((node) => node.end)).toEqual([undefined]);
  });

  it("keeps the spans it was given on the nodes", () => {
    const span = { ...finishedSpan({}), extra: 1 };
    expect(buildSpanForest([span]).traces[0]?.nodes[0]?.span).toBe(span);
  });
});
