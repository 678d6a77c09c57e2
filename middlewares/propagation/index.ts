import type { EpisodeResponse, MiddlewareObject, OrchestrationWorkItem, WorkItem } from "../../src/pipeline/index.ts";
import { CarriedOrigin, originOfTask, type Origin } from "../../src/telemetry/origins.ts";
import { baggagePrefix, carriedBaggage } from "./baggage.ts";
import { isolated } from "./faults.ts";
import { checkPropagateOptions, originTag, type PropagateOptions } from "./options.ts";

export { baggageTags } from "./baggage.ts";
export type { PropagateOptions } from "./options.ts";

// In bytes, of a name or a value (contract.md P3): a tag is in the history of the orchestration, in the request, and in each
// episode of a sub-orchestration.
const longest = 256;

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
  const { tags = [], baggage = [], origin: carriesOrigin = false } = options;
  const names = [...tags, ...baggage.map((key) => `${baggagePrefix}${key}`)];
  const outer: MiddlewareObject = {
    name: "propagation",
    workItem: (item) => {
      // An orchestration without a parent is nobody's task, whatever its tags say.
      const isTask = item.kind === "activity" || item.parent !== undefined;
      const origin = carriesOrigin && isTask ? readOrigin(item.tags[originTag]) : undefined;
      if (origin !== undefined) item.features.set(CarriedOrigin, origin);
      if (item.kind === "activity") return undefined;
      return { onResponse: (response) => handOn(item, response as EpisodeResponse, names, carriesOrigin) };
    },
  };
  return { outer, inner: baggage.length === 0 ? [] : [carriedBaggage(baggage)] };
}

const warnedOfProtocol = new WeakSet<WorkItem["report"]>();

function handOn(
  item: OrchestrationWorkItem,
  response: EpisodeResponse,
  names: readonly string[],
  carriesOrigin: boolean,
): void {
  const { continuation, scheduled } = response;
  if (scheduled.length === 0 && continuation === undefined) return;
  const handed = tagsToHandOn(item, names);
  for (const [name, value] of handed) continuation?.setTag(name, value);
  // The continued execution has the same parent, and is the same attempt.
  if (carriesOrigin && continuation !== undefined) {
    const own = item.tags[originTag];
    if (own !== undefined) continuation.setTag(originTag, own);
  }
  for (const task of scheduled) {
    if (task.type !== "activity" && task.type !== "sub_orchestration") continue;
    if (task.setTag === undefined) {
      warnOfProtocol(item);
      return;
    }
    for (const [name, value] of handed) task.setTag(name, value, false);
    const origin = carriesOrigin ? originOfTask(item, task) : undefined;
    if (origin !== undefined) task.setTag(originTag, written(origin), true);
  }
}

function tagsToHandOn(item: OrchestrationWorkItem, names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((name) => {
    const value = Object.hasOwn(item.tags, name) ? item.tags[name] : undefined;
    if (value === undefined) return [];
    const obstacle = obstacleIn(name) ?? obstacleIn(value);
    if (obstacle === undefined) return [[name, value] as const];
    isolated.fault(`the tag ${JSON.stringify(name.slice(0, longest))} was not handed on`, new RangeError(obstacle));
    return [];
  });
}

/** Why a name or a value can't travel (contract.md P3); `undefined` if it can. */
function obstacleIn(part: string): string | undefined {
  // No string has fewer bytes than characters.
  if (part.length > longest || Buffer.byteLength(part) > longest) return `it has more than ${longest} bytes`;
  return /\p{Cc}/u.test(part) ? "it has control characters" : undefined;
}

function warnOfProtocol(item: OrchestrationWorkItem): void {
  if (warnedOfProtocol.has(item.report)) return;
  warnedOfProtocol.add(item.report);
  item.report("propagate: this SDK's protocol has no tags on tasks, so that nothing is handed on.");
}

function written({ attempt, mayRetry, root }: Origin): string {
  const parts: string[] = [];
  if (attempt !== undefined) parts.push(`attempt=${attempt}`);
  if (mayRetry === true) parts.push("retry=1");
  if (root !== undefined) {
    const obstacle = obstacleIn(root);
    if (obstacle === undefined) parts.push(`root=${root}`);
    else isolated.fault("the instance ID of the root was not handed on", new RangeError(obstacle));
  }
  return parts.join("&");
}

// The root is last, and as it is: it may have any characters.
const originPattern = /^(?:attempt=(?<attempt>[1-9]\d{0,8}))?&?(?<retry>retry=1)?&?(?:root=(?<root>.*))?$/su;

function readOrigin(tag: string | undefined): Origin | undefined {
  const { attempt, retry, root } = originPattern.exec(tag ?? "")?.groups ?? {};
  if (attempt === undefined && root === undefined) return undefined;
  return { attempt: attempt === undefined ? undefined : Number(attempt), mayRetry: retry !== undefined, root };
}
