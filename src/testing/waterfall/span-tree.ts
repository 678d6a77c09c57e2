/**
 * Finished spans as trees, one per trace, for the waterfall and for checks of wholeness (telemetry.md S1). Nothing here
 * throws: problems of a trace are marked on its nodes.
 */

/** The required members of a finished span; a `ReadableSpan` of the OpenTelemetry SDK 1.x, 2.x or 3.x has them. */
export interface FinishedSpan {
  readonly name: string;
  /** An OpenTelemetry `SpanKind`. */
  readonly kind: number;
  spanContext(): { readonly traceId: string; readonly spanId: string };
  /** The parent, in SDK 2.x and 3.x. */
  readonly parentSpanContext?:
    | { readonly spanId: string; readonly traceId?: string; readonly isRemote?: boolean | undefined }
    | undefined;
  /** The parent's span ID, in SDK 1.x. */
  readonly parentSpanId?: string | undefined;
  /** Seconds since the epoch, and nanoseconds. */
  readonly startTime: readonly [seconds: number, nanoseconds: number];
  readonly endTime: readonly [seconds: number, nanoseconds: number];
  /** `code` is an OpenTelemetry `SpanStatusCode`. */
  readonly status: { readonly code: number; readonly message?: string | undefined };
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  readonly events?: readonly FinishedEvent[] | undefined;
  readonly links?: readonly FinishedLink[] | undefined;
  readonly resource?: { readonly attributes?: Readonly<Record<string, unknown>> | undefined } | undefined;
  /** What made the span, in SDK 2.x and 3.x. */
  readonly instrumentationScope?: { readonly name: string; readonly version?: string | undefined } | undefined;
}

/** An event of a finished span. */
interface FinishedEvent {
  readonly name: string;
  /** Seconds since the epoch, and nanoseconds. */
  readonly time: readonly [seconds: number, nanoseconds: number];
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/** A link of a finished span. */
interface FinishedLink {
  readonly context: { readonly traceId: string; readonly spanId: string };
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Where a span hangs:
 * - `root`: it has no parent.
 * - `child`: its parent is among the spans.
 * - `remote`: its parent is not among the spans, and came from another process: here the trace entered.
 * - `orphan`: its parent is not among the spans, though it was local; or its parent is in another trace.
 * - `cycle`: it is its own ancestor; the cycle is cut at this span.
 */
type Parentage = "root" | "child" | "remote" | "orphan" | "cycle";

/** A span at its place in the tree. */
export interface SpanNode<T = FinishedSpan> {
  /** The span that was given. */
  readonly span: T;
  readonly name: string;
  readonly kind: number;
  readonly spanId: string;
  /** `undefined` for a root. */
  readonly parentSpanId: string | undefined;
  /** The parent's trace, where that is another one. */
  readonly parentTraceId: string | undefined;
  readonly parentage: Parentage;
  /** Whether an earlier span of the trace has the same span ID; children hang on that one. */
  readonly duplicate: boolean;
  /** Nanoseconds since the epoch. */
  readonly start: bigint;
  /** Nanoseconds since the epoch; `undefined` if the span has no end, or one before its start. */
  readonly end: bigint | undefined;
  /** Whether the status is ERROR. */
  readonly failed: boolean;
  /** The status's message. */
  readonly message: string | undefined;
  /** By start, then by name. */
  readonly children: readonly SpanNode<T>[];
}

/** All spans of one trace. */
export interface TraceTree<T = FinishedSpan> {
  readonly traceId: string;
  /** The top level: everything but `child` nodes, by start, then by name. */
  readonly roots: readonly SpanNode<T>[];
  /** Every node, parents before their children, in the order of the tree. */
  readonly nodes: readonly SpanNode<T>[];
  /** When the first span started, in nanoseconds since the epoch. */
  readonly start: bigint;
  /** When the last one ended. */
  readonly end: bigint;
}

/** Traces in the order of their starts, and how many of the given entries could not be read as spans. */
export interface SpanForest<T = FinishedSpan> {
  readonly traces: readonly TraceTree<T>[];
  readonly unreadable: number;
}

type MutableNode<T> = { -readonly [K in keyof SpanNode<T>]: SpanNode<T>[K] } & { children: MutableNode<T>[] };

interface ReadSpan<T> {
  readonly traceId: string;
  readonly parentIsRemote: boolean;
  readonly node: MutableNode<T>;
}

/**
 * Builds a tree for each trace.
 *
 * @param spans finished spans in any order, of any number of traces.
 *
 * @example
 * ```ts
 * const { traces } = buildSpanForest(exporter.getFinishedSpans());
 * const orphans = traces.flatMap((trace) => trace.nodes.filter((node) => node.parentage === "orphan"));
 * ```
 */
export function buildSpanForest<T extends FinishedSpan>(spans: Iterable<T>): SpanForest<T> {
  const byTrace = new Map<string, ReadSpan<T>[]>();
  let unreadable = 0;
  for (const span of isIterable(spans) ? spans : []) {
    const read = readSpan(span);
    if (read === undefined) {
      unreadable += 1;
      continue;
    }
    const ofTrace = byTrace.get(read.traceId);
    if (ofTrace === undefined) byTrace.set(read.traceId, [read]);
    else ofTrace.push(read);
  }
  const traces = [...byTrace].map(([traceId, ofTrace]) => buildTree(traceId, ofTrace));
  traces.sort((a, b) => compare(a.start, b.start));
  return { traces, unreadable };
}

function isIterable(value: unknown): boolean {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, Symbol.iterator) === "function";
}

function readSpan<T extends FinishedSpan>(span: T): ReadSpan<T> | undefined {
  try {
    const { traceId, spanId } = span.spanContext();
    const start = nanoseconds(span.startTime);
    if (typeof traceId !== "string" || typeof spanId !== "string" || start === undefined) return undefined;
    const end = nanoseconds(span.endTime);
    const parentSpanId = span.parentSpanContext?.spanId ?? span.parentSpanId;
    const parentTraceId = span.parentSpanContext?.traceId;
    const node: MutableNode<T> = {
      span,
      name: text(span.name),
      kind: span.kind,
      spanId,
      parentSpanId: typeof parentSpanId === "string" && !/^0*$/.test(parentSpanId) ? parentSpanId : undefined,
      parentTraceId: parentTraceId === traceId ? undefined : parentTraceId,
      parentage: "root",
      duplicate: false,
      start,
      end: end !== undefined && end >= start ? end : undefined,
      failed: span.status?.code === statusCodeError,
      message: typeof span.status?.message === "string" ? span.status.message : undefined,
      children: [],
    };
    return { traceId, parentIsRemote: span.parentSpanContext?.isRemote === true, node };
  } catch {
    // A getter of a foreign object threw, or the entry is no object at all.
    return undefined;
  }
}

const statusCodeError = 2;

function text(value: unknown): string {
  return typeof value === "string" ? value : String(value);
}

/** A time as nanoseconds since the epoch; `undefined` if it can't be one. */
export function nanoseconds(time: readonly [number, number] | undefined): bigint | undefined {
  const [seconds, rest] = time ?? [];
  if (!isWithin(seconds, latestSecond) || !isWithin(rest, Number.MAX_SAFE_INTEGER)) return undefined;
  return BigInt(Math.trunc(seconds)) * 1_000_000_000n + BigInt(Math.trunc(rest));
}

/** In the year 5138. What is later was not in seconds. */
export const latestSecond: number = 1e11;

function isWithin(value: unknown, limit: number): value is number {
  return typeof value === "number" && Math.abs(value) <= limit;
}

function buildTree<T>(traceId: string, spans: ReadSpan<T>[]): TraceTree<T> {
  // In this order, children and roots get their order by being pushed, and the earliest of duplicates comes first.
  spans.sort((a, b) => byStartThenName(a.node, b.node));
  const bySpanId = new Map<string, MutableNode<T>>();
  for (const { node } of spans) {
    if (bySpanId.has(node.spanId)) node.duplicate = true;
    else bySpanId.set(node.spanId, node);
  }

  const roots: MutableNode<T>[] = [];
  for (const { node, parentIsRemote } of spans) {
    const parent = parentOf(node, bySpanId);
    if (parent !== undefined) {
      node.parentage = "child";
      parent.children.push(node);
      continue;
    }
    if (node.parentSpanId !== undefined)
      node.parentage = parentIsRemote && node.parentTraceId === undefined ? "remote" : "orphan";
    roots.push(node);
  }

  const placed = new Set<MutableNode<T>>();
  for (const root of roots) place(root, placed);
  // What no root leads to hangs on a cycle, which is cut at its earliest span.
  for (const { node } of spans) {
    if (placed.has(node)) continue;
    const first = earliestOfCycle(node, bySpanId);
    const siblings = parentOf(first, bySpanId)?.children;
    siblings?.splice(siblings.indexOf(first), 1);
    first.parentage = "cycle";
    roots.push(first);
    place(first, placed);
  }
  roots.sort(byStartThenName);

  const start = spans[0]?.node.start ?? 0n;
  let end = start;
  for (const { node } of spans) if (node.end !== undefined && node.end > end) end = node.end;
  return { traceId, roots, nodes: inOrder(roots), start, end };
}

function parentOf<T>(node: MutableNode<T>, bySpanId: Map<string, MutableNode<T>>): MutableNode<T> | undefined {
  return node.parentSpanId === undefined || node.parentTraceId !== undefined
    ? undefined
    : bySpanId.get(node.parentSpanId);
}

/** The earliest span of the cycle that `from`'s ancestors run into. */
function earliestOfCycle<T>(from: MutableNode<T>, bySpanId: Map<string, MutableNode<T>>): MutableNode<T> {
  const ancestors = new Set<MutableNode<T>>();
  let node = from;
  while (!ancestors.has(node)) {
    ancestors.add(node);
    node = parentOf(node, bySpanId) ?? node;
  }
  const path = [...ancestors];
  return path.slice(path.indexOf(node)).toSorted(byStartThenName)[0] ?? node;
}

// Neither of these two is recursive: a chain of spans may be deeper than the call stack.

function place<T>(root: MutableNode<T>, placed: Set<MutableNode<T>>): void {
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    placed.add(node);
    for (const child of node.children) pending.push(child);
  }
}

function inOrder<T>(roots: readonly SpanNode<T>[]): SpanNode<T>[] {
  const ordered: SpanNode<T>[] = [];
  const pending = roots.toReversed();
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    ordered.push(node);
    for (const child of node.children.toReversed()) pending.push(child);
  }
  return ordered;
}

function byStartThenName(a: SpanNode<unknown>, b: SpanNode<unknown>): number {
  return compare(a.start, b.start) || compare(a.name, b.name);
}

function compare<V extends bigint | string>(a: V, b: V): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
