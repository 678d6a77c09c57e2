/** A host that flushes its own provider after each work item, as one does that may be frozen then (telemetry.md S1). */
import { whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import { BatchSpanProcessor, InMemorySpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, it, onTestFinished } from "vitest";
import { ProxyTracerProvider } from "@opentelemetry/api";
import { tracing } from "../../middlewares/index.ts";
import { use, type Steps } from "../harness.ts";
import { hostWorker } from "../worker/requests.ts";
import { history, runEpisode } from "./episodes.ts";

it.each([20, 5000])(
  "S1 the spans of an episode are with the provider when the host's call is over, if %i activities complete in it",
  async (count) => {
    const exporter = new InMemorySpanExporter();
    const provider = new TracerProvider({
      spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: 100_000 })],
    });
    use(provider);
    onTestFinished(() => use(new ProxyTracerProvider().getDelegate()));
    const worker = hostWorker({ middlewares: () => [tracing()] });
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<number> {
      yield whenAll(Array.from({ length: count }, (_, index) => ctx.callActivity("step", index)));
      return count;
    });
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    await runEpisode(worker, {
      past: [history.episode(), history.started("main"), ...ids.map((id) => history.scheduled(id, "step", 1))],
      fresh: [history.episode(2), ...ids.map((id) => history.completed(id, null, 2))],
    });
    await provider.forceFlush();
    expect(exporter.getFinishedSpans().length).toBe(count + 1);
  },
);
