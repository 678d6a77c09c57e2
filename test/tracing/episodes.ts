/** Single episodes, as a backend hands them out: for tests that look at one request and its response. */
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type {
  HistoryEvent,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { withDurableTelemetry, type DurableTelemetryOptions, type WithDurableTelemetry } from "../../src/index.ts";

/** A time in the history, in milliseconds after the execution's start. */
export const at = (milliseconds: number): Date => new Date(Date.UTC(2026, 0, 1) + milliseconds);

const stringValue = (value: string): InstanceType<typeof wrappers.StringValue> => {
  const message = new wrappers.StringValue();
  message.setValue(value);
  return message;
};

function stamped(event: HistoryEvent, time: number): HistoryEvent {
  event.setTimestamp(timestamps.Timestamp.fromDate(at(time)));
  return event;
}

const numbered = (event: HistoryEvent, id: number): HistoryEvent => event.setEventid(id);

/** Events of a history; the last parameter is the time, in milliseconds after the start. */
export const history = {
  episode: (time = 0): HistoryEvent => stamped(events.newOrchestratorStartedEvent(at(time)), time),
  started(
    name: string,
    options: {
      input?: unknown;
      traceparent?: string;
      executionId?: string | null;
      tags?: Record<string, string>;
      version?: string;
    } = {},
  ): HistoryEvent {
    const executionId = options.executionId === null ? undefined : (options.executionId ?? "execution-1");
    const input = options.input === undefined ? undefined : JSON.stringify(options.input);
    const event = events.newExecutionStartedEvent(name, "instance-1", input, undefined, executionId);
    const started = event.getExecutionstarted();
    if (options.traceparent !== undefined) {
      const context = new proto.TraceContext();
      context.setTraceparent(options.traceparent);
      started?.setParenttracecontext(context);
    }
    for (const [tag, value] of Object.entries(options.tags ?? {})) started?.getTagsMap().set(tag, value);
    if (options.version !== undefined) started?.setVersion(stringValue(options.version));
    return stamped(event, 0);
  },
  scheduled: (id: number, name: string, time: number): HistoryEvent =>
    stamped(events.newTaskScheduledEvent(id, name), time),
  completed: (id: number, result: unknown, time: number): HistoryEvent =>
    stamped(events.newTaskCompletedEvent(id, JSON.stringify(result)), time),
  failed: (id: number, error: Error, time: number): HistoryEvent => stamped(events.newTaskFailedEvent(id, error), time),
  timerCreated: (id: number, due: number, time: number): HistoryEvent =>
    stamped(events.newTimerCreatedEvent(id, at(due)), time),
  timerFired: (id: number, due: number, time: number): HistoryEvent =>
    stamped(events.newTimerFiredEvent(id, at(due)), time),
  raised: (name: string, time: number, input: unknown = null): HistoryEvent =>
    stamped(events.newEventRaisedEvent(name, JSON.stringify(input)), time),
  suspended: (time: number): HistoryEvent => stamped(events.newSuspendEvent(), time),
  resumed: (time: number): HistoryEvent => stamped(events.newResumeEvent(), time),
  eventSent: (id: number, target: string, name: string, time: number, input?: unknown): HistoryEvent =>
    stamped(
      numbered(
        new proto.HistoryEvent().setEventsent(
          new proto.EventSentEvent()
            .setInstanceid(target)
            .setName(name)
            .setInput(input === undefined ? undefined : stringValue(JSON.stringify(input))),
        ),
        id,
      ),
      time,
    ),
  terminated: (time: number): HistoryEvent => stamped(events.newTerminatedEvent('"enough"'), time),
};

/** What a backend asks of a worker for one episode. */
export interface EpisodeRequest {
  readonly past?: readonly HistoryEvent[];
  readonly fresh: readonly HistoryEvent[];
  readonly carriedSpan?: string;
}

/** Runs one episode on `worker`. */
export async function runEpisode(
  worker: TaskHubGrpcWorker,
  { past = [], fresh, carriedSpan }: EpisodeRequest,
): Promise<OrchestratorResponse> {
  const request = new proto.OrchestratorRequest();
  request.setInstanceid("instance-1");
  request.setPasteventsList([...past]);
  request.setNeweventsList([...fresh]);
  if (carriedSpan !== undefined) {
    const context = new proto.OrchestrationTraceContext();
    context.setSpanid(stringValue(carriedSpan));
    context.setSpanstarttime(timestamps.Timestamp.fromDate(at(0)));
    request.setOrchestrationtracecontext(context);
  }
  // Through bytes, as over the wire.
  return proto.OrchestratorResponse.deserializeBinary(
    await worker.processOrchestratorRequest(request.serializeBinary()),
  );
}

/** A decorated worker that is driven episode by episode. */
export function episodeWorker(
  register: (worker: WithDurableTelemetry<TaskHubGrpcWorker>) => void,
  options: DurableTelemetryOptions = {},
): WithDurableTelemetry<TaskHubGrpcWorker> {
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger: new NoOpLogger() }), options);
  register(worker);
  return worker;
}

/** The traceparents that leave with a response's activities and sub-orchestrations. */
export function outgoing(response: OrchestratorResponse): string[] {
  return response.getActionsList().flatMap((action) => {
    const message = action.getScheduletask() ?? action.getCreatesuborchestration();
    return message?.getParenttracecontext()?.getTraceparent() ?? [];
  });
}
