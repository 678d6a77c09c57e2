import type * as Proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import type { EpisodeHistory, EpisodeOutcome, EpisodeRun, ScheduledTask, SentMessage, TaskFailure, TraceContext } from "../pipeline/index.ts";

/** The Durable Task protocol's messages, read and written in durable terms. */

type Timestamp = ReturnType<Proto.HistoryEvent["getTimestamp"]>;

// The year 10000: later times have no nanoseconds in 64 bits, or no date at all.
const endOfTime = 253_402_300_800;

/** The time, or `undefined` where a backend sent none, or what some put in its place: zero, or no time at all (contract.md X3). */
export function timeOf(timestamp: Timestamp): Date | undefined {
  const seconds = timestamp?.getSeconds() ?? 0;
  if (timestamp === undefined || seconds < 0 || seconds >= endOfTime || (seconds === 0 && timestamp.getNanos() === 0)) return undefined;
  return timestamp.toDate();
}

/** A map of tags as a frozen object; keys such as `__proto__` are tags like any other. */
export function tagsOf(map: { forEach(callback: (value: string, key: string) => void): void }): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  map.forEach((value, key) => entries.push([key, value]));
  return Object.freeze(Object.fromEntries(entries));
}

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
  return {
    type: details?.getErrortype() || "Error",
    message: details?.getErrormessage() ?? "",
    stack: details?.getStacktrace()?.getValue(),
    ...(inner === undefined ? {} : { cause: failureOf(inner, causes - 1) }),
  };
}

/**
 * `failure` of an orchestration with the failure of its task as the last cause, where that was not caught: the error that
 * the SDK throws for it carries its message and names the task, but records none of its causes.
 */
function withFailedTask(failure: TaskFailure, history: EpisodeHistory): TaskFailure {
  if (failure.cause !== undefined) return { ...failure, cause: withFailedTask(failure.cause, history) };
  if (!errorsOfTasks.has(failure.type)) return failure;
  const named = / task #(\d{1,10}) failed: /.exec(failure.message);
  const cause = named === null ? undefined : history.failureOfTask(Number(named[1]));
  if (named === null || cause === undefined) return failure;
  return failure.message.startsWith(cause.message, named.index + named[0].length) ? { ...failure, cause } : failure;
}

// What the SDK (0.4) throws for one task, and for a `whenAll`, whose message names the first that failed.
const errorsOfTasks: ReadonlySet<string> = new Set(["TaskFailedError", "AggregateError"]);

/** What `actions` schedule, in the episode that `run` ran. */
export function scheduledBy(actions: readonly Proto.OrchestratorAction[], run: EpisodeRun | undefined): ScheduledTask[] {
  return actions.flatMap((action) => scheduledTask(action, run) ?? []);
}

// The SDK keeps a task that it retries among the pending ones, under the ID of its latest attempt.
interface PendingTasks {
  readonly _pendingTasks?: Readonly<Record<number, { readonly attemptCount?: number } | undefined>>;
}

function scheduledTask(action: Proto.OrchestratorAction, run: EpisodeRun | undefined): ScheduledTask | undefined {
  const activity = action.getScheduletask();
  const child = action.getCreatesuborchestration();
  const message = activity ?? child;
  const notYet = { taskId: action.getId(), scheduledAt: undefined, traceContext: undefined };
  if (message === undefined) {
    const call = action.getSendentitymessage()?.getEntityoperationcalled();
    if (call !== undefined) {
      return { ...notYet, type: "entity_call", name: call.getOperation(), version: undefined, instanceId: call.getTargetinstanceid()?.getValue() };
    }
    const isLock = action.getSendentitymessage()?.hasEntitylockrequested() ?? false;
    return isLock ? { ...notYet, type: "entity_lock", name: "", version: undefined } : undefined;
  }
  return {
    ...notYet,
    type: activity === undefined ? "sub_orchestration" : "activity",
    name: message.getName(),
    version: message.getVersion()?.getValue(),
    instanceId: child?.getInstanceid(),
    attempt: (run?.orchestrationContext as PendingTasks | undefined)?._pendingTasks?.[action.getId()]?.attemptCount ?? 1,
    carry: (context) => message.setParenttracecontext(traceContextMessage(context)),
  };
}

/** What `actions` send. */
export function sentBy(actions: readonly Proto.OrchestratorAction[]): SentMessage[] {
  return actions.flatMap((action): SentMessage | readonly [] => {
    const taskId = action.getId();
    const event = action.getSendevent();
    if (event !== undefined) return { type: "event", taskId, name: event.getName(), target: event.getInstance()?.getInstanceid() ?? "" };
    const signal = action.getSendentitymessage()?.getEntityoperationsignaled();
    if (signal === undefined) return [];
    return { type: "entity_signal", taskId, name: signal.getOperation(), target: signal.getTargetinstanceid()?.getValue() ?? "" };
  });
}

/** How an episode of that history ended, which returned `actions`. */
export function outcomeOf(actions: readonly Proto.OrchestratorAction[], history: EpisodeHistory): EpisodeOutcome {
  if (actions.some((action) => action.hasRewindorchestration())) return { status: "rewound" };
  const complete = actions.find((action) => action.hasCompleteorchestration())?.getCompleteorchestration();
  if (complete === undefined) return { status: "waiting" };
  switch (complete.getOrchestrationstatus()) {
    case proto.OrchestrationStatus.ORCHESTRATION_STATUS_FAILED:
      return { status: "failed", failure: withFailedTask(failureOf(complete.getFailuredetails()), history) };
    case proto.OrchestrationStatus.ORCHESTRATION_STATUS_TERMINATED:
    case proto.OrchestrationStatus.ORCHESTRATION_STATUS_CANCELED:
      return { status: "terminated" };
    case proto.OrchestrationStatus.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
      return { status: "continued_as_new" };
    default:
      return { status: "completed" };
  }
}

export function orchestrationTraceContextMessage(spanId: string, startTime: Date): Proto.OrchestrationTraceContext {
  const message = new proto.OrchestrationTraceContext();
  message.setSpanid(stringMessage(spanId));
  message.setSpanstarttime(timestamps.Timestamp.fromDate(startTime));
  return message;
}

/**
 * A rewind rewrites the history from the request's, from which the trace context may have been taken: the execution that
 * follows needs it.
 */
export function restoreTraceContext(actions: readonly Proto.OrchestratorAction[], context: TraceContext | undefined): void {
  if (context === undefined) return;
  for (const action of actions) {
    for (const event of action.getRewindorchestration()?.getNewhistoryList() ?? []) {
      const started = event.getExecutionstarted();
      if (started?.hasParenttracecontext() === false) started.setParenttracecontext(traceContextMessage(context));
    }
  }
}

function traceContextMessage({ traceparent, tracestate }: TraceContext): Proto.TraceContext {
  const message = new proto.TraceContext();
  message.setTraceparent(traceparent);
  message.setSpanid(traceparent.split("-")[2] ?? "");
  if (tracestate !== undefined) message.setTracestate(stringMessage(tracestate));
  return message;
}

function stringMessage(value: string): InstanceType<typeof wrappers.StringValue> {
  const message = new wrappers.StringValue();
  message.setValue(value);
  return message;
}
