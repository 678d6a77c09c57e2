import { ATTR_TASK_ATTEMPT } from "../../telemetry/semconv.ts";
import { printable } from "./display-width.ts";
import { formatDuration } from "./duration.ts";
import { nanoseconds, type SpanNode, type TraceTree } from "./span-tree.ts";

/** What the waterfall says about a span, before anyone knows how wide the columns are. */
export interface Row {
  readonly node: SpanNode;
  /** How many ancestors it has. */
  readonly depth: number;
  /** The branches that lead to the name. */
  readonly branch: string;
  /** The branches that lead past the row to what is below it. */
  readonly below: string;
  readonly name: string;
  /** What a whole trace does not have, each with a space before it: ` [orphan]`. */
  readonly marks: string;
  readonly kind: string;
  /** The number of an attempt after the first; else empty. */
  readonly attempt: string;
  readonly start: string;
  readonly took: string;
  /** Lines of their own below the span: which parent is missing, and why it failed. */
  readonly notes: readonly Note[];
}

/** A line below a span. */
interface Note {
  readonly about: "parent" | "failure";
  readonly text: string;
}

/** The trace's spans in the order of the tree. */
export function toRows(trace: TraceTree): Row[] {
  const rows: Row[] = [];
  const pending = trace.roots.map((node) => ({ node, depth: 0, branch: "", indent: "" })).toReversed();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, depth, branch, indent } = next;
    rows.push({
      node,
      depth,
      branch,
      below: indent + (node.children.length > 0 ? "│ " : ""),
      name: printable(node.name),
      marks: marksOf(node)
        .map((mark) => ` [${mark}]`)
        .join(""),
      kind: kindName(node.kind),
      attempt: attemptOf(node),
      start: offsetText(node.start, trace),
      took: node.end === undefined ? "?" : formatDuration(node.end - node.start),
      notes: notes(node),
    });
    // The last child first: `pending` is a stack.
    node.children.toReversed().forEach((child, index) => {
      const last = index === 0;
      pending.push({
        node: child,
        depth: depth + 1,
        branch: indent + (last ? "└─ " : "├─ "),
        indent: (indent + (last ? "   " : "│  ")).slice(-maximumIndent),
      });
    });
  }
  return rows;
}

// Wider than any line that is read; keeps a chain of thousands of spans from taking quadratic memory.
const maximumIndent = 300;

function attemptOf({ span }: SpanNode): string {
  const attempt = span.attributes?.[ATTR_TASK_ATTEMPT];
  return typeof attempt === "number" && attempt > 1 ? `attempt ${attempt}` : "";
}

/** A time as an offset from the trace's start: `0` or `+4.00 ms`. */
export function offsetText(time: bigint, trace: TraceTree): string {
  return time === trace.start ? "0" : `${time > trace.start ? "+" : ""}${formatDuration(time - trace.start)}`;
}

/** The name of an OpenTelemetry `SpanKind`. */
export function kindName(kind: number): string {
  return kindNames[kind] ?? "?";
}

const kindNames: readonly (string | undefined)[] = ["internal", "server", "client", "producer", "consumer"];

/** What a whole trace does not have, on one span. */
export function marksOf(node: SpanNode): readonly string[] {
  const found: string[] = [];
  if (node.parentage === "orphan") found.push("orphan");
  if (node.parentage === "remote") found.push("remote parent");
  if (node.parentage === "cycle") found.push("cycle");
  if (node.duplicate) found.push("duplicate");
  if (node.end === undefined)
    found.push((nanoseconds(node.span.endTime) ?? 0n) > 0n ? "ends before its start" : "no end");
  return found;
}

function notes(node: SpanNode): Note[] {
  const found: Note[] = [];
  if (node.parentage === "orphan") {
    found.push({ about: "parent", text: `parent ${printable(node.parentSpanId ?? "")} is not among these spans` });
  }
  const message = node.failed ? printable(node.message ?? "").trim() : "";
  // A failure passes up through many spans; its message is shown where it originated.
  const reportedBelow = node.children.some(
    (child) => child.failed && child.message && node.message?.includes(child.message),
  );
  if (message !== "" && !reportedBelow) found.push({ about: "failure", text: message });
  return found;
}
