/** A file of its own: the SDK keeps the first tracer that it gets, and here there never was one. */
import { NoOpLogger, TaskHubGrpcWorker, type OrchestrationContext } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, it, onTestFinished, vi } from "vitest";
import { ActivitySpan, currentFeatures, OrchestrationSpan } from "../../src/index.ts";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { runActivity } from "./activities.ts";
import { episodeWorker, history, outgoing, runEpisode, type EpisodeRequest } from "./episodes.ts";

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): AsyncGenerator {
    yield ctx.callActivity("charge");
    return "charged";
  });
}

function episodes(start: Parameters<typeof history.started>[1]): readonly EpisodeRequest[] {
  const first = [history.episode(0), history.started("order", start)];
  return [
    { fresh: first },
    {
      past: [...first, history.scheduled(1, "charge", 5)],
      fresh: [history.episode(20), history.completed(1, "charged", 18)],
    },
  ];
}

it("K1 where no provider is registered tracing costs nothing but the check, and the SDK does what it does without this package", async () => {
  const attributes = vi.fn(() => ({}));
  const seen: unknown[] = [];
  const registerAndLook = (worker: TaskHubGrpcWorker): void => {
    register(worker);
    worker.addNamedActivity("look", () => void seen.push(trace.getActiveSpan(), currentFeatures()?.get(ActivitySpan)));
    worker.addNamedOrchestrator(
      "look",
      async () => void seen.push(trace.getActiveSpan(), currentFeatures()?.get(OrchestrationSpan)),
    );
  };
  const worker = episodeWorker(registerAndLook, { tracing: { attributes } });
  const bare = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
  register(bare);
  for (const episode of episodes({})) {
    const [ours, sdks] = [await runEpisode(worker, episode), await runEpisode(bare, episode)];
    // The SDK's tracing leaves zeros there, which are nobody's identity.
    expect(sdks.getOrchestrationtracecontext()?.getSpanid()?.getValue()).toBe("0".repeat(16));
    expect(ours.toObject()).toEqual(sdks.setOrchestrationtracecontext(undefined).toObject());
  }
  await runEpisode(worker, { fresh: [history.episode(0), history.started("look")] });
  await runActivity(worker, { name: "look" });
  expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  expect(attributes).not.toHaveBeenCalled();
});

it("I1, I2 where another worker has no provider, as here, one that has goes on with what it left: whole, and not as its own parent", async () => {
  const [first, last] = episodes({ traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
  if (first === undefined || last === undefined) throw new Error("There are two episodes.");
  const response = await runEpisode(episodeWorker(register), first);
  const carriedSpan = response.getOrchestrationtracecontext()?.getSpanid()?.getValue() ?? "";
  const [sent = ""] = outgoing(response);
  // So the SDK's worker: it takes the caller's span for the orchestration's.
  expect(carriedSpan).toBe("b7ad6b7169203331");
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(
    new TracerProvider({
      idGenerator: new DurableIdGenerator(),
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    }),
  );
  onTestFinished(() => trace.disable());
  const scheduled = last.past?.at(-1)?.getTaskscheduled();
  scheduled?.setParenttracecontext(response.getActionsList()[0]?.getScheduletask()?.getParenttracecontext());
  await runEpisode(episodeWorker(register), { ...last, carriedSpan });
  const [charge, order] = exporter.getFinishedSpans();
  expect(sent.split("-")).toEqual(["00", charge?.spanContext().traceId, charge?.spanContext().spanId, "01"]);
  expect(charge?.parentSpanContext?.spanId).toBe(order?.spanContext().spanId);
  expect(order?.parentSpanContext?.spanId).toBe("b7ad6b7169203331");
  expect(order?.spanContext().spanId).not.toBe("b7ad6b7169203331");
});
