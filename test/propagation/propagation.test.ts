/** Tags and baggage of an orchestration, handed to its activities and sub-orchestrations. */
import { NoOpLogger, RetryPolicy, type OrchestrationContext, type TaskOptions } from "@microsoft/durabletask-js";
import type {
  HistoryEvent,
  OrchestratorResponse,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { context, logs, metrics, propagation, SpanKind } from "@opentelemetry/api";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  baggageTags,
  currentLogger,
  withDurableTelemetry,
  type DurableTelemetryOptions,
  type PropagateOptions,
} from "../../src/index.ts";
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
      each.addNamedOrchestrator("renew", async function* (ctx: OrchestrationContext, times: number): Steps {
        if (times > 0) return ctx.continueAsNew(times - 1, false);
        yield ctx.callActivity("pack");
        return times;
      });
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
      { propagate: { origin: true } },
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
    const running = episodeWorker((each) => each.addNamedOrchestrator("ship", () => 1), {
      propagate: { origin: true },
    });
    await runEpisode(running, { fresh: [history.episode(0), history.started("ship", { tags: tags[0]?.[1] ?? {} })] });
    expect(spans.finished[0]?.attributes).not.toHaveProperty("durabletask.root.instance_id");
    const child = history.started("ship", { tags: tags[0]?.[1] ?? {} });
    await runEpisode(running, { fresh: [history.episode(0), ofParent(child)] });
    expect(spans.finished[1]?.attributes["durabletask.root.instance_id"]).toBe("instance-1");
  });

  it("P1 hands on nothing that it does not name", async () => {
    const tags = { tenant: "acme", note: "stays", "baggage.tenant.id": "42", "baggage.secret": "x" };
    const handed = async (options: PropagateOptions): Promise<unknown> =>
      tagsOf(await firstResponse({ propagate: options }, tags, { retry }));
    expect(await handed({})).toEqual([["charge", {}]]);
    expect(await handed({ tags: ["tenant"] })).toEqual([["charge", { tenant: "acme" }]]);
    expect(await handed({ baggage: ["tenant.id"] })).toEqual([["charge", { "baggage.tenant.id": "42" }]]);
    expect(await handed({ origin: true })).toEqual([["charge", { "durable-telemetry.origin": "attempt=1&retry=1" }]]);
  });

  it("P2 a continued execution gets what is named, and in its own tasks too, over the wire", async () => {
    seen.clear();
    const tags = { tenant: "acme", "baggage.tenant.id": "42", note: "of the hub's own" };
    expect(await hub.run("renew", 2, { tags })).toMatchObject({ serializedOutput: "0" });
    const handed = { tenant: "acme", baggage: "42" };
    expect(Object.fromEntries(seen)).toEqual({ renew: handed, pack: handed });
  });

  it("P2 the action that continues an execution carries them, with the origin of a sub-orchestration, and no other", async () => {
    const origin = "attempt=2&root=order-7";
    const started = ofParent(
      history.started("renew", { tags: { tenant: "acme", note: "stays", "durable-telemetry.origin": origin } }),
    );
    const continued = async (options: PropagateOptions | false): Promise<unknown> => {
      const worker = episodeWorker(
        (each) =>
          each.addNamedOrchestrator("renew", (ctx: OrchestrationContext): void => ctx.continueAsNew(null, false)),
        { propagate: options },
      );
      const [action] = (await runEpisode(worker, { fresh: [history.episode(0), started] })).getActionsList();
      return Object.fromEntries(action?.getCompleteorchestration()?.getTagsMap().getEntryList() ?? []);
    };
    expect(await continued(propagate)).toEqual({ tenant: "acme" });
    expect(await continued({ origin: true })).toEqual({ "durable-telemetry.origin": origin });
    expect(await continued(false)).toEqual({});
  });

  it.each([
    ["a value of more than 256 bytes", { tenant: "x".repeat(257) }, "it has more than 256 bytes"],
    ["a value of fewer characters than bytes", { owner: "ü".repeat(129) }, "it has more than 256 bytes"],
    ["a value with a line feed", { tenant: "acme\nevil: 1" }, "it has control characters"],
    ["a value with a control character beyond ASCII", { city: "a\u0085" }, "it has control characters"],
    ["a name of more than 256 bytes", { ["n".repeat(257)]: "acme" }, "it has more than 256 bytes"],
    ["a name with a NUL", { "ten\0ant": "acme" }, "it has control characters"],
  ] satisfies [string, Record<string, string>, string][])(
    "P3 leaves out %s, reports it once, and hands on the rest",
    async (_, bad, obstacle) => {
      // Each case has a name of its own: a cause is logged once a minute.
      const warn = vi.spyOn(NoOpLogger.prototype, "warn");
      onTestFinished(() => warn.mockRestore());
      const [name = ""] = Object.keys(bad);
      const tags = [name, "region"];
      for (let time = 0; time < 3; time += 1) {
        const response = await firstResponse({ propagate: { tags } }, { ...bad, region: "r".repeat(256) });
        expect(tagsOf(response)).toEqual([["charge", { region: "r".repeat(256) }]]);
      }
      const [[line] = [""], ...others] = warn.mock.calls;
      expect(others).toEqual([]);
      expect(line).toContain("was not handed on");
      expect(line).toContain(obstacle);
      expect(line).not.toMatch(/\p{Cc}/u);
    },
  );

  it.each([
    ["tenant", 5],
    ["tenant", undefined],
    ["tenant", "\ud800"],
    [5, "acme"],
    [Symbol("tenant"), "acme"],
  ])("W5 a hook that sets %s to %j as a tag changes nothing", async (name, value) => {
    const set = ({ setTag }: { setTag?: (name: string, value: string, replaces: boolean) => void }) =>
      expect(() => setTag?.(name as string, value as string, true)).toThrow(/^setTag: the name and the value must be/);
    const refused: string[] = [];
    const response = await firstResponse(
      {
        use: [
          {
            name: "sets",
            workItem: () => ({
              onResponse: (answer) => {
                if (!("scheduled" in answer)) return;
                for (const task of answer.scheduled) set({ setTag: task.setTag?.bind(task) as never });
                refused.push("all refused");
              },
            }),
          },
        ],
      },
      {},
    );
    expect(refused).toEqual(["all refused"]);
    expect(tagsOf(response)).toEqual([["charge", {}]]);
    expect(response.serializeBinary().length).toBeGreaterThan(0);
  });

  it("P3 S10 the instance ID of the root has its own 256 bytes, whatever its characters", async () => {
    const roots = ["订单".repeat(20), "100 % & more=1", "a".repeat(256), "a".repeat(257)];
    const handed: unknown[] = [];
    for (const root of roots) {
      const started = ofParent(
        history.started("order", { tags: { "durable-telemetry.origin": `attempt=1&root=${root}` } }),
      );
      forget();
      const worker = episodeWorker(
        (each) =>
          each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
            return yield ctx.callActivity("charge");
          }),
        { propagate: { origin: true } },
      );
      handed.push(tagsOf(await runEpisode(worker, { fresh: [history.episode(0), started] }))[0]?.[1]);
    }
    expect(handed).toEqual([
      { "durable-telemetry.origin": `attempt=1&root=${roots[0]}` },
      { "durable-telemetry.origin": `attempt=1&root=${roots[1]}` },
      { "durable-telemetry.origin": `attempt=1&root=${roots[2]}` },
      { "durable-telemetry.origin": "attempt=1" },
    ]);
  });

  it("S12 an entry of the baggage may have any key", async () => {
    let value: string | undefined;
    const worker = episodeWorker(
      (each) =>
        each.addNamedOrchestrator("order", () => {
          value = propagation.getActiveBaggage()?.getEntry("__proto__")?.value;
        }),
      { propagate: { baggage: ["__proto__"] } },
    );
    await runEpisode(worker, {
      fresh: [history.episode(0), history.started("order", { tags: { "baggage.__proto__": "42" } })],
    });
    expect(value).toBe("42");
  });

  it.each([undefined, "tenant.id", [1]])("X4 baggageTags refuses %j, and says what it takes", (keys) => {
    expect(() => baggageTags(keys as unknown as string[])).toThrow(
      /^baggageTags: the keys must be an array of strings/,
    );
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
    [{ propagate: { tags: ["durable-telemetry.origin"] } }, /which the option "origin" hands on/],
    [{ propagate: { tag: [] } }, /propagate: unknown option "tag"; the options are tags, baggage, origin/],
  ])("X4 refuses %j, and names the key", (options, message) => {
    expect(() =>
      withDurableTelemetry(
        episodeWorker(() => undefined),
        options as DurableTelemetryOptions,
      ),
    ).toThrow(message);
  });
});

/** The start of a sub-orchestration of `instance-1`. */
function ofParent(started: HistoryEvent): HistoryEvent {
  const parent = new pb.OrchestrationInstance().setInstanceid("instance-1");
  started.getExecutionstarted()?.setParentinstance(new pb.ParentInstanceInfo().setOrchestrationinstance(parent));
  return started;
}

function firstResponse(
  options: DurableTelemetryOptions,
  tags: Record<string, string>,
  ofTask: TaskOptions = {},
): Promise<OrchestratorResponse> {
  const worker = episodeWorker(
    (each) =>
      each.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", null, ofTask);
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
