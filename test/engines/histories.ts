/** Histories of the same workflow on two hubs, made comparable. */
import type { TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type {
  HistoryEvent,
  OrchestratorRequest,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { Part, Step, Workflow } from "../property/workflows.ts";

/** The last history that a hub sent of each execution, in the order in which executions started. */
export class Histories {
  readonly #byExecution = new Map<string, { readonly instanceId: string; events: readonly HistoryEvent[] }>();

  /** Looks at the requests that `worker` gets; call it before the worker is decorated. */
  watch(worker: TaskHubGrpcWorker): void {
    // The SDK has no public place to see a request.
    const internal = worker as unknown as {
      _executeOrchestratorInternal(request: OrchestratorRequest, ...rest: unknown[]): Promise<void>;
    };
    const execute = internal._executeOrchestratorInternal.bind(worker);
    internal._executeOrchestratorInternal = (request, ...rest) => {
      const events = [...request.getPasteventsList(), ...request.getNeweventsList()].map((event) =>
        event.cloneMessage(),
      );
      const start = events.find((event) => event.hasExecutionstarted())?.getExecutionstarted();
      const executionId = start?.getOrchestrationinstance()?.getExecutionid()?.getValue() ?? "";
      const known = this.#byExecution.get(executionId);
      if (known === undefined) this.#byExecution.set(executionId, { instanceId: request.getInstanceid(), events });
      else known.events = events;
      return execute(request, ...rest);
    };
  }

  /** The executions of an instance and of those below it: their events as text, without what differs from run to run. */
  of(prefix: string): readonly (readonly string[])[] {
    return [...this.#byExecution.values()]
      .filter(({ instanceId }) => instanceId.startsWith(prefix))
      .map(({ events }) => comparable(events));
  }
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

// When an episode starts depends on what is there by then.
function comparable(events: readonly HistoryEvent[]): readonly string[] {
  const lines: string[] = [];
  let together: string[] = [];
  const settle = (): void => {
    lines.push(...together.toSorted());
    together = [];
  };
  for (const event of events) {
    if (event.hasOrchestratorstarted()) continue;
    const line = describe(event).replace(uuid, "UUID");
    // What ends while an orchestrator waits for several, ends in any order.
    if (event.hasTaskcompleted() || event.hasTimerfired() || event.hasEventraised()) together.push(line);
    else {
      settle();
      lines.push(line);
    }
  }
  settle();
  return lines;
}

function describe(event: HistoryEvent): string {
  const id = event.getEventid();
  const started = event.getExecutionstarted();
  if (started !== undefined)
    return `started ${started.getName()} ${started.getInput()?.getValue()} as ${started.getParentinstance()?.getTaskscheduledid()} of ${started.getParentinstance()?.getName()?.getValue()}`;
  const activity = event.getTaskscheduled();
  if (activity !== undefined) return `scheduled ${id} ${activity.getName()} ${activity.getInput()?.getValue()}`;
  const child = event.getSuborchestrationinstancecreated();
  if (child !== undefined)
    return `scheduled ${id} ${child.getName()} ${child.getInstanceid()} ${child.getInput()?.getValue()}`;
  const sent = event.getEventsent();
  if (sent !== undefined)
    return `sent ${id} ${sent.getName()} to ${sent.getInstanceid()} ${sent.getInput()?.getValue()}`;
  const raised = event.getEventraised();
  if (raised !== undefined) return `raised ${raised.getName()} ${raised.getInput()?.getValue()}`;
  const completed = event.getTaskcompleted() ?? event.getSuborchestrationinstancecompleted();
  if (completed !== undefined)
    return `completed ${completed.getTaskscheduledid()} ${completed.getResult()?.getValue()}`;
  const failed = event.getTaskfailed() ?? event.getSuborchestrationinstancefailed();
  if (failed !== undefined)
    return `failed ${failed.getTaskscheduledid()} ${failed.getFailuredetails()?.getErrortype()}: ${failed.getFailuredetails()?.getErrormessage()}`;
  if (event.hasTimercreated()) return `timer ${id}`;
  if (event.hasTimerfired()) return `fired ${event.getTimerfired()?.getTimerid()}`;
  return `event ${event.getEventtypeCase()}`;
}

/**
 * The same workflow without races, whose winner is a matter of time: nothing is left running, of several alternatives the
 * first is taken, and what runs side by side can't fail.
 */
export function withoutRaces({ next, steps }: Workflow): Workflow {
  const calm = (list: readonly Step[]): Step[] =>
    list.flatMap((step) =>
      step.do === "wait" ? { ...step, for: settled(step.for) } : step.do === "start" ? [] : step,
    );
  return { steps: calm(steps), next: next && { ...next, steps: calm(next.steps) } };
}

function settled(part: Part): Part {
  switch (part.kind) {
    case "any":
      return settled(part.of[0] ?? { kind: "event" });
    case "all":
      return {
        ...part,
        of: part.of.map((each): Part =>
          each.kind === "timer" || each.kind === "event"
            ? each
            : { kind: "activity", outcome: "ok", turns: 0, retry: "never" },
        ),
      };
    case "child":
      return { ...part, workflow: withoutRaces(part.workflow) };
    default:
      return part;
  }
}
