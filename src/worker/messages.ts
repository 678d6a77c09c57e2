import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type * as Proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type {
  Continuation,
  CreatedTimer,
  EpisodeHistory,
  EpisodeOutcome,
  ScheduledTask,
  SentMessage,
  TaskFailure,
  TraceContext,
} from "../pipeline/index.ts";
import { isTraceparent } from "../telemetry/identity.ts";
import type { OrchestratorAction } from "./protocol.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

/**
 * Reads and writes the Durable Task protocol's messages. A process can load several copies of the SDK, each with its own
 * message classes, and a bundle has no path to any of them. So messages are created with the classes of the worker's own
 * copy, and comparisons use the protocol's numbers.
 */

type Timestamp = ReturnType<Proto.HistoryEvent["getTimestamp"]>;

// The year 10000: later times have no nanoseconds in 64 bits, or no date at all.
const endOfTime = 253_402_300_800;

/** The time, or `undefined` where a backend sent none, or what some put in its place: zero, or no time at all (contract.md X3). */
export function timeOf(timestamp: Timestamp): Date | undefined {
  const seconds = timestamp?.getSeconds() ?? 0;
  if (timestamp === undefined || seconds < 0 || seconds >= endOfTime || (seconds === 0 && timestamp.getNanos() === 0))
    return undefined;
  return timestamp.toDate();
}

/** A map of tags as a frozen object; keys such as `__proto__` are tags like any other. */
export function tagsOf(
  map: { forEach(callback: (value: string, key: string) => void): void } | undefined,
): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  map?.forEach((value, key) => entries.push([key, value]));
  return entries.length === 0 ? noTags : Object.freeze(Object.fromEntries(entries));
}

/** The tags of what has none. */
export const noTags: Readonly<Record<string, string>> = Object.freeze({});

export function traceContextOf(message: Proto.TraceContext | undefined): TraceContext | undefined {
  const traceparent = message?.getTraceparent();
  if (traceparent === undefined || traceparent === "") return undefined;
  return { traceparent, tracestate: message?.getTracestate()?.getValue() };
}

// The SDK records ten causes below a failure; other SDKs may record more.
const causeLimit = 32;

/** A failure with its causes. */
export function failureOf(details: Proto.TaskFailureDetails | undefined, causes: number = causeLimit): TaskFailure {
  const inner = causes > 0 ? details?.getInnerfailure() : undefined;
  const type = details?.getErrortype() || "Error";
  return {
    type,
    message:
      details?.getErrormessage() ||
      (notErrors.has(type) ? `a ${type} was thrown, which is no error: the SDK did not record it` : ""),
    stack: details?.getStacktrace()?.getValue(),
    ...(inner === undefined ? {} : { cause: failureOf(inner, causes - 1) }),
  };
}

// Dapr's SDKs record the message of whatever was thrown, and only errors have one.
const notErrors: ReadonlySet<string> = new Set(["String", "Number", "Boolean", "BigInt", "Symbol", "Object", "Array"]);

/**
 * `failure` of an orchestration with the failure of its task as the last cause, where that was not caught: the error that
 * the SDK throws for it has its message and names the task, but records none of its causes.
 */
function withFailedTask(failure: TaskFailure, history: EpisodeHistory): TaskFailure {
  if (failure.cause !== undefined) return { ...failure, cause: withFailedTask(failure.cause, history) };
  if (!errorsOfTasks.has(failure.type)) return failure;
  const named = / task #(\d{1,10}) failed: /.exec(failure.message);
  if (named === null) return failure;
  const taskId = Number(named[1]);
  const cause = history.failuresOf([taskId]).get(taskId);
  if (cause === undefined) return failure;
  return failure.message.startsWith(cause.message, named.index + named[0].length) ? { ...failure, cause } : failure;
}

// What the SDK (0.4) throws for one task, and for a `whenAll`, whose message names the first that failed.
const errorsOfTasks: ReadonlySet<string> = new Set(["TaskFailedError", "AggregateError"]);

/** What `actions` schedule, in the episode whose code ran with `context`. */
export function scheduledBy(
  actions: readonly OrchestratorAction[],
  context: OrchestrationContext | undefined,
  carry: CarryTraceContext = carryInAction,
): ScheduledTask[] {
  const pending = readInternal(context, orchestrationContextInternals.pendingTasks) as PendingTasks | undefined;
  const tasks: ScheduledTask[] = [];
  for (const action of actions) {
    const task = scheduledTask(action, pending, carry);
    if (task !== undefined) tasks.push(task);
  }
  return tasks;
}

/** Has the trace context of a task leave with the action that schedules it. */
export type CarryTraceContext = (action: OrchestratorAction, context: TraceContext) => void;

function carryInAction(action: OrchestratorAction, context: TraceContext): void {
  const message = action.getScheduletask() ?? action.getCreatesuborchestration();
  message?.setParenttracecontext(traceContextMessage(message, taskTraceContextField, context));
}

type PendingTasks = Readonly<Record<number, PendingTask | undefined>>;

/** A pending task; those with a retry policy or handler count their attempts. */
export interface PendingTask {
  readonly attemptCount?: number;
  readonly retryPolicy?: { readonly maxNumberOfAttempts?: number };
}

/** Whether a task may be retried if this attempt fails. */
export function mayRetry({ attemptCount, retryPolicy }: PendingTask): boolean {
  if (attemptCount === undefined) return false;
  // A retry handler decides when the attempt has failed.
  return attemptCount < (retryPolicy?.maxNumberOfAttempts ?? Number.POSITIVE_INFINITY);
}

function scheduledTask(
  action: OrchestratorAction,
  pending: PendingTasks | undefined,
  carry: CarryTraceContext,
): ScheduledTask | undefined {
  const activity = action.getScheduletask();
  if (activity !== undefined) return new ScheduledAction("activity", action, activity, undefined, pending, carry);
  const child = action.getCreatesuborchestration();
  if (child !== undefined)
    return new ScheduledAction("sub_orchestration", action, child, child.getInstanceid(), pending, carry);
  const notYet = { taskId: action.getId(), scheduledAt: undefined, traceContext: undefined, version: undefined };
  const call = action.getSendentitymessage?.()?.getEntityoperationcalled();
  if (call !== undefined)
    return {
      ...notYet,
      type: "entity_call",
      name: call.getOperation(),
      instanceId: call.getTargetinstanceid()?.getValue(),
    };
  const isLock = action.getSendentitymessage?.()?.hasEntitylockrequested() ?? false;
  return isLock ? { ...notYet, type: "entity_lock", name: "" } : undefined;
}

/** Has a tag leave with a message; it takes the place of one with that name only if it `replaces` that. */
function addTag(tags: TagsMap, name: string, value: string, replaces: boolean): void {
  // Anything else would fail where the response is serialized, and with it the work item.
  for (const part of [name, value] as readonly unknown[])
    if (typeof part !== "string" || !part.isWellFormed())
      throw new TypeError("setTag: the name and the value must be strings without lone surrogates.");
  // The `has` of google-protobuf (3.21) finds `constructor` in every map.
  if (replaces || tags.get(name) === undefined) tags.set(name, value);
}

type TagsMap = ReturnType<Proto.ScheduleTaskAction["getTagsMap"]>;
type TaggedMessage = Proto.ScheduleTaskAction | Proto.CreateSubOrchestrationAction;

function setTag(this: ScheduledTask, name: string, value: string, replaces: boolean): void {
  const tags = (this as ScheduledAction).message?.getTagsMap();
  if (tags !== undefined) addTag(tags, name, value, replaces);
}

/** A task whose action has not left. */
class ScheduledAction implements ScheduledTask {
  readonly type: "activity" | "sub_orchestration";
  readonly taskId: number;
  readonly name: string;
  readonly version: string | undefined;
  readonly instanceId: string | undefined;
  readonly scheduledAt: undefined;
  readonly traceContext: undefined;
  readonly attempt: number | undefined;
  readonly mayRetry: boolean | undefined;
  readonly #action: OrchestratorAction;
  readonly #carry: CarryTraceContext;
  readonly setTag?: NonNullable<ScheduledTask["setTag"]>;

  constructor(
    type: "activity" | "sub_orchestration",
    action: OrchestratorAction,
    message: Proto.ScheduleTaskAction | Proto.CreateSubOrchestrationAction,
    instanceId: string | undefined,
    pending: PendingTasks | undefined,
    carry: CarryTraceContext,
  ) {
    this.type = type;
    this.taskId = action.getId();
    this.name = message.getName();
    this.version = message.getVersion()?.getValue();
    this.instanceId = instanceId;
    // Without that table it is unknown (contract.md X3).
    const own = pending?.[this.taskId];
    this.attempt = pending === undefined ? undefined : (own?.attemptCount ?? 1);
    this.mayRetry = pending === undefined ? undefined : own !== undefined && mayRetry(own);
    this.#action = action;
    this.#carry = carry;
    // Dapr's protocol has no tags.
    if (typeof message.getTagsMap === "function") this.setTag = setTag;
  }

  get message(): TaggedMessage | undefined {
    return this.#action.getScheduletask() ?? this.#action.getCreatesuborchestration();
  }

  setTraceContext(context: TraceContext): void {
    if (!isTraceparent(context.traceparent))
      throw new TypeError("setTraceContext: traceparent must be that of a W3C trace context.");
    if (context.tracestate !== undefined && typeof context.tracestate !== "string")
      throw new TypeError("setTraceContext: tracestate must be a string.");
    this.#carry(this.#action, context);
  }
}

/** The timers that `actions` create. */
export function timersOf(actions: readonly OrchestratorAction[]): CreatedTimer[] {
  return actions.flatMap((action) => {
    const timer = action.getCreatetimer();
    return timer === undefined
      ? []
      : { taskId: action.getId(), createdAt: undefined, dueAt: timeOf(timer.getFireat()) };
  });
}

/** What `actions` send. */
export function sentBy(actions: readonly OrchestratorAction[]): SentMessage[] {
  const messages: SentMessage[] = [];
  for (const action of actions) {
    const message = sentMessage(action);
    if (message !== undefined) messages.push(message);
  }
  return messages;
}

function sentMessage(action: OrchestratorAction): SentMessage | undefined {
  const event = action.getSendevent();
  if (event !== undefined) {
    const target = event.getInstance()?.getInstanceid() ?? "";
    return { type: "event", taskId: action.getId(), name: event.getName(), target };
  }
  const signal = action.getSendentitymessage?.()?.getEntityoperationsignaled();
  if (signal === undefined) return undefined;
  const target = signal.getTargetinstanceid()?.getValue() ?? "";
  return { type: "entity_signal", taskId: action.getId(), name: signal.getOperation(), target };
}

/** The protocol's numbers for how an orchestration ended. */
export const orchestrationStatus = { continuedAsNew: 2, failed: 3, canceled: 4, terminated: 5 } as const;

/** How an episode of that history ended, which returned `actions`. */
export function outcomeOf(actions: readonly OrchestratorAction[], history: EpisodeHistory): EpisodeOutcome {
  if (actions.some((action) => action.hasRewindorchestration?.() ?? false)) return { status: "rewound" };
  const complete = actions.find((action) => action.hasCompleteorchestration())?.getCompleteorchestration();
  if (complete === undefined) return { status: "waiting" };
  const status: number = complete.getOrchestrationstatus();
  switch (status) {
    case orchestrationStatus.failed:
      return { status: "failed", failure: withFailedTask(failureOf(complete.getFailuredetails()), history) };
    case orchestrationStatus.terminated:
    case orchestrationStatus.canceled:
      return { status: "terminated" };
    case orchestrationStatus.continuedAsNew:
      return { status: "continued_as_new" };
    default:
      return { status: "completed" };
  }
}

/** The execution that continues this one as new; `undefined` if none does, or the protocol has no tags, as Dapr's. */
export function continuationOf(actions: readonly OrchestratorAction[]): Continuation | undefined {
  const complete = actions.find((action) => action.hasCompleteorchestration())?.getCompleteorchestration();
  const status: number | undefined = complete?.getOrchestrationstatus();
  if (status !== orchestrationStatus.continuedAsNew || typeof complete?.getTagsMap !== "function") return undefined;
  return { setTag: (name, value) => addTag(complete.getTagsMap(), name, value, false) };
}

/** The identity of an orchestration's span, for `response`. */
export function orchestrationTraceContextMessage(
  response: Proto.OrchestratorResponse,
  spanId: string,
  startTime: Date,
): Proto.OrchestrationTraceContext | undefined {
  const message = emptySpanContext(response);
  const seconds = Math.floor(startTime.getTime() / 1000);
  message?.getSpanid()?.setValue(spanId);
  message
    ?.getSpanstarttime()
    ?.setSeconds(seconds)
    .setNanos((startTime.getTime() - seconds * 1000) * 1_000_000);
  return message;
}

// Makes messages like one that was decoded, by the class of the response that they go into.
const spanContextMakers = new WeakMap<object, () => Proto.OrchestrationTraceContext>();

function emptySpanContext(response: Proto.OrchestratorResponse): Proto.OrchestrationTraceContext | undefined {
  const make = spanContextMakers.get(response.constructor);
  if (make !== undefined) return make();
  const message = decoded(
    response,
    field(responseTraceContextField, [...field(1, []), ...field(2, [])]),
  ).getOrchestrationtracecontext();
  const [ContextClass, StringClass, TimestampClass] = [message, message?.getSpanid(), message?.getSpanstarttime()].map(
    (each) => each?.constructor,
  );
  if (ContextClass === undefined || StringClass === undefined || TimestampClass === undefined) return message;
  type Make<T> = new () => T;
  const [Context, Text, Time] = [
    ContextClass as Make<Proto.OrchestrationTraceContext>,
    StringClass as Make<NonNullable<ReturnType<Proto.OrchestrationTraceContext["getSpanid"]>>>,
    TimestampClass as Make<NonNullable<ReturnType<Proto.OrchestrationTraceContext["getSpanstarttime"]>>>,
  ];
  spanContextMakers.set(response.constructor, () => new Context().setSpanid(new Text()).setSpanstarttime(new Time()));
  return message;
}

/**
 * A rewind rewrites the history from the request's, from which the trace context may have been taken: the execution that
 * follows needs it.
 */
export function restoreTraceContext(actions: readonly OrchestratorAction[], context: TraceContext | undefined): void {
  if (context === undefined) return;
  for (const action of actions) {
    for (const event of action.getRewindorchestration?.()?.getNewhistoryList() ?? []) {
      const started = event.getExecutionstarted();
      if (started?.hasParenttracecontext() === false) {
        started.setParenttracecontext(traceContextMessage(started, startedTraceContextField, context));
      }
    }
  }
}

// The numbers of the fields that hold a trace context, in the protocol.
const taskTraceContextField = 5;
const startedTraceContextField = 7;
const responseTraceContextField = 6;

type Traced = Proto.ScheduleTaskAction | Proto.CreateSubOrchestrationAction | Proto.ExecutionStartedEvent;

// By the class of the message that they go into. Decoding takes ten times as long as a constructor.
const traceContextClasses = new WeakMap<object, new () => Proto.TraceContext>();

// The trace context for the field of `owner` with that number.
function traceContextMessage(
  owner: Traced,
  number: number,
  { traceparent, tracestate }: TraceContext,
): Proto.TraceContext | undefined {
  const TraceContextClass = traceContextClasses.get(owner.constructor);
  const message =
    TraceContextClass !== undefined && tracestate === undefined
      ? new TraceContextClass()
      : decoded(owner, field(number, tracestate === undefined ? [] : field(3, []))).getParenttracecontext();
  if (message === undefined) return undefined;
  if (TraceContextClass === undefined)
    traceContextClasses.set(owner.constructor, message.constructor as new () => Proto.TraceContext);
  message.setTraceparent(traceparent);
  message.setSpanid(traceparent.slice(36, 52));
  if (tracestate !== undefined) message.getTracestate()?.setValue(tracestate);
  return message;
}

// A message of the class of `sample` with what `bytes` say: so what stands in it has the classes of the same copy.
function decoded<T extends object>(sample: T, bytes: readonly number[]): T {
  return (sample.constructor as unknown as { deserializeBinary(bytes: Uint8Array): T }).deserializeBinary(
    Uint8Array.from(bytes),
  );
}

// The bytes of a field that is a message, as the wire format has it.
function field(number: number, content: readonly number[]): readonly number[] {
  return [(number << 3) | 2, content.length, ...content];
}
