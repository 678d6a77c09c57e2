import {
  ATTR_TYPE,
  LOCK_REQUEST,
  TYPE_ACTIVITY,
  TYPE_EPISODE,
  TYPE_EVENT,
  TYPE_ORCHESTRATION,
  TYPE_ORCHESTRATION_EVENT,
  TYPE_SIGNAL_ENTITY,
  TYPE_TIMER,
  TYPE_WAIT,
} from "../../telemetry/semconv.ts";
import type { SpanNode } from "./span-tree.ts";

/** What a picture shows a span as. The order is that of the legend. */
export const categories = {
  orchestration: "orchestration",
  scheduled: "scheduled to completed",
  activity: "activity runs",
  wait: "waits",
  event: "event",
  code: "other code",
} as const;

export type Category = keyof typeof categories;

const server = 1;
const client = 2;
const producer = 3;

/** The category of a span of the Durable Task conventions, by its type and kind; all others are `code`. */
export function categoryOf({ name, kind, span }: SpanNode): Category {
  const type = span.attributes?.[ATTR_TYPE];
  if (type === TYPE_TIMER || type === TYPE_WAIT || name === LOCK_REQUEST) return "wait";
  if (type === TYPE_EVENT || type === TYPE_ORCHESTRATION_EVENT || type === TYPE_SIGNAL_ENTITY) return "event";
  if (type === undefined || type === TYPE_EPISODE) return "code";
  if (kind === client || kind === producer) return "scheduled";
  if (kind !== server) return "code";
  if (type === TYPE_ORCHESTRATION) return "orchestration";
  return type === TYPE_ACTIVITY ? "activity" : "code";
}
