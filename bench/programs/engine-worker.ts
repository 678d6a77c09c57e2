/**
 * A worker of a hub that others share, in a process of its own. Its arguments are the hub's address and the variant; asked, it
 * tells the CPU time that its process has taken, in microseconds, or what it has done so far.
 */
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { loadBuild } from "../builds.ts";
import { sampled, useProviders } from "../providers.ts";
import { registerWorkflow } from "../workflow.ts";
import { answerQuestions } from "./program.ts";

/** What a worker has: nothing, or the default pipeline. */
export type EngineWorkerVariant = "bare" | "defaults";

export type EngineWorkerQuestion = "cpuTime" | "work";

export interface EngineWorkerWork {
  /** How many activities it ran. */
  readonly activities: number;
  /** The SERVER spans that it made: one for each activity that it ran, and for each orchestration that it finished. */
  readonly spans: readonly { readonly type: "activity" | "orchestration"; readonly id: string }[];
}

const [hostAddress = "", variant = ""] = process.argv.slice(2);
const spans: { type: "activity" | "orchestration"; id: string }[] = [];
let activities = 0;
const worker = new TaskHubGrpcWorker({ hostAddress, logger: new NoOpLogger() });
if (variant === "defaults") {
  const counting = {
    onStart: () => undefined,
    onEnd: (span: ReadableSpan) => {
      if (span.kind !== SpanKind.SERVER) return;
      const { traceId, spanId } = span.spanContext();
      spans.push({
        type: span.name.startsWith("activity:") ? "activity" : "orchestration",
        id: `${traceId}-${spanId}`,
      });
    },
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
  useProviders({ ...sampled, tracers: new TracerProvider({ spanProcessors: [counting] }) });
  (await loadBuild()).attachDefault(worker);
}
registerWorkflow({
  addNamedOrchestrator: (name, orchestrator) => worker.addNamedOrchestrator(name, orchestrator),
  addNamedActivity: (name, activity) =>
    worker.addNamedActivity(name, (ctx, input: number) => {
      activities += 1;
      return activity(ctx, input);
    }),
});
await worker.start();

answerQuestions((question: EngineWorkerQuestion): number | EngineWorkerWork => {
  if (question === "work") return { activities, spans };
  const { user, system } = process.cpuUsage();
  return user + system;
});
