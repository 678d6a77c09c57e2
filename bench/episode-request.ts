import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import events from "@microsoft/durabletask-js/dist/utils/pb-helper.util.js";

/** The request of the episode of the measured workflow in which step `count` completes and the next one is scheduled, as bytes off the wire. */
export function episodeRequest(count: number): Uint8Array {
  const now = new Date();
  const past = [
    events.newOrchestratorStartedEvent(now),
    events.newExecutionStartedEvent("steps", "bench", JSON.stringify(count + 1), undefined, "execution"),
  ];
  for (let step = 1; step <= count; step += 1) {
    past.push(events.newTaskScheduledEvent(step, "add", JSON.stringify(step)));
    if (step === count) break;
    past.push(events.newOrchestratorStartedEvent(now), events.newTaskCompletedEvent(step, "1"));
  }
  const fresh = [events.newOrchestratorStartedEvent(now), events.newTaskCompletedEvent(count, "1")];
  for (const event of [...past, ...fresh]) {
    if (event.getTimestamp()?.getSeconds() === 0) event.getTimestamp()?.fromDate(now);
  }
  // As a backend sends it that carries trace contexts: a client's traceparent, and the persisted span context of earlier episodes.
  const parent = new proto.TraceContext();
  parent.setTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  past[1]?.getExecutionstarted()?.setParenttracecontext(parent);
  const span = new wrappers.StringValue();
  span.setValue("00f067aa0ba902b7");
  const persisted = new proto.OrchestrationTraceContext();
  persisted.setSpanid(span);
  persisted.setSpanstarttime(timestamps.Timestamp.fromDate(now));
  const request = new proto.OrchestratorRequest();
  request.setOrchestrationtracecontext(persisted);
  request.setInstanceid("bench");
  request.setPasteventsList(past);
  request.setNeweventsList(fresh);
  return request.serializeBinary();
}
