import type { EpisodeResponse, MiddlewareObject, OrchestrationWorkItem, WorkItem } from "../../src/pipeline/index.ts";
import { CarriedOrigin, originOfTask, type Origin } from "../../src/telemetry/origins.ts";
import { baggagePrefix, carriedBaggage } from "./baggage.ts";
import { isolated } from "./faults.ts";
import { checkPropagateOptions, type PropagateOptions } from "./options.ts";

export { baggageTags } from "./baggage.ts";
export type { PropagateOptions } from "./options.ts";

// Carries what the task's own messages do not contain (telemetry.md S10).
const originTag = "durable-telemetry.origin";
// A tag is in the history of the orchestration, in the request, and in each episode of a sub-orchestration (telemetry.md K4).
const longest = 1024;

/**
 * The middlewares that hand tags and baggage of an orchestration to its activities and sub-orchestrations: the first
 * belongs outside of all others, the second inside of `tracing`.
 *
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 */
export function propagation(options: PropagateOptions): {
  outer: MiddlewareObject;
  inner: readonly MiddlewareObject[];
} {
  checkPropagateOptions(options);
  const { tags = [], baggage = [] } = options;
  const names = [...tags, ...baggage.map((key) => `${baggagePrefix}${key}`)];
  const outer: MiddlewareObject = {
    name: "propagation",
    workItem: (item) => {
      // An orchestration without a parent is nobody's task, whatever its tags say.
      const isTask = item.kind === "activity" || item.parent !== undefined;
      const origin = isTask ? readOrigin(item.tags[originTag]) : undefined;
      if (origin !== undefined) item.features.set(CarriedOrigin, origin);
      if (item.kind === "activity") return undefined;
      return { onResponse: (response) => handOn(item, response as EpisodeResponse, names) };
    },
  };
  return { outer, inner: baggage.length === 0 ? [] : [carriedBaggage(baggage)] };
}

const warnedOfProtocol = new WeakSet<WorkItem["report"]>();

function handOn(item: OrchestrationWorkItem, { scheduled }: EpisodeResponse, names: readonly string[]): void {
  if (scheduled.length === 0) return;
  const handed = tagsToHandOn(item, names);
  for (const task of scheduled) {
    if (task.type !== "activity" && task.type !== "sub_orchestration") continue;
    if (task.setTag === undefined) {
      warnOfProtocol(item);
      return;
    }
    for (const [name, value] of handed) task.setTag(name, value, false);
    const origin = originOfTask(item, task);
    if (origin !== undefined) task.setTag(originTag, written(origin), true);
  }
}

function tagsToHandOn(item: OrchestrationWorkItem, names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((name) => {
    const value = Object.hasOwn(item.tags, name) ? item.tags[name] : undefined;
    if (value === undefined) return [];
    if (value.length <= longest) return [[name, value] as const];
    isolated.fault(`the tag "${name}" was not handed on`, new RangeError(`it is longer than ${longest} characters`));
    return [];
  });
}

function warnOfProtocol(item: OrchestrationWorkItem): void {
  if (warnedOfProtocol.has(item.report)) return;
  warnedOfProtocol.add(item.report);
  item.report("propagate: this SDK's protocol has no tags on tasks, so that nothing is handed on.");
}

function written({ attempt, mayRetry, root }: Origin): string {
  const parts = new URLSearchParams();
  if (attempt !== undefined) parts.set("attempt", String(attempt));
  if (mayRetry === true) parts.set("retry", "1");
  if (root !== undefined && root.length <= longest) parts.set("root", root);
  return parts.toString();
}

function readOrigin(tag: string | undefined): Origin | undefined {
  if (tag === undefined) return undefined;
  const parts = new URLSearchParams(tag);
  const attempt = Number(parts.get("attempt"));
  return {
    attempt: Number.isSafeInteger(attempt) && attempt > 0 ? attempt : undefined,
    mayRetry: parts.get("retry") === "1",
    root: parts.get("root") ?? undefined,
  };
}
