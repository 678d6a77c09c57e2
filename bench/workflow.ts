import type { ActivityContext, OrchestrationContext, Task } from "@microsoft/durabletask-js";

/** A worker as far as the benchmark registers the workflow with it: every worker of the SDK has this. */
export interface WorkflowWorker {
  addNamedOrchestrator(name: string, orchestrator: typeof steps): unknown;
  addNamedActivity(name: string, activity: typeof add): unknown;
}

/** The measured workflow: one activity after the other. A step is one episode and one activity. */
async function* steps(ctx: OrchestrationContext, count: number): AsyncGenerator<Task<number>, number, number> {
  let sum = 0;
  for (let step = 0; step < count; step += 1) sum += yield ctx.callActivity("add", step);
  return sum;
}

const add = (_: ActivityContext, value: number): number => value + 1;

/** Registers the workflow `steps`, whose input is its number of steps. */
export function registerWorkflow<T extends WorkflowWorker>(worker: T): T {
  worker.addNamedOrchestrator("steps", steps);
  worker.addNamedActivity("add", add);
  return worker;
}
