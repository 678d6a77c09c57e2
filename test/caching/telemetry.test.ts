import { whenAll, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { expect, it } from "vitest";
import { ActivityCacheOutcome, type CacheOutcome, type MiddlewareObject } from "../../src/index.ts";
import { recordSpans, startHub, type Steps } from "../harness.ts";
import { attribute, recordLogs } from "../logging/record-logs.ts";
import { recordMetrics, WorkItems } from "../metrics/record-metrics.ts";
import { Gate } from "./calls.ts";

it("C7 the outcome of each call is on the activity's span, in the metric, in the log and in features", async () => {
  const [spans, metrics, logs] = [recordSpans(), recordMetrics(), recordLogs()];
  const items = new WorkItems();
  const features: (CacheOutcome | undefined)[] = [];
  const observer: MiddlewareObject = {
    name: "observer",
    activity: async (ctx, next) => {
      try {
        await next(ctx);
      } finally {
        features.push(ctx.features.get(ActivityCacheOutcome));
      }
    },
  };
  const gate = new Gate();
  const hub = await startHub();
  const key = ({ input }: { input: unknown }): unknown => {
    if (input === "error") throw new Error("a bug in the options");
    return input === "bypass" ? Number.NaN : input;
  };
  await hub.worker(
    {
      use: [observer],
      caching: { activities: { quote: { ttl: "5m", key } } },
      middlewares: (all) => [items.middleware, ...all],
    },
    (worker) => {
      worker.addNamedActivity("quote", async (_: ActivityContext, input: string) => {
        if (input === "joint") await gate.pass();
        return input;
      });
      worker.addNamedActivity("other", () => 1);
      worker.addNamedOrchestrator("ask", async function* (ctx: OrchestrationContext): Steps<void> {
        for (const input of ["once", "once", "bypass", "error"]) yield ctx.callActivity("quote", input);
        yield ctx.callActivity("other");
        yield whenAll([ctx.callActivity("quote", "joint"), ctx.callActivity("quote", "joint")]);
      });
    },
  );
  const done = hub.run("ask");
  await gate.reached;
  // The second one waits for the first by now, or will: it has started.
  await logs.waitFor(
    (records) => records.filter(({ eventName }) => eventName === "durabletask.activity.started").length === 7,
  );
  gate.open();
  await done;
  await items.over();

  const expected = ["bypass", "coalesced", "error", "hit", "miss", "miss"];
  const isRun = ({ kind, name }: { kind: SpanKind; name: string }): boolean =>
    kind === SpanKind.SERVER && name.startsWith("activity:");
  await spans.waitFor((finished) => finished.filter(isRun).length === 7);
  const onSpans = spans.finished
    .filter(isRun)
    .map(({ name, attributes }) => `${name} ${String(attributes["durabletask.activity.cache.result"])}`);
  expect(onSpans.toSorted()).toEqual(
    [...expected.map((outcome) => `activity:quote ${outcome}`), "activity:other undefined"].toSorted(),
  );

  expect(features.map(String).toSorted()).toEqual([...expected, "undefined"].toSorted());

  const collected = await metrics.collect();
  expect(
    collected.counts(
      "durabletask.activity.cache.requests",
      "durabletask.task.name",
      "durabletask.activity.cache.result",
    ),
  ).toEqual({
    "quote miss": 2,
    "quote hit": 1,
    "quote coalesced": 1,
    "quote bypass": 1,
    "quote error": 1,
  });
  expect(collected.counts("durabletask.middleware.errors", "durabletask.middleware")).toEqual({ caching: 1 });

  const events = logs.events
    .filter((record) => attribute(record, "durabletask.task.task_id") === "2")
    .map(({ eventName }) => eventName);
  expect(events).toEqual([
    "durabletask.activity.started",
    "durabletask.activity.cache_hit",
    "durabletask.activity.finished",
  ]);
  const [hit] = logs.events.filter(({ eventName }) => eventName === "durabletask.activity.cache_hit");
  expect(hit?.attributes["durabletask.activity.cache.result"]).toBe("hit");
  expect(hit?.spanContext?.spanId).toBe(
    spans.finished.find(({ attributes }) => attributes["durabletask.activity.cache.result"] === "hit")?.spanContext()
      .spanId,
  );
});

it("C7 the outcome of an activity that fails is reported too", async () => {
  const metrics = recordMetrics();
  const items = new WorkItems();
  const hub = await startHub();
  await hub.worker(
    { caching: { activities: { charge: { ttl: "5m" } } }, middlewares: (all) => [items.middleware, ...all] },
    (worker) => {
      worker.addNamedActivity("charge", () => {
        throw new RangeError("card refused");
      });
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge");
      });
    },
  );
  await hub.run("order");
  await items.over();
  const collected = await metrics.collect();
  expect(collected.counts("durabletask.activity.cache.requests", "durabletask.activity.cache.result")).toEqual({
    miss: 1,
  });
});
