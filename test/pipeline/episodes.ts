/** Single episodes: a request goes in, the actions of its response come out, with no task hub between. */
import { NoOpLogger, TaskHubGrpcWorker, type TOrchestrator } from "@microsoft/durabletask-js";
import proto, {
  type HistoryEvent,
  type OrchestratorAction,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import {
  withDurableTelemetry,
  type AwaitGuardOptions,
  type Middleware,
  type MiddlewareLogger,
} from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";

export { events };
export type { HistoryEvent };

/** What the runs of one orchestrator share. */
export interface EpisodeOptions {
  readonly use?: readonly Middleware[];
  readonly awaitGuard?: AwaitGuardOptions;
  readonly logger?: MiddlewareLogger;
  readonly input?: unknown;
}

/** Runs an episode: `past` has been committed, `fresh` is new. The events that start the execution come by themselves. */
export type RunEpisode = (
  past: readonly HistoryEvent[],
  fresh?: readonly HistoryEvent[],
) => Promise<OrchestratorAction[]>;

/** A worker that has no task hub, and runs the episodes of `orchestrator`. */
export function episodesOf(orchestrator: TOrchestrator, options: EpisodeOptions = {}): RunEpisode {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: options.logger ?? new NoOpLogger() }), {
    ...customOnly,
    use: options.use ?? [],
    ...(options.awaitGuard && { awaitGuard: options.awaitGuard }),
  });
  worker.addNamedOrchestrator("main", orchestrator);
  return async (past, fresh) => {
    const start = [
      events.newOrchestratorStartedEvent(new Date(0)),
      events.newExecutionStartedEvent("main", "instance", JSON.stringify(options.input)),
    ];
    const request = new proto.OrchestratorRequest();
    request.setInstanceid("instance");
    request.setPasteventsList(fresh === undefined ? [] : [...start, ...past]);
    request.setNeweventsList(
      fresh === undefined ? [...start, ...past] : [events.newOrchestratorStartedEvent(new Date(0)), ...fresh],
    );
    const bytes = await worker.processOrchestratorRequest(request.serializeBinary());
    return proto.OrchestratorResponse.deserializeBinary(bytes).getActionsList();
  };
}

/** Actions in short: `["1 schedule add", "2 completed 5"]`. */
export function shown(actions: readonly OrchestratorAction[]): string[] {
  return actions.map((action) => `${action.getId()} ${describe(action)}`);
}

function describe(action: OrchestratorAction): string {
  const complete = action.getCompleteorchestration();
  if (complete !== undefined) {
    const statuses = Object.entries(proto.OrchestrationStatus);
    const status = statuses.find(([, value]) => value === complete.getOrchestrationstatus())?.[0] ?? "";
    const failure = complete.getFailuredetails();
    const detail =
      failure === undefined
        ? (complete.getResult()?.getValue() ?? "")
        : `${failure.getErrortype()}: ${failure.getErrormessage()}`;
    return `${status.replace("ORCHESTRATION_STATUS_", "").toLowerCase()} ${detail}`.trimEnd();
  }
  const activity = action.getScheduletask();
  if (activity !== undefined) return `schedule ${activity.getName()}`;
  if (action.hasCreatetimer()) return "timer";
  const child = action.getCreatesuborchestration();
  if (child !== undefined) return `start ${child.getName()}`;
  const sent = action.getSendevent();
  return sent === undefined ? "another action" : `send ${sent.getName()}`;
}

/** What an orchestration did, episode by episode: the actions of each. */
export type Lifetime = readonly (readonly string[])[];

/**
 * Plays the task hub for one execution: answers activities with `answer`, lets timers fire at once, and gives out
 * one event at a time until the execution ends.
 *
 * @param answer gets an activity's name and input, and returns its result or throws its failure.
 * @returns the actions of each episode; the last of the last one is how the execution ended.
 */
export async function live(episode: RunEpisode, answer: (name: string, input: unknown) => unknown): Promise<Lifetime> {
  const past: HistoryEvent[] = [];
  const coming: HistoryEvent[] = [];
  const lifetime: string[][] = [];
  let actions = await episode([]);
  for (;;) {
    lifetime.push(shown(actions));
    if (actions.some((action) => action.hasCompleteorchestration())) return lifetime;
    for (const action of actions) {
      const { scheduled, answered } = answerOf(action, answer);
      past.push(scheduled);
      coming.push(answered);
    }
    const event = coming.shift();
    if (event === undefined) throw new Error(`The orchestration waits for nothing: ${JSON.stringify(lifetime)}`);
    actions = await episode(past, [event]);
    past.push(event);
  }
}

function answerOf(
  action: OrchestratorAction,
  answer: (name: string, input: unknown) => unknown,
): { scheduled: HistoryEvent; answered: HistoryEvent } {
  const id = action.getId();
  const dueAt = action.getCreatetimer()?.getFireat()?.toDate();
  if (dueAt !== undefined) {
    return { scheduled: events.newTimerCreatedEvent(id, dueAt), answered: events.newTimerFiredEvent(id, dueAt) };
  }
  const activity = action.getScheduletask();
  if (activity === undefined) throw new Error(`This hub can't ${describe(action)}.`);
  const input = activity.getInput()?.getValue();
  const scheduled = events.newTaskScheduledEvent(id, activity.getName(), input);
  try {
    const result = answer(activity.getName(), input === undefined ? undefined : JSON.parse(input));
    return { scheduled, answered: events.newTaskCompletedEvent(id, JSON.stringify(result)) };
  } catch (error) {
    return {
      scheduled,
      answered: events.newTaskFailedEvent(id, error instanceof Error ? error : new Error(String(error))),
    };
  }
}
