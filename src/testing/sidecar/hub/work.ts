import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { EntityWork } from "./entity.ts";
import type { Instance, OrchestrationWork } from "./instance.ts";

/** Where the hub queues work items. */
export interface WorkQueue {
  enqueue(work: Work): void;
  /** Takes work back, wherever it is: its completion token is void from now on. */
  withdraw(work: Work): void;
}

/** One execution of an activity. */
export interface ActivityWork {
  readonly kind: "activity";
  readonly instance: Instance;
  /** The execution that scheduled it, and that alone may get the result. */
  readonly executionId: string;
  readonly taskId: number;
  readonly scheduled: pb.TaskScheduledEvent;
}

/** What a worker can be given. */
export type Work = OrchestrationWork | ActivityWork | EntityWork;

/** The name and version that a worker's filters are matched with. */
export function subjectOf(work: Work): { name: string; version: string } {
  if (work.kind === "entity") return { name: work.entity.name, version: "" };
  const orchestrationVersion = work.instance.generation.version?.getValue() ?? "";
  if (work.kind === "orchestration") return { name: work.instance.seed.name, version: orchestrationVersion };
  // An activity that was scheduled without a version of its own goes with its orchestration's.
  const version = work.scheduled.getVersion()?.getValue() ?? orchestrationVersion;
  return { name: work.scheduled.getName(), version };
}
