import { printable } from "./display-width.ts";
import { formatDuration } from "./duration.ts";
import type { SpanNode, TraceTree } from "./span-tree.ts";

/** What the waterfall says about a span, before anyone knows how wide the columns are. */
export interface Row {
  readonly node: SpanNode;
  /** The branches that lead to the name. */
  readonly branch: string;
  /** The branches that lead past the row to what is below it. */
  readonly below: string;
  readonly name: string;
  /** What a whole trace does not have, each with a space before it: ` [orphan]`. */
  readonly marks: string;
  readonly kind: string;
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
  const pending = trace.roots.map((node) => ({ node, branch: "", indent: "" })).toReversed();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, branch, indent } = next;
    rows.push({
      node,
      branch,
      below: indent + (node.children.length > 0 ? "│ " : ""),
      name: printable(node.name),
      marks: marks(node),
      kind: kindNames[node.kind] ?? "?",
      start: node.start === trace.start ? "0" : `+${formatDuration(node.start - trace.start)}`,
      took: node.end === undefined ? "?" : formatDuration(node.end - node.start),
      notes: notes(node),
    });
    // The last child first: `pending` is a stack.
    node.children.toReversed().forEach((child, index) => {
      const last = index === 0;
      pending.push({
        node: child,
        branch: indent + (last ? "└─ " : "├─ "),
        indent: (indent + (last ? "   " : "│  ")).slice(-maximumIndent),
      });
    });
  }
  return rows;
}

// Wider than any line that is read; keeps a chain of thousands of spans from taking quadratic memory.
const maximumIndent = 300;

/** By OpenTelemetry's `SpanKind`. */
const kindNames: readonly (string | undefined)[] = ["internal", "server", "client", "producer", "consumer"];

function marks(node: SpanNode): string {
  let text = "";
  if (node.parentage === "orphan") text += " [orphan]";
  if (node.parentage === "remote") text += " [remote parent]";
  if (node.parentage === "cycle") text += " [cycle]";
  if (node.duplicate) text += " [duplicate]";
  if (node.end === undefined) text += " [no end]";
  return text;
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
