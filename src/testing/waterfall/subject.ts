import {
  ATTR_PARENT_INSTANCE_ID,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TYPE,
  TYPE_CREATE_ORCHESTRATION,
  TYPE_ORCHESTRATION,
} from "../../telemetry/semconv.ts";
import { printable } from "./display-width.ts";
import type { SpanNode, TraceTree } from "./span-tree.ts";

const server = 1;

/** What a trace is about. */
export interface Subject {
  readonly name: string;
  readonly instanceId: string | undefined;
}

/** A trace's first orchestration, or its first span if it has none. */
export function subjectOf({ nodes }: TraceTree): Subject {
  const runs = nodes.filter(({ kind, span }) => kind === server && span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION);
  // What has not finished has no span of its own yet: the one that sent it off knows its ID, and sub-orchestrations have others.
  const sentOff = nodes.find(isCreation);
  const top = runs.find(({ span }) => span.attributes?.[ATTR_PARENT_INSTANCE_ID] === undefined);
  const found = top ?? sentOff ?? runs[0] ?? nodes[0];
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

/** Whether a client sends off an orchestration with it: the kind depends on the client's SDK, and the name does not. */
export function isCreation({ name, span }: SpanNode): boolean {
  return name.startsWith(TYPE_CREATE_ORCHESTRATION) && span.attributes?.[ATTR_TYPE] === TYPE_ORCHESTRATION;
}
