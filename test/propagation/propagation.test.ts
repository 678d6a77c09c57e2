/** Tags and baggage of an orchestration, handed to its activities and sub-orchestrations. */
import { RetryPolicy, type OrchestrationContext } from "@microsoft/durabletask-js";
import type { OrchestratorResponse } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { context, logs, metrics, propagation, SpanKind } from "@opentelemetry/api";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { baggageTags, currentLogger, withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { recordSpans, startHub, type Hub, type Steps } from "../harness.ts";
import { loggerProvider } from "../logging/record-logs.ts";
import { recordMetrics, WorkItems } from "../metrics/record-metrics.ts";
import { episodeWorker, history, runEpisode } from "../tracing/episodes.ts";

const propagate = { tags: ["tenant"], baggage: ["tenant.id"] };
const retry = new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 1 });

interface Seen {
  readonly tenant: string | undefined;
  readonly baggage: string | undefined;
}
const seen = new Map<string, Seen>();
const items = new WorkItems();
let attempts = 0;

const look = (name: string, tags: Readonly<Record<string, string>>): void =>
  void seen.set(name, {
    tenant: tags["tenant"],
    baggage: propagation.getActiveBaggage()?.getEntry("tenant.id")?.value,
  });

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  const options: DurableTelemetryOptions = {
    propagate,
    tracing: { tags: ["tenant"] },
    metrics: { tags: ["tenant"] },
    logging: { tags: ["tenant"] },
    use: [
      items.middleware,
      { name: "look", activity: (ctx, next) => (look(ctx.name, ctx.tags), next(ctx)) },
      { name: "look at orchestrations", orchestration: (ctx, next) => (look(ctx.name, ctx.tags), next(ctx)) },
    ],
  };
  // Two workers, so that an activity runs where its orchestrator does not.
  for (let worker = 0; worker < 2; worker += 1)
    await hub.worker(options, (each) => {
      each.addNamedActivity("charge", () => {
        attempts += 1;
        currentLogger()?.info("charging");
        if (attempts === 1) throw new RangeError("not yet");
      });
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity("charge", null, { retry });
        return yield ctx.callSubOrchestrator("ship");
      });
      each.addNamedActivity("pack", () => null);
      each.addNamedActivity("own", () => null);
      each.addNamedOrchestrator("ship", async function* (ctx: OrchestrationContext): Steps {
        yield ctx.callActivity("own", null, { tags: { tenant: "other" } });
        return yield ctx.callActivity("pack");
      });
    });
});

// What this process remembers must not be what answers.
const forget = (): boolean => Reflect.deleteProperty(globalThis, Symbol.for("durable-telemetry.origins"));

describe("With propagate", () => {
  it("S12 activities and sub-orchestrations, on any worker, see the tags and the baggage of the orchestration's caller", async () => {
    attempts = 0;
    seen.clear();
    const baggage = propagation.createBaggage({ "tenant.id": { value: "42" }, secret: { value: "x" } });
    const tags = context.with(propagation.setBaggage(context.active(), baggage), () =>
      baggageTags(["tenant.id", "none"]),
    );
    expect(tags).toEqual({ "baggage.tenant.id": "42" });
    await hub.run("order", null, { tags: { ...tags, tenant: "acme", note: "stays" } });
    const handed = { tenant: "acme", baggage: "42" };
    expect(Object.fromEntries(seen)).toEqual({
      order: handed,
      charge: handed,
      ship: handed,
      pack: handed,
      // A tag that the code gave the task itself stays.
      own: { tenant: "other", baggage: "42" },
    });
  });

  it("S12 span attributes, metrics and log records of activities have the allowed tags", async () => {
    attempts = 1;
    const spans = recordSpans();
    const recorded = recordMetrics();
    const records = loggerProvider();
    logs.setGlobalLoggerProvider(records.provider);
    onTestFinished(() => logs.disable());
    await hub.run("order", null, { tags: { tenant: "acme" } });
    await items.over();
    const collected = await recorded.collect();
    metrics.disable();
    await spans.waitFor((finished) =>
      finished.some(({ name, kind }) => name === "orchestration:order" && kind === SpanKind.SERVER),
    );
    const tag = "durabletask.tag.tenant";
    const charge = spans.finished.find(({ name, kind }) => name === "activity:charge" && kind === SpanKind.SERVER);
    expect(charge?.attributes[tag]).toBe("acme");
    expect(collected.counts("durabletask.activity.duration", "durabletask.task.name", tag)).toEqual({
      "charge acme": 1,
      "own other": 1,
      "pack acme": 1,
    });
    expect(collected.counts("durabletask.orchestration.duration", "durabletask.task.name", tag)).toEqual({
      "order acme": 1,
      "ship acme": 1,
    });
    const ofCharge = records.records.filter(({ attributes }) => attributes["durabletask.task.name"] === "charge");
    expect(ofCharge.map(({ body }) => body)).toContain("charging");
    expect(ofCharge.map(({ attributes }) => attributes[tag])).toEqual(ofCharge.map(() => "acme"));
  });

  it("S10 carries the number of the attempt and the root to whatever process runs the task", async () => {
    const scheduling = episodeWorker(
      (each) =>
        each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
          ctx.callSubOrchestrator("ship");
          return yield ctx.callActivity("charge", null, { retry });
        }),
      { propagate: {} },
    );
    const response = await runEpisode(scheduling, {
      past: [
        history.episode(0),
        history.started("order"),
        history.scheduled(2, "charge", 1),
        history.episode(10),
        history.failed(2, new Error("no"), 9),
        history.timerCreated(3, 11, 10),
      ],
      fresh: [history.episode(20), history.timerFired(3, 11, 12)],
    });
    forget();
    const tags = tagsOf(response);
    expect(tags).toEqual([
      ["ship", { "durable-telemetry.origin": "attempt=1&root=instance-1" }],
      ["charge", { "durable-telemetry.origin": "attempt=2" }],
    ]);
    const spans = recordSpans();
    const running = episodeWorker((each) => each.addNamedOrchestrator("ship", () => 1), { propagate: {} });
    await runEpisode(running, { fresh: [history.episode(0), history.started("ship", { tags: tags[0]?.[1] ?? {} })] });
    expect(spans.finished[0]?.attributes).not.toHaveProperty("durabletask.root.instance_id");
    const child = history.started("ship", { tags: tags[0]?.[1] ?? {} });
    const { default: pb } = await import("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
    child
      .getExecutionstarted()
      ?.setParentinstance(
        new pb.ParentInstanceInfo().setOrchestrationinstance(
          new pb.OrchestrationInstance().setInstanceid("instance-1"),
        ),
      );
    await runEpisode(running, { fresh: [history.episode(0), child] });
    expect(spans.finished[1]?.attributes["durabletask.root.instance_id"]).toBe("instance-1");
  });

  it("K4 does not hand on a tag of more than 1,024 characters, and the work goes on", async () => {
    const response = await firstResponse({ propagate }, { tenant: "x".repeat(1025), note: "not listed" });
    expect(tagsOf(response)).toEqual([["charge", {}]]);
  });

  it("S12 hands on a tag with the name of a member that all objects have", async () => {
    const response = await firstResponse({ propagate: { tags: ["constructor"] } }, { constructor: "Brabham" });
    expect(tagsOf(response)).toEqual([["charge", { constructor: "Brabham" }]]);
  });

  it("R6 its middleware is outermost, and that for baggage inside the built-in telemetry", () => {
    const worker = episodeWorker(() => undefined, { propagate });
    expect(worker.middlewares).toEqual(["propagation", "tracing", "metrics", "logging", "baggage"]);
    expect(episodeWorker(() => undefined, { propagate: { tags: ["a"] } }).middlewares[0]).toBe("propagation");
  });

  it("D3 without it an episode returns the same tags as without this package: none are added", async () => {
    expect(tagsOf(await firstResponse({}, { tenant: "acme" }))).toEqual([["charge", {}]]);
    expect(tagsOf(await firstResponse({ propagate: false }, { tenant: "acme" }))).toEqual([["charge", {}]]);
    expect(tagsOf(await firstResponse({ propagate }, { tenant: "acme" }))).toEqual([["charge", { tenant: "acme" }]]);
  });

  it.each([
    [{ propagate: true }, /option "propagate" must be an object/],
    [{ propagate: { tags: "tenant" } }, /propagate: option "tags" must be an array of strings/],
    [{ propagate: { tag: [] } }, /propagate: unknown option "tag"; the options are tags, baggage/],
  ])("X4 refuses %j, and names the key", (options, message) => {
    expect(() =>
      withDurableTelemetry(
        episodeWorker(() => undefined),
        options as DurableTelemetryOptions,
      ),
    ).toThrow(message);
  });
});

function firstResponse(options: DurableTelemetryOptions, tags: Record<string, string>): Promise<OrchestratorResponse> {
  const worker = episodeWorker(
    (each) =>
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge");
      }),
    options,
  );
  return runEpisode(worker, { fresh: [history.episode(0), history.started("order", { tags })] });
}

/** The tags of the tasks that a response schedules. */
function tagsOf(response: OrchestratorResponse): readonly (readonly [string, Record<string, string>])[] {
  return response.getActionsList().flatMap((action) => {
    const task = action.getScheduletask() ?? action.getCreatesuborchestration();
    return task === undefined ? [] : [[task.getName(), Object.fromEntries(task.getTagsMap().getEntryList())] as const];
  });
}
