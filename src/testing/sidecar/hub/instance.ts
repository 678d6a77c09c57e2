import { randomUUID } from "node:crypto";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { executionStarted, type OptionalText, type Parent, type Tags } from "./history-events.ts";

const { OrchestrationStatus } = pb;

/** What an instance is created from, and what a restart creates it from again. */
export interface InstanceSeed {
  readonly name: string;
  readonly version: OptionalText;
  readonly input: OptionalText;
  readonly tags: Tags;
}

/** What continue-as-new begins anew. */
export interface Generation {
  /** The current execution, the one that history and requests name. */
  executionId: string;
  /** All executions that share this history: a rewind goes on with it under a new execution ID. */
  readonly executionIds: Set<string>;
  readonly version: OptionalText;
  readonly input: OptionalText;
  readonly tags: Tags;
  /** The custom status of the generation before, which holds until this one sets its own. */
  readonly inheritedStatus: OptionalText;
  /** The committed events. An event never changes once it stands here or in the inbox. */
  history: pb.HistoryEvent[];
  /** The events that arrived and that no committed episode has seen yet. */
  inbox: pb.HistoryEvent[];
  /** IDs of the tasks that were scheduled and whose result has not arrived. */
  openTasks: Set<number>;
  /** What the last episode gave to hand back in the next request. */
  traceContext: pb.OrchestrationTraceContext | undefined;
}

/** What a worker was given, and so what its answer commits. */
export interface Episode {
  readonly events: readonly pb.HistoryEvent[];
  /** How many of the inbox's first events are among them. */
  readonly taken: number;
}

/** The next episode of an instance. Its events are chosen when it is handed out. */
export interface OrchestrationWork {
  readonly kind: "orchestration";
  readonly instance: Instance;
}

/** One orchestration: a record that the task hub alone changes. */
export interface Instance {
  readonly id: string;
  /** Order of creation: the key that paging goes by. */
  readonly sequence: number;
  readonly seed: InstanceSeed;
  readonly createdAt: Date;
  readonly scheduledStart: Date | undefined;
  parent: Parent | undefined;
  generation: Generation;
  status: pb.OrchestrationStatus;
  /** What the last suspend or resume asked for; the status follows once the orchestration runs. */
  suspended: boolean;
  lastUpdatedAt: Date;
  completedAt: Date | undefined;
  output: OptionalText;
  customStatus: OptionalText;
  failure: pb.TaskFailureDetails | undefined;
  /** The next episode, while it is queued or with a worker: there is one at a time. */
  work: OrchestrationWork | undefined;
  /** What the worker has of it. */
  episode: Episode | undefined;
  /** The event that asks a worker for the clean history of a rewind, until it answers. */
  rewinding: pb.HistoryEvent | undefined;
  /** An episode is due though nothing has arrived. */
  nudged: boolean;
}

export interface NewInstance {
  readonly id: string;
  readonly sequence: number;
  readonly seed: InstanceSeed;
  readonly parent: Parent | undefined;
  readonly parentTraceContext: pb.TraceContext | undefined;
  readonly scheduledStart: Date | undefined;
}

export function newInstance(at: Date, { id, sequence, seed, ...start }: NewInstance): Instance {
  const generation = newGeneration(seed);
  const { executionId } = generation;
  generation.inbox.push(executionStarted(at, { instanceId: id, executionId, ...seed, ...start }));
  return {
    id,
    sequence,
    seed,
    createdAt: at,
    scheduledStart: start.scheduledStart,
    parent: start.parent,
    generation,
    status: OrchestrationStatus.ORCHESTRATION_STATUS_PENDING,
    suspended: false,
    lastUpdatedAt: at,
    completedAt: undefined,
    output: undefined,
    customStatus: undefined,
    failure: undefined,
    work: undefined,
    episode: undefined,
    rewinding: undefined,
    nudged: false,
  };
}

export function newGeneration(
  start: Pick<Generation, "version" | "input" | "tags">,
  inheritedStatus?: OptionalText,
): Generation {
  const executionId = randomUUID().replaceAll("-", "");
  return {
    version: start.version,
    input: start.input,
    tags: start.tags,
    inheritedStatus,
    executionId,
    executionIds: new Set([executionId]),
    history: [],
    inbox: [],
    openTasks: new Set(),
    traceContext: undefined,
  };
}

export function hasStarted(instance: Instance): boolean {
  return instance.status !== OrchestrationStatus.ORCHESTRATION_STATUS_PENDING;
}

export function hasFinished(instance: Instance): boolean {
  return isTerminal(instance.status);
}

export function isTerminal(status: pb.OrchestrationStatus): boolean {
  switch (status) {
    case OrchestrationStatus.ORCHESTRATION_STATUS_COMPLETED:
    case OrchestrationStatus.ORCHESTRATION_STATUS_FAILED:
    case OrchestrationStatus.ORCHESTRATION_STATUS_CANCELED:
    case OrchestrationStatus.ORCHESTRATION_STATUS_TERMINATED:
      return true;
    default:
      return false;
  }
}

/** The status in the words of the SDK's client: `RUNNING`, `FAILED` … */
export function statusName(status: pb.OrchestrationStatus): string {
  const entry = Object.entries(OrchestrationStatus).find(([, value]) => value === status);
  return entry?.[0].replace("ORCHESTRATION_STATUS_", "") ?? String(status);
}
