import { SpanKind, type Attributes } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_TASK_EXECUTION_ID,
  ATTR_TASK_ID,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TASK_STATUS,
} from "../../telemetry/semconv.ts";
import type { SpanNode, TraceTree } from "../waterfall/span-tree.ts";
import type { RecordedSpan } from "./recorded-span.ts";

/** An event of a span, without what differs between runs. */
export interface EventSnapshot {
  readonly name: string;
  readonly attributes: Attributes;
}

/**
 * A span and its descendants, the same in each run of the same workflow: without IDs and times, and with placeholders
 * (`<instance>`, `<execution>`, `<trace>`, `<span>`) for IDs in strings.
 */
export interface SpanSnapshot {
  readonly name: string;
  /** Such as `server`. */
  readonly kind: string;
  readonly status: "unset" | "ok" | "error";
  /** The status's message, if it has one. */
  readonly message?: string;
  /** What is wrong with the span, if anything: `orphan`, `remote parent`, `cycle`, `duplicate`, `open`. */
  readonly marks?: readonly string[];
  /** The attributes that are always in a tree, and the requested ones. */
  readonly attributes: Attributes;
  readonly events: readonly EventSnapshot[];
  /** How many links it has. */
  readonly links: number;
  /** Durable tasks in the order in which they were scheduled; then all others, sorted by their content. */
  readonly children: readonly SpanSnapshot[];
}

const alwaysThere = [ATTR_TASK_STATUS, ATTR_ERROR_TYPE, "exception.type", "exception.message"];

/**
 * @param attributes the keys of attributes that were asked for.
 * @returns the roots of all traces; the traces' order is that of what is in them.
 */
export function snapshotOf(
  traces: readonly TraceTree<RecordedSpan>[],
  isOpen: (span: RecordedSpan) => boolean,
  attributes: readonly string[],
): readonly SpanSnapshot[] {
  const keys = new Set([...alwaysThere, ...attributes]);
  const withoutIds = placeholders(traces.flatMap(({ nodes }) => nodes));
  const chosen = (all: Attributes): Attributes =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([key]) => keys.has(key))
        .toSorted(([a], [b]) => compare(a, b))
        .map(([key, value]) => [key, normalized(value, withoutIds)]),
    );

  const taken = new Map<SpanNode<RecordedSpan>, Taken>();
  const ordered = (nodes: readonly SpanNode<RecordedSpan>[]): readonly Taken[] =>
    nodes.flatMap((node) => taken.get(node) ?? []).toSorted(byTaskThenText);
  // Children before their parents, and not recursive: a chain of spans may be deeper than the call stack.
  for (const node of traces.flatMap(({ nodes }) => nodes).toReversed()) {
    const { span } = node;
    const marks = marksOf(node, isOpen);
    const own = {
      name: withoutIds(node.name),
      kind: (SpanKind[node.kind] ?? String(node.kind)).toLowerCase(),
      status: statuses[span.status.code] ?? "unset",
      ...(node.message === undefined ? {} : { message: withoutIds(node.message) }),
      ...(marks.length === 0 ? {} : { marks }),
      attributes: chosen(span.attributes),
      events: span.events.map((event) => ({
        name: withoutIds(event.name),
        attributes: chosen(event.attributes ?? {}),
      })),
      links: span.links.length,
    };
    const children = ordered(node.children);
    const taskId = span.attributes[ATTR_TASK_ID];
    taken.set(node, {
      snapshot: { ...own, children: children.map(({ snapshot }) => snapshot) },
      taskId: typeof taskId === "number" ? taskId : Number.MAX_SAFE_INTEGER,
      // Added up, not joined: that costs nothing for those that have no sibling to be compared with.
      text: children.reduce((text, child) => text + child.text, JSON.stringify(own)),
    });
  }
  return ordered(traces.flatMap(({ roots }) => roots)).map(({ snapshot }) => snapshot);
}

const statuses = ["unset", "ok", "error"] as const;

/** A snapshot, and its place among its siblings. */
interface Taken {
  readonly snapshot: SpanSnapshot;
  readonly taskId: number;
  /** All that is in the snapshot. */
  readonly text: string;
}

// Starting times are no order: what runs at the same time starts now this way, now that way.
function byTaskThenText(a: Taken, b: Taken): number {
  return a.taskId - b.taskId || compare(a.text, b.text);
}

function marksOf(node: SpanNode<RecordedSpan>, isOpen: (span: RecordedSpan) => boolean): readonly string[] {
  const { parentage } = node;
  return [
    ...(parentage === "orphan" || parentage === "cycle" ? [parentage] : []),
    ...(parentage === "remote" ? ["remote parent"] : []),
    ...(node.duplicate ? ["duplicate"] : []),
    ...(isOpen(node.span) ? ["open"] : []),
  ];
}

/** Replaces the IDs of these spans in a string by placeholders. */
function placeholders(nodes: readonly SpanNode<RecordedSpan>[]): (text: string) => string {
  const known = new Map<string, string>();
  const note = (id: unknown, placeholder: string): void => {
    if (typeof id === "string" && id.length >= shortestId) known.set(id, placeholder);
  };
  for (const { span, spanId, parentSpanId } of nodes) {
    note(span.spanContext().traceId, "<trace>");
    note(spanId, "<span>");
    note(parentSpanId, "<span>");
    note(span.attributes[ATTR_TASK_EXECUTION_ID], "<execution>");
    note(span.attributes[ATTR_TASK_INSTANCE_ID], "<instance>");
  }
  // The longest first: the ID of a sub-orchestration may begin with its parent's.
  const lengths = [...new Set([...known.keys()].map(({ length }) => length))].toSorted((a, b) => b - a);
  // Looks up each part of the string instead of searching for each ID: there are as many IDs as spans.
  return (text) => {
    let result = "";
    for (let at = 0; at < text.length;) {
      const length = lengths.find((each) => known.has(text.slice(at, at + each))) ?? 1;
      const part = text.slice(at, at + length);
      result += known.get(part) ?? part;
      at += length;
    }
    return result;
  };
}

// A shorter one was chosen by somebody, and may well be a word of a name.
const shortestId = 8;

function normalized(value: Attributes[string], withoutIds: (text: string) => string): Attributes[string] {
  if (typeof value === "string") return withoutIds(value);
  return Array.isArray(value) ? value.map((each: Attributes[string]) => normalized(each, withoutIds)) : value;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** A snapshot as a string, with a line for each span and each event. */
export function snapshotText(roots: readonly SpanSnapshot[]): string {
  const lines: string[] = [];
  const pending = roots.map((span) => ({ span, first: "", rest: "" })).toReversed();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { span, first, rest } = next;
    lines.push(first + lineOf(span));
    const below = rest + (span.children.length > 0 ? "│  " : "   ");
    for (const event of span.events) lines.push(`${below}· ${event.name}${attributesText(event.attributes)}`);
    // The last child first: `pending` is a stack.
    span.children.toReversed().forEach((child, index) => {
      const last = index === 0;
      pending.push({ span: child, first: rest + (last ? "└─ " : "├─ "), rest: rest + (last ? "   " : "│  ") });
    });
  }
  return lines.join("\n");
}

function lineOf({ name, kind, status, message, marks = [], attributes, links }: SpanSnapshot): string {
  const parts = [
    name,
    kind,
    ...(status === "unset" ? [] : [message === undefined ? status : `${status}: ${JSON.stringify(message)}`]),
    ...(links === 0 ? [] : [`links: ${links}`]),
    ...marks.map((mark) => `[${mark}]`),
  ];
  return parts.join(" ") + attributesText(attributes);
}

function attributesText(attributes: Attributes): string {
  const pairs = Object.entries(attributes).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? "" : ` {${pairs.join(", ")}}`;
}
