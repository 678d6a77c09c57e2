import {
  ATTR_TASK_EXECUTION_ID,
  ATTR_TASK_ID,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TYPE,
  TYPE_ACTIVITY,
  TYPE_ORCHESTRATION,
} from "../../telemetry/semconv.ts";
import { kindName } from "../waterfall/rows.ts";
import type { FinishedSpan, SpanNode, TraceTree } from "../waterfall/span-tree.ts";

// OpenTelemetry's `SpanKind`, as numbers: the command line does without the API.
const server = 1;
const client = 2;
const producer = 3;

interface ProblemSpan {
  /** The name of the span that has the problem. */
  readonly name: string;
  /** Its kind, such as `SERVER`. */
  readonly spanKind: string;
  readonly traceId: string;
  readonly spanId: string;
}

/**
 * What keeps a trace from being whole:
 * - `orphan`: the span's parent was not recorded, or is in another trace, `parentTraceId`. `remote` says whether the
 *   parent's ID came from outside the process.
 * - `duplicate`: another span has the same ID, or is the same task's span (`of` is its span ID).
 * - `open`: the span was started and has not ended.
 * - `cycle`: the span is its own ancestor.
 * - `root`: the span has no parent, and neither has an earlier one of the trace, `of`: the trace is in pieces.
 */
export type TraceProblem =
  | (ProblemSpan & {
      readonly kind: "orphan";
      readonly parentSpanId: string;
      readonly parentTraceId?: string;
      readonly remote: boolean;
    })
  | (ProblemSpan & { readonly kind: "duplicate"; readonly of: string })
  | (ProblemSpan & { readonly kind: "open" })
  | (ProblemSpan & { readonly kind: "cycle" })
  | (ProblemSpan & { readonly kind: "root"; readonly of: string });

/**
 * All that keeps a trace from being whole (telemetry.md S1, I4).
 *
 * @param trace has the spans that ended and those that are open: the children of an open span are no orphans.
 * @param remoteParents are the IDs of spans that are recorded elsewhere.
 */
export function problemsOf<T extends FinishedSpan>(
  trace: TraceTree<T>,
  isOpen: (span: T) => boolean,
  remoteParents: ReadonlySet<string>,
): readonly TraceProblem[] {
  const problems: TraceProblem[] = [];
  const spansOfTasks = new Map<string, string>();
  const first = trace.roots.find(({ parentage }) => parentage === "root");
  for (const node of trace.nodes) {
    const span = {
      name: node.name,
      spanKind: kindName(node.kind).toUpperCase(),
      traceId: trace.traceId,
      spanId: node.spanId,
    };
    const { parentage, parentSpanId, parentTraceId } = node;
    if (
      parentSpanId !== undefined &&
      (parentage === "orphan" || parentage === "remote") &&
      !remoteParents.has(parentSpanId)
    ) {
      const elsewhere = parentTraceId === undefined ? {} : { parentTraceId };
      problems.push({ ...span, kind: "orphan", parentSpanId, ...elsewhere, remote: parentage === "remote" });
    }
    if (first !== undefined && parentage === "root" && node !== first && !node.duplicate)
      problems.push({ ...span, kind: "root", of: first.spanId });
    if (parentage === "cycle") problems.push({ ...span, kind: "cycle" });
    const of = node.duplicate ? node.spanId : firstOfTask(node, spansOfTasks);
    if (of !== undefined) problems.push({ ...span, kind: "duplicate", of });
    if (isOpen(node.span)) problems.push({ ...span, kind: "open" });
  }
  return problems;
}

/** A problem in words. */
export function problemText(problem: TraceProblem): string {
  const span = `${problem.name} ${problem.spanKind} ${problem.spanId}`;
  return `${problem.kind}: ${span}: ${why(problem)}`;
}

function why(problem: TraceProblem): string {
  if (problem.kind === "orphan") {
    if (problem.parentTraceId !== undefined)
      return `its parent ${problem.parentSpanId} is in another trace, ${problem.parentTraceId}`;
    return `its ${problem.remote ? "remote " : ""}parent ${problem.parentSpanId} was not recorded`;
  }
  if (problem.kind === "open") return "it was started and has not ended";
  if (problem.kind === "cycle") return "it is its own ancestor";
  if (problem.kind === "root") return `it has no parent, and neither has ${problem.of}`;
  return problem.of === problem.spanId
    ? "another span has the same ID"
    : `the same task has the span ${problem.of} too`;
}

/** The span of the same task that was there before, if there was one; otherwise `node` is noted as the first. */
function firstOfTask({ span, kind, spanId, parentSpanId }: SpanNode, seen: Map<string, string>): string | undefined {
  const attributes = span.attributes ?? {};
  const isExecution = kind === server && attributes[ATTR_TYPE] === TYPE_ORCHESTRATION;
  if (!isExecution && attributes[ATTR_TASK_ID] === undefined) return undefined;
  // With the parent: task IDs begin anew in each execution, and not every span says whose it is.
  const identity = [ATTR_TYPE, ATTR_TASK_INSTANCE_ID, ATTR_TASK_EXECUTION_ID, ATTR_TASK_ID].map((key) =>
    String(attributes[key]),
  );
  const task = JSON.stringify([parentSpanId, ...identity]);
  const first = seen.get(task);
  if (first === undefined) seen.set(task, spanId);
  return first;
}

/**
 * What a trace still waits for, in words: a task that was sent off has a span where it was, and one where it runs.
 */
export function missingFrom(trace: TraceTree): readonly string[] {
  return sentOffAlone(trace).map(
    ({ name, kind, spanId }) =>
      `missing: the SERVER span of what ${name} ${kindName(kind).toUpperCase()} ${spanId} sent off`,
  );
}

/** The spans of tasks that were sent off, and whose run has no span. */
export function sentOffAlone({ nodes }: TraceTree): readonly SpanNode[] {
  const runs = new Set(nodes.filter(({ kind }) => kind === server).map(({ parentSpanId }) => parentSpanId));
  return nodes.filter((node) => isSentOff(node, node.span.attributes ?? {}) && !runs.has(node.spanId));
}

function isSentOff({ kind }: SpanNode, attributes: Readonly<Record<string, unknown>>): boolean {
  const type = attributes[ATTR_TYPE];
  return (
    (kind === client && type === TYPE_ACTIVITY) ||
    ((kind === client || kind === producer) && type === TYPE_ORCHESTRATION)
  );
}
