import {
  ATTR_PARENT_INSTANCE_ID,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TYPE,
  TYPE_CREATE_ORCHESTRATION,
  TYPE_ORCHESTRATION,
} from "../../telemetry/semconv.ts";
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
  const [first] = nodes;
  const runs = nodes.filter(({ kind, span }) => kind === server && span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION);
  // What has not finished has no span of its own yet: the one that sent it off knows its ID, and sub-orchestrations have others.
  const isSentOff = first?.span.attributes?.[ATTR_TYPE] === TYPE_CREATE_ORCHESTRATION;
  const top = runs.find(({ span }) => span.attributes?.[ATTR_PARENT_INSTANCE_ID] === undefined);
  const found = top ?? (isSentOff ? first : (runs[0] ?? first));
  const instanceId = found?.span.attributes?.[ATTR_TASK_INSTANCE_ID];
  return {
    name: printable(found?.name ?? ""),
    instanceId: typeof instanceId === "string" ? printable(instanceId) : undefined,
  };
}

/** The same in one string. */
export function subjectText(trace: TraceTree): string {
  const { name, instanceId } = subjectOf(trace);
  return instanceId === undefined ? name : `${name} · ${instanceId}`;
}
