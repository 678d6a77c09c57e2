import { sentOffAlone } from "../testing/recorder/trace-problems.ts";
import { ATTR_PARENT_INSTANCE_ID, ATTR_TASK_INSTANCE_ID, ATTR_TYPE, TYPE_ORCHESTRATION } from "../telemetry/semconv.ts";
import { kindName } from "../testing/waterfall/rows.ts";
import type { FinishedSpan, SpanNode, TraceTree } from "../testing/waterfall/span-tree.ts";
import { isCreation } from "../testing/waterfall/subject.ts";

/** What has not come to its end, as far as its trace says. */
export interface Waiting {
  /**
   * - `orchestration`: it has spans, and no span of its own, which comes when it finishes.
   * - `not run`: it was sent off, and there is no span of its run.
   * - `open`: its span has no end.
   */
  readonly what: "orchestration" | "not run" | "open";
  readonly name: string;
  readonly instanceId: string | undefined;
  /** When something happened last, in nanoseconds since the epoch. */
  readonly since: bigint;
  /** How many spans are below the span that is missing. */
  readonly spans: number;
}

/** What a trace waits for. A span that was lost looks the same: the trace can't say which it is. */
export function waitingIn<T extends FinishedSpan>(
  trace: TraceTree<T>,
  isOpen: (span: T) => boolean,
  remoteParents: ReadonlySet<string>,
): readonly Waiting[] {
  const siblings = new Map<string, SpanNode[]>();
  for (const node of trace.roots) {
    const attributes = node.span.attributes ?? {};
    if (node.parentage === "root" || node.parentage === "cycle" || attributes[ATTR_TYPE] === undefined) continue;
    // Something called from outside, and nothing that an orchestration waits for.
    if (isOrchestrationRun(node) || isCreation(node)) continue;
    const { parentSpanId = "" } = node;
    if (!remoteParents.has(parentSpanId)) collect(siblings, parentSpanId, [node]);
  }
  // The missing parent is the orchestration, or a call of it that has no span yet: such calls are several.
  const unfinished = new Map<string, SpanNode[]>();
  const finished = new Set(trace.nodes.filter(isOrchestrationRun).map(instanceOf));
  for (const [parent, nodes] of siblings) {
    const instanceId = orchestrationOf(nodes);
    // Runs alone, of an orchestration that has its span: what was lost is the span of the call.
    const isCallLost = finished.has(instanceId) && nodes.every(({ kind }) => kindName(kind) === "server");
    if (!isCallLost) collect(unfinished, instanceId ?? parent, nodes);
  }
  const found: Waiting[] = [...unfinished.values()].map((nodes) => {
    const last = nodes.reduce((latest, node) => (endOf(node) > endOf(latest) ? node : latest));
    return {
      what: "orchestration",
      name: last.name,
      instanceId: orchestrationOf(nodes),
      since: endOf(last),
      spans: nodes.length,
    };
  });
  const instances = new Set(found.map(({ instanceId }) => instanceId));
  for (const node of sentOffAlone(trace)) {
    const instanceId = instanceOf(node);
    const isUnfinished = instanceId !== undefined && instances.has(instanceId);
    if (isUnfinished && node.span.attributes?.[ATTR_TYPE] !== "activity") continue;
    found.push({ what: "not run", name: nameOf(node), instanceId, since: node.end ?? node.start, spans: 0 });
  }
  for (const node of trace.nodes) {
    if (!isOpen(node.span)) continue;
    found.push({ what: "open", name: nameOf(node), instanceId: instanceOf(node), since: node.start, spans: 0 });
  }
  return found;
}

function collect(groups: Map<string, SpanNode[]>, key: string, nodes: readonly SpanNode[]): void {
  const known = groups.get(key);
  if (known === undefined) groups.set(key, [...nodes]);
  else for (const node of nodes) known.push(node);
}

/** The instance ID of the orchestration whose children these are. */
function orchestrationOf(nodes: readonly SpanNode[]): string | undefined {
  for (const node of nodes) {
    const isCall = kindName(node.kind) === "client" && node.span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION;
    const found = isCall ? node.children.map(parentOf).find((id) => id !== undefined) : instanceOf(node);
    if (found !== undefined) return found;
  }
  return undefined;
}

function parentOf({ span }: SpanNode): string | undefined {
  const id = span.attributes?.[ATTR_PARENT_INSTANCE_ID];
  return typeof id === "string" ? id : undefined;
}

function isOrchestrationRun({ kind, span }: SpanNode): boolean {
  return kindName(kind) === "server" && span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION;
}

function instanceOf({ span }: SpanNode): string | undefined {
  const id = span.attributes?.[ATTR_TASK_INSTANCE_ID];
  return typeof id === "string" ? id : undefined;
}

function nameOf({ name, kind }: SpanNode): string {
  return `${name} ${kindName(kind)}`;
}

function endOf(node: SpanNode): bigint {
  return node.end ?? node.start;
}
