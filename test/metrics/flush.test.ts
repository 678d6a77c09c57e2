import { whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import { metrics } from "@opentelemetry/api";
import { expect, it, onTestFinished } from "vitest";
import type { Steps } from "../harness.ts";
import { meterProvider } from "./record-metrics.ts";
import { hostWorker } from "../worker/requests.ts";
import { history, runEpisode } from "../tracing/episodes.ts";
it("S1 the measurements of an episode are with the provider when the host's call is over, however many they are", async () => {
  const count = 5000;
  const recorded = meterProvider();
  metrics.setGlobalMeterProvider(recorded.provider);
  onTestFinished(() => metrics.disable());
  const worker = hostWorker({ metrics: true });
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<number> {
    yield whenAll(Array.from({ length: count }, (_, index) => ctx.callActivity("step", index)));
    return count;
  });
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  await runEpisode(worker, {
    past: [history.episode(), history.started("main"), ...ids.map((id) => history.scheduled(id, "step", 1))],
    fresh: [history.episode(2), ...ids.map((id) => history.completed(id, null, 2))],
  });
  const collected = await recorded.collect();
  expect([
    collected.total("durabletask.orchestration.duration").count,
    collected.total("durabletask.activity.turnaround").count,
  ]).toEqual([1, count]);
});
