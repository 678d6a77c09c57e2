import type { Attributes } from "@opentelemetry/api";
import type {
  CreatedTimer,
  EpisodeResponse,
  OrchestrationWorkItem,
  ScheduledTask,
  TimerWait,
} from "../../src/pipeline/index.ts";
import { recordedEntry } from "../../src/telemetry/recorded-string.ts";
import {
  ATTR_WAITING_COUNT,
  ATTR_WAITING_EVENTS,
  ATTR_WAITING_SINCE,
  ATTR_WAITING_TASKS,
  ATTR_WAITING_TIMERS,
  logEvents,
} from "../../src/telemetry/semconv.ts";
import { logValueLimit } from "../../src/telemetry/value-limits.ts";
import { taskInWords, type LogEvent } from "./events.ts";
import type { Level } from "./write.ts";

// A list in a record has no more entries.
const longestList = 32;

/** Whether an episode may wait for more than tasks, at little cost: most steps of workflows do not. */
export function mayWait({ waits }: OrchestrationWorkItem): boolean {
  if (waits === undefined) return false;
  if (waits.hasTimers) return true;
  for (const { lostAt } of waits.openEvents) if (lostAt === undefined) return true;
  return false;
}

/**
 * What an episode ended waiting for (telemetry.md L5). Without `tasks` only if it waits for an external event or a timer:
 * activities and sub-orchestrations log their own records.
 *
 * @returns `undefined` if there is nothing to say.
 */
export function orchestrationWaiting(
  item: OrchestrationWorkItem,
  response: EpisodeResponse,
  level: Level,
  tasks: boolean,
  at: Date,
): LogEvent | undefined {
  const { waits } = item;
  if (waits === undefined) return undefined;
  const events: string[] = [];
  let eventCount = 0;
  let since: Date | undefined;
  for (const { name, lostAt, beganAt } of waits.openEvents) {
    if (lostAt !== undefined) continue;
    eventCount += 1;
    if (events.length < longestList) events.push(entry(name));
    // In the order in which they began.
    since ??= beganAt;
  }
  const outstanding = outstandingOf(item, response);
  if (!tasks && eventCount === 0 && outstanding.timers.length === 0) return undefined;
  const count = eventCount + outstanding.count;
  if (count === 0) return undefined;
  const attributes: Attributes = { [ATTR_WAITING_COUNT]: count };
  if (eventCount > 0) attributes[ATTR_WAITING_EVENTS] = events;
  if (since !== undefined) attributes[ATTR_WAITING_SINCE] = since.toISOString();
  if (outstanding.timers.length > 0) attributes[ATTR_WAITING_TIMERS] = outstanding.timers;
  if (outstanding.tasks.length > 0) attributes[ATTR_WAITING_TASKS] = outstanding.tasks;
  const named: string[] = [];
  for (const name of events) named.push(`event ${name}`);
  for (const due of outstanding.timers) named.push(`timer ${due}`);
  named.push(...outstanding.tasks);
  if (named.length > longestList) named.length = longestList;
  const more = count > named.length ? ` and ${count - named.length} more` : "";
  return {
    eventName: logEvents.orchestrationWaiting,
    level,
    line: `Orchestration ${item.name} waits for ${named.join(", ")}${more} (instance ${item.instanceId})`,
    attributes,
    at,
  };
}

const entry = (name: string): string => recordedEntry(name, logValueLimit());

/** The tasks and timers that are out, in words. */
interface Outstanding {
  readonly count: number;
  readonly tasks: readonly string[];
  readonly timers: readonly string[];
}

function outstandingOf(item: OrchestrationWorkItem, response: EpisodeResponse): Outstanding {
  const { scheduled } = response;
  const outstanding = item.waits?.outstanding ?? [];
  const [only] = scheduled;
  // What most steps wait for.
  if (only !== undefined && scheduled.length === 1 && outstanding.length === 1 && outstanding[0] === only.taskId)
    return { count: 1, tasks: [entry(taskInWords(only))], timers: [] };
  const tasks: string[] = [];
  const timers: string[] = [];
  const addTimer = ({ dueAt }: CreatedTimer): void => {
    if (timers.length < longestList) timers.push(dueAt?.toISOString() ?? "?");
  };
  const addTask = (task: ScheduledTask): void => {
    if (tasks.length < longestList) tasks.push(entry(taskInWords(task)));
  };
  const left = new Set(outstanding);
  for (const taskId of outstanding) if (isOver(item.waits?.timer(taskId))) left.delete(taskId);
  let count = left.size;
  for (const task of scheduled) {
    // The answers of entities are not counted there.
    if (!left.delete(task.taskId)) count += 1;
    addTask(task);
  }
  for (const timer of response.timers) if (left.delete(timer.taskId)) addTimer(timer);
  // The latest: a long history is not read to its beginning for the sake of a list that is cut.
  const older = item.history.scheduledAs([...left].slice(-longestList));
  for (const task of older.tasks) addTask(task);
  for (const timer of older.timers) addTimer(timer);
  return { count, tasks, timers };
}

// The code does not wait for it any more.
function isOver(timer: TimerWait | undefined): boolean {
  return timer?.lostAt !== undefined || timer?.canceledAt !== undefined;
}
