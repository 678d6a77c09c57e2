import type { Members } from "./members.ts";

/**
 * The non-public members of the SDKs that the adapters use. No other file names one. They are those of the published
 * `@microsoft/durabletask-js` 0.4.0 and of its main branch, the next release, and of Dapr's `@dapr/dapr` 3.18 and
 * `@dapr/durabletask-js` 1.0.
 */
export interface SdkInternal {
  readonly name: string;
  /** What the adapter uses it for. */
  readonly use: string;
  /** The first release that has it. */
  readonly since: string;
  /** What is lost without it. A member without this is required: a worker that lacks it is refused. */
  readonly lost?: string;
}

/** The members of one class of the SDK, by what the adapters call them. */
type Internals<TNames extends string> = Readonly<Record<TNames, SdkInternal>>;

/** `TaskHubGrpcWorker`. */
export const grpcWorkerInternals: Internals<
  "orchestrator" | "activity" | "registry" | "isRunning" | "logger" | "connect" | "history"
> = {
  orchestrator: {
    name: "_executeOrchestratorInternal",
    use: "runs one episode: (request, ..., stub, ...)",
    since: "0.4.0",
  },
  activity: { name: "_executeActivityInternal", use: "runs one activity: (request, ..., stub, ...)", since: "0.4.0" },
  registry: { name: "_registry", use: "has the registered functions", since: "0.4.0" },
  isRunning: {
    name: "_isRunning",
    use: "whether the worker runs",
    since: "0.4.0",
    lost: "middleware that is added while the worker runs is not refused",
  },
  logger: {
    name: "_logger",
    use: "is the worker's logger",
    since: "0.4.0",
    lost: "middleware and warnings log to the console",
  },
  connect: {
    name: "internalRunWorker",
    use: "opens the stream of work items: (client, ...)",
    since: "0.4.0",
    lost: "gRPC instrumentation records spans of the worker's own calls",
  },
  history: {
    name: "_streamOrchestrationHistory",
    use: "fetches a history that did not come with its request: (request, stub, signal)",
    since: "the next release",
    lost: "no middleware runs around an orchestration whose history comes as a stream",
  },
};

/** The worker of Dapr's SDKs, where it differs from the Durable Task SDK's. */
export const daprWorkerInternals: Internals<"orchestrator" | "activity" | "logger" | "correlation"> = {
  orchestrator: { name: "_executeOrchestrator", use: "runs one episode: (request, stub)", since: "@dapr/dapr 3.18" },
  activity: { name: "_executeActivity", use: "runs one activity: (request, stub)", since: "@dapr/dapr 3.18" },
  logger: {
    name: "logger",
    use: "is the worker's logger; @dapr/durabletask-js has none and writes to the console",
    since: "@dapr/dapr 3.18",
    lost: "warnings go to the console",
  },
  correlation: {
    name: "getCorrelationdata",
    use: "reads the field of a start event that holds its trace context in Dapr's protocol",
    since: "@dapr/dapr 3.18",
    lost: "orchestrations do not join the trace of whoever started them",
  },
};

/** `WorkflowRuntime`. */
export const daprRuntimeInternals: Internals<"worker"> = {
  worker: { name: "worker", use: "is its worker", since: "@dapr/dapr 3.18" },
};

/** `DaprWorkflowClient`, and the client inside it, `TaskHubGrpcClient`. */
export const daprClientInternals: Internals<"inner" | "schedule" | "stub" | "start"> = {
  inner: { name: "_innerClient", use: "is the client inside a DaprWorkflowClient", since: "@dapr/dapr 3.18" },
  schedule: {
    name: "scheduleNewOrchestration",
    use: "schedules an orchestration: it shows what is a client",
    since: "@dapr/dapr 3.18",
  },
  stub: { name: "_stub", use: "makes the calls", since: "@dapr/dapr 3.18" },
  start: { name: "startInstance", use: "sends the request: (request, …, callback)", since: "@dapr/dapr 3.18" },
};

/** The context of an orchestration in Dapr's SDKs. */
export const daprContextInternals: Internals<"fail"> = {
  fail: {
    name: "setFailed",
    use: "fails the orchestration: (what was thrown)",
    since: "@dapr/dapr 3.18",
    lost: "failures of orchestrations that throw no error have no message",
  },
};

/** The gRPC client that a worker connects with. */
export const grpcClientInternals: Internals<"stub"> = {
  stub: {
    name: "stub",
    use: "makes the calls",
    since: "0.4.0",
    lost: "gRPC instrumentation records spans of the worker's own calls",
  },
};

/** The stub that a worker hands to the two methods that run work items: it is recognized by these. */
export const stubInternals: Internals<"getWorkItems" | "completeOrchestrator" | "completeActivity"> = {
  getWorkItems: { name: "getWorkItems", use: "opens the stream of work items: (request, …)", since: "0.4.0" },
  completeOrchestrator: {
    name: "completeOrchestratorTask",
    use: "sends an episode's response: (response, ..., callback)",
    since: "0.4.0",
    lost: "telemetry does not see what an episode schedules, nor how it ends",
  },
  completeActivity: {
    name: "completeActivityTask",
    use: "sends an activity's response: (response, ..., callback)",
    since: "0.4.0",
    lost: "telemetry does not see how an activity ends",
  },
};

/** The registry of a worker. */
export const registryInternals: Internals<"getOrchestrator" | "getActivity"> = {
  getOrchestrator: { name: "getOrchestrator", use: "finds an orchestrator: (name, ...)", since: "0.4.0" },
  getActivity: { name: "getActivity", use: "finds an activity function: (name, ...)", since: "0.4.0" },
};

/** The context of an orchestration. */
export const orchestrationContextInternals: Internals<
  "pendingTasks" | "customStatus" | "previousTask" | "sequenceNumber"
> = {
  pendingTasks: {
    name: "_pendingTasks",
    use: "has the pending tasks by their IDs; one with a retry policy counts its attempts",
    since: "0.4.0",
    lost: "the number of the attempt is missing from retried tasks",
  },
  customStatus: {
    name: "_customStatus",
    use: "is the custom status as JSON",
    since: "0.4.0",
    lost: "changes of the custom status are not recorded",
  },
  previousTask: {
    name: "_previousTask",
    use: "is the task that the code waits for",
    since: "0.4.0",
    lost: "an event or a timer that the code waits for again after a lost race counts as lost",
  },
  sequenceNumber: {
    name: "_sequenceNumber",
    use: "is the ID of the last action, and so of a timer that was just created",
    since: "0.4.0",
    lost: "timers that do not fire have no end before that of their orchestration",
  },
};

/** The context of an orchestration in SDKs that retry tasks: Dapr's (1.0, 3.18) do not, and have neither. */
export const retryInternals: Internals<"retry" | "retryTimer"> = {
  retry: {
    name: "rescheduleRetryTask",
    use: "schedules another attempt: (the task with the retry policy)",
    since: "0.4.0",
    lost: "the number of the attempt is missing from the spans of retried tasks",
  },
  retryTimer: {
    name: "createRetryTimer",
    use: "creates the timer of the pause before another attempt: (…)",
    since: "0.4.0",
    lost: "pauses before another attempt are missing from what an orchestration waits for",
  },
};

/** A task that an orchestration's code waits for. */
export const taskInternals: Internals<"complete" | "parent" | "childCompleted" | "tasks" | "cancel" | "attempt"> = {
  complete: {
    name: "complete",
    use: "completes the task of an event or a timer: (result)",
    since: "0.4.0",
    lost: "waits for external events have no spans",
  },
  parent: {
    name: "_parent",
    use: "is the whenAny or whenAll that the task was put into",
    since: "0.4.0",
    lost: "events and timers that lost a race are not marked",
  },
  tasks: {
    name: "_tasks",
    use: "has the tasks of a whenAny or whenAll",
    since: "0.4.0",
    lost: "events and timers that lost a race are not marked",
  },
  childCompleted: {
    name: "onChildCompleted",
    use: "tells a whenAny or whenAll that one of its tasks completed: (task)",
    since: "0.4.0",
    lost: "events and timers that lost a race are not marked",
  },
  attempt: {
    name: "attemptCount",
    use: "is the number of the attempt of a task with a retry policy",
    since: "0.4.0",
    lost: "the number of the attempt is missing from the spans of retried tasks",
  },
  cancel: { name: "cancel", use: "cancels a timer", since: "0.4.0", lost: "timers can't be canceled" },
};

/** A task with a retry policy or handler, in SDKs that retry tasks. */
export const retriedTaskInternals: Internals<"fail" | "action"> = {
  fail: {
    name: "fail",
    use: "fails the task, when it is not retried: (message, details)",
    since: "0.4.0",
    lost: "a failure that a retry policy or handler decided not to retry is a warning in the log",
  },
  action: {
    name: "action",
    use: "schedules the latest attempt, and has its ID",
    since: "0.4.0",
    lost: "a failure that a retry policy or handler decided not to retry is a warning in the log",
  },
};

/** `TestOrchestrationWorker`. */
export const testWorkerInternals: Internals<"orchestrator" | "activity" | "registry" | "backend" | "isRunning"> = {
  orchestrator: { name: "processOrchestration", use: "runs one episode: (instance)", since: "0.4.0" },
  activity: { name: "processActivity", use: "runs one activity: (work item)", since: "0.4.0" },
  registry: { name: "registry", use: "has the registered functions", since: "0.4.0" },
  backend: { name: "backend", use: "is the in-memory backend", since: "0.4.0" },
  isRunning: {
    name: "isRunning",
    use: "whether the worker runs",
    since: "0.4.0",
    lost: "middleware that is added while the worker runs is not refused",
  },
};

/** The in-memory backend. */
export const backendInternals: Internals<"completeOrchestration" | "completeActivity" | "getInstance"> = {
  completeOrchestration: {
    name: "completeOrchestration",
    use: "takes an episode's response: the actions are the argument that is an array",
    since: "0.4.0",
  },
  completeActivity: {
    name: "completeActivity",
    use: "takes an activity's response: it failed if an argument is an error. 0.4.0 has (instanceId, taskId, ...), the next release (instanceId, executionId, taskId, ...)",
    since: "0.4.0",
  },
  getInstance: {
    name: "getInstance",
    use: "has the execution ID of an activity's orchestration; the next release has it in the work item",
    since: "0.4.0",
    lost: "activities have no execution ID",
  },
};

/** Those of `internals` that `object` does not have and that something is lost without. */
export function lostInternals(object: object, internals: readonly SdkInternal[]): readonly SdkInternal[] {
  return internals.filter(({ name, lost }) => lost !== undefined && !(name in object));
}

/** The value of `internal` in `object`; `undefined` if there is none. */
export function readInternal(object: unknown, internal: SdkInternal): unknown {
  return typeof object === "object" && object !== null ? (object as Members)[internal.name] : undefined;
}

/** What writes warnings to the log of one worker. */
interface Reports {
  readonly report: (message: string) => void;
}

// Each worker logs it once.
const reported = new WeakMap<object, Set<string>>();

/** Warns, once for each worker, that `owner` lacks optional members, and what is lost. */
export function reportLost(to: Reports, owner: string, internals: readonly SdkInternal[]): void {
  if (internals.length === 0) return;
  const known = reported.get(to) ?? new Set();
  reported.set(to, known);
  const news = internals.filter(({ name }) => !known.has(`${owner}.${name}`));
  if (news.length === 0) return;
  for (const { name } of news) known.add(`${owner}.${name}`);
  const losses = news.map(({ name, lost }) => `no ${name}: ${lost}`).join("; ");
  to.report(
    `This version of the Durable Task SDK differs from those that were tested. ${owner} has ${losses}. Look for a newer durable-telemetry.`,
  );
}
