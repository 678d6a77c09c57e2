import type { SpanNode, TraceTree } from "./span-tree.ts";

/** A span's share of the time from a trace's start to its end. */
export interface PathStep<T = SpanNode["span"]> {
  /** `undefined` for the time in which no span was there. */
  readonly node: SpanNode<T> | undefined;
  /** The sum of its segments, in nanoseconds. */
  readonly time: bigint;
  /** When the trace's end depended on this span alone, in order, in nanoseconds since the epoch. */
  readonly segments: readonly (readonly [from: bigint, to: bigint])[];
}

interface Frame<T> {
  readonly node: SpanNode<T> | undefined;
  /** Latest end first. */
  readonly children: readonly SpanNode<T>[];
  next: number;
  /** Nothing of it counts before this. */
  readonly from: bigint;
  /** What is after this is assigned. */
  until: bigint;
  /** Whether it has time before the span's own start: then its children count from the first of their descendants. */
  isEarly: boolean;
}

/**
 * The critical path of a trace: which span its end depended on at each moment. It is found backwards, from the end of
 * the trace: the child that ended last before this moment was waited for; between children, a span's own time counts.
 * A span that outlasts its parent, as an orchestration does its caller, belongs to the parent's time. So does, where
 * nothing else was there, a span that starts before its parent: the clocks of machines differ.
 *
 * @returns the steps in the order in which they start. Their times add up to the duration of the trace.
 */
export function criticalPath<T>(trace: TraceTree<T>): readonly PathStep<T>[] {
  const { starts, ends } = extents(trace);
  const startOf = (node: SpanNode<T>): bigint => starts.get(node) ?? node.start;
  const endOf = (node: SpanNode<T>): bigint => ends.get(node) ?? node.start;
  const byEnd = (nodes: readonly SpanNode<T>[]): readonly SpanNode<T>[] =>
    nodes.toSorted((a, b) => Number(endOf(b) - endOf(a)) || Number(b.start - a.start));
  const segments = new Map<SpanNode<T> | undefined, [bigint, bigint][]>();
  const add = (node: SpanNode<T> | undefined, from: bigint, to: bigint): void => {
    if (from >= to) return;
    if (node !== undefined && from < node.start) {
      add(undefined, from, earlier(node.start, to));
      add(node, node.start, to);
      return;
    }
    const known = segments.get(node);
    if (known === undefined) segments.set(node, [[from, to]]);
    else known.push([from, to]);
  };

  // Not recursive: a chain of spans may be deeper than the call stack.
  const open: Frame<T>[] = [
    { node: undefined, children: byEnd(trace.roots), next: 0, from: trace.start, until: trace.end, isEarly: false },
  ];
  for (let frame = open.at(-1); frame !== undefined; frame = open.at(-1)) {
    const { node, from, isEarly } = frame;
    const child = frame.children[frame.next];
    if (child === undefined || frame.until <= from) {
      if (node === undefined && !isEarly) {
        // What is before the first of the roots is looked for again, below them.
        frame.isEarly = true;
        frame.next = 0;
        continue;
      }
      add(node, from, frame.until);
      open.pop();
      continue;
    }
    frame.next += 1;
    const end = earlier(endOf(child), frame.until);
    const start = later(isEarly ? startOf(child) : child.start, from);
    if (end <= start) continue;
    add(node, end, frame.until);
    frame.until = start;
    open.push({
      node: child,
      children: byEnd(child.children),
      next: 0,
      from: start,
      until: end,
      isEarly: start < child.start,
    });
  }
  return [...segments]
    .map(([node, parts]) => ({
      node,
      time: parts.reduce((sum, [from, to]) => sum + to - from, 0n),
      segments: parts.toSorted(([a], [b]) => Number(a - b)),
    }))
    .toSorted((a, b) => Number((a.segments[0]?.[0] ?? 0n) - (b.segments[0]?.[0] ?? 0n)));
}

/** When each span or the first of its descendants starts, and when the last of them ends. */
function extents<T>({ nodes }: TraceTree<T>): Readonly<Record<"starts" | "ends", ReadonlyMap<SpanNode<T>, bigint>>> {
  const starts = new Map<SpanNode<T>, bigint>();
  const ends = new Map<SpanNode<T>, bigint>();
  for (const node of nodes.toReversed()) {
    let start = node.start;
    let end = node.end ?? node.start;
    for (const child of node.children) {
      start = earlier(starts.get(child) ?? start, start);
      end = later(ends.get(child) ?? end, end);
    }
    starts.set(node, start);
    ends.set(node, end);
  }
  return { starts, ends };
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
