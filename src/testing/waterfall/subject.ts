import { ATTR_TASK_INSTANCE_ID, ATTR_TYPE, TYPE_ORCHESTRATION } from "../../telemetry/semconv.ts";
import { printable } from "./display-width.ts";
import type { TraceTree } from "./span-tree.ts";

const server = 1;

/** What a trace is about. */
export interface Subject {
  readonly name: string;
  readonly instanceId: string | undefined;
}

/** A trace's first orchestration, or its first span if it has none. */
export function subjectOf({ nodes }: TraceTree): Subject {
  const found = nodes.find(({ kind, span }) => kind === server && span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION);
  const instanceId = found?.span.attributes?.[ATTR_TASK_INSTANCE_ID];
  return {
    name: printable((found ?? nodes[0])?.name ?? ""),
    instanceId: typeof instanceId === "string" ? printable(instanceId) : undefined,
  };
}

/** The same in one string. */
export function subjectText(trace: TraceTree): string {
  const { name, instanceId } = subjectOf(trace);
  return instanceId === undefined ? name : `${name} · ${instanceId}`;
}
