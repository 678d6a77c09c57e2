/** Every kind of span that there is, once, counted: in both modes, with both SDKs, with and without the ID generator. */
import {
  EntityInstanceId,
  RetryPolicy,
  TaskEntity,
  type ActivityContext,
  type OrchestrationContext,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { SpanKind, trace, type Attributes, type SpanContext } from "@opentelemetry/api";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { startHub, use, type Hub, type Steps } from "../harness.ts";

class Counter extends TaskEntity<number> {
  add(value: number): number {
    if (value < 0) throw new RangeError("negative");
    this.state += value;
    return this.state;
  }
  protected override initializeState(): number {
    return 0;
  }
}

const counter = new EntityInstanceId("counter", "a");

// All workers': whichever runs the first attempt fails.
const runs = new Map<string, number>();

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedEntity("counter", () => new Counter());
  worker.addNamedActivity("charge", (ctx: ActivityContext) => {
    const run = (runs.get(ctx.orchestrationId) ?? 0) + 1;
    runs.set(ctx.orchestrationId, run);
    trace.getTracer("user").startSpan("in activity").end();
    if (run === 1) throw new Error("try again");
  });
  worker.addNamedOrchestrator("child", function (): null {
    trace.getTracer("user").startSpan("in child").end();
    return null;
  });
  worker.addNamedOrchestrator("listener", async function* (ctx: OrchestrationContext): Steps<void> {
    ctx.setCustomStatus("listening");
    yield ctx.waitForExternalEvent("go");
  });
  worker.addNamedOrchestrator(
    "order",
    async function* (
      ctx: OrchestrationContext,
      { listener, again }: { listener: string; again: boolean },
    ): Steps<void> {
      trace.getTracer("user").startSpan("in order").end();
      if (!again) {
        yield ctx.createTimer(0.001);
        ctx.continueAsNew({ listener, again: true }, true);
        return;
      }
      ctx.setCustomStatus("charging");
      yield ctx.callActivity("charge", null, {
        retry: new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 1 }),
      });
      yield ctx.callSubOrchestrator("child");
      yield ctx.waitForExternalEvent("approved");
      ctx.sendEvent(listener, "go", 1);
      ctx.entities.signalEntity(counter, "add", 1);
      yield ctx.entities.callEntity(counter, "add", 1);
      try {
        yield ctx.entities.callEntity(counter, "add", -1);
      } catch {
        // On purpose.
      }
      const lock: { release(): void } = yield ctx.entities.lockEntities(counter);
      lock.release();
    },
  );
}

async function runWorkflow({ client }: Hub): Promise<void> {
  const listener = await client.scheduleNewOrchestration("listener");
  await vi.waitFor(async () => {
    const state = await client.getOrchestrationState(listener);
    if (state?.serializedCustomStatus !== '"listening"') throw new Error("It does not wait yet.");
  }, 20_000);
  const order = await client.scheduleNewOrchestration("order", { listener, again: false });
  await client.raiseOrchestrationEvent(order, "approved", 1);
  await client.waitForOrchestrationCompletion(order, false, 20);
  await client.waitForOrchestrationCompletion(listener, false, 20);
}

interface Ended {
  readonly name: string;
  readonly kind: SpanKind;
  readonly status: { readonly code: number };
  readonly parentSpanContext?: SpanContext | undefined;
  readonly links: readonly { readonly context: SpanContext }[];
  readonly events: readonly { readonly name: string }[];
  readonly instrumentationScope: { readonly name: string };
  spanContext(): SpanContext;
}

const providers = { "SDK 2.x": BasicTracerProvider, "SDK 3.x": TracerProvider } as const;
const idOf = ({ traceId, spanId }: SpanContext): string => `${traceId}-${spanId}`;

/** `NAME KIND < PARENT`, `!` for what failed. */
function shapes(spans: readonly Ended[]): Record<string, number> {
  const known = new Map(spans.map((span) => [idOf(span.spanContext()), span]));
  const title = (span: Ended): string => `${span.name} ${SpanKind[span.kind]}${span.status.code === 2 ? "!" : ""}`;
  const counts: Record<string, number> = {};
  for (const span of spans) {
    const parent = span.parentSpanContext === undefined ? undefined : known.get(idOf(span.parentSpanContext));
    const above = span.parentSpanContext === undefined ? "root" : parent === undefined ? "ORPHAN" : title(parent);
    const shape = `${title(span)} < ${above}`;
    counts[shape] = (counts[shape] ?? 0) + 1;
  }
  return counts;
}

const expected = (carried: boolean): Record<string, number> => ({
  "create_orchestration:order PRODUCER < root": 1,
  "create_orchestration:listener PRODUCER < root": 1,
  "orchestration_event:approved PRODUCER < root": 1,
  "wait:go INTERNAL < orchestration:listener SERVER": 1,
  [`orchestration:listener SERVER < ${carried ? "create_orchestration:listener PRODUCER" : "root"}`]: 1,
  // Two executions: what continued as new is a trace of its own.
  ...(carried
    ? { "orchestration:order SERVER < create_orchestration:order PRODUCER": 1, "orchestration:order SERVER < root": 1 }
    : { "orchestration:order SERVER < root": 2 }),
  "in order INTERNAL < orchestration:order SERVER": 2,
  // The first execution's, and the pause before the second attempt.
  "orchestration:order:timer INTERNAL < orchestration:order SERVER": 2,
  "activity:charge CLIENT! < orchestration:order SERVER": 1,
  "activity:charge CLIENT < orchestration:order SERVER": 1,
  "activity:charge SERVER! < activity:charge CLIENT!": 1,
  "activity:charge SERVER < activity:charge CLIENT": 1,
  "in activity INTERNAL < activity:charge SERVER!": 1,
  "in activity INTERNAL < activity:charge SERVER": 1,
  "orchestration:child CLIENT < orchestration:order SERVER": 1,
  [`orchestration:child SERVER < ${carried ? "orchestration:child CLIENT" : "root"}`]: 1,
  "in child INTERNAL < orchestration:child SERVER": 1,
  "orchestration_event:go PRODUCER < orchestration:order SERVER": 1,
  "signal_entity:add PRODUCER < orchestration:order SERVER": 1,
  "call_entity:add CLIENT < orchestration:order SERVER": 1,
  "call_entity:add CLIENT! < orchestration:order SERVER": 1,
  "entity:lock_request INTERNAL < orchestration:order SERVER": 1,
});

describe.each(["carry", "drop"] as const)("With trace contexts that the backend handles so: %s", (traceContext) => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await startHub({ traceContext });
    await hub.worker({}, register);
    await hub.worker({}, register);
  });

  const cases = (["SDK 2.x", "SDK 3.x"] as const).flatMap((sdk) =>
    [true, false].map((generator) => ({ sdk, generator })),
  );
  it.each(cases)(
    "S1 every span of the table is there as often as it should be (OpenTelemetry $sdk, DurableIdGenerator: $generator)",
    async ({ sdk, generator }) => {
      const spans: Ended[] = [];
      let open = 0;
      const all = Promise.withResolvers<void>();
      const count = Object.values(expected(traceContext === "carry")).reduce((sum, each) => sum + each, 0);
      const processor = {
        onStart: () => void (open += 1),
        onEnd: (span: Ended) => {
          open -= 1;
          spans.push(span);
          if (spans.length >= count) all.resolve();
        },
        forceFlush: async () => undefined,
        shutdown: async () => undefined,
      };
      use(
        new providers[sdk]({
          ...(generator ? { idGenerator: new DurableIdGenerator() } : {}),
          spanProcessors: [processor],
        }),
      );
      onTestFinished(() =>
        use({
          getTracer: () => {
            throw new Error("This test is over.");
          },
        }),
      );
      await runWorkflow(hub);
      await all.promise;
      expect(shapes(spans)).toEqual(expected(traceContext === "carry"));
      expect(new Set(spans.map((span) => idOf(span.spanContext()))).size).toBe(spans.length);
      expect(open).toBe(0);
      // Links: the second execution's to the first, and the listener's to who sent it the event.
      const servers = spans.filter(({ kind, name }) => kind === SpanKind.SERVER && name.startsWith("orchestration:"));
      const [first, second] = servers.filter(({ name }) => name === "orchestration:order");
      const sent = spans.find(({ name }) => name === "orchestration_event:go");
      expect(second?.links.map(({ context }) => context.spanId)).toEqual([first?.spanContext().spanId]);
      expect(
        servers.find(({ name }) => name === "orchestration:listener")?.links.map(({ context }) => context.spanId),
      ).toEqual([sent?.spanContext().spanId]);
      expect(second?.events.map(({ name }) => name.replace("durabletask.orchestration.", "")).toSorted()).toEqual([
        "custom_status_changed",
        "event_raised",
      ]);
    },
  );
});

describe("Beside the SDK's built-in tracing", () => {
  // What only its faults need: the identity that it can't give a span, and that of the replays.
  const ofItsFaults = new Set(["durabletask.task.replay_span_id", "durabletask.task.replay_start_time"]);

  async function attributesOf(
    start: (hub: Hub) => Promise<unknown>,
  ): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const hub = await startHub();
    const found = new Map<string, Set<string>>();
    const ended = Promise.withResolvers<void>();
    const processor = {
      onStart: () => undefined,
      onEnd: ({ name, kind, attributes }: Ended & { readonly attributes: Attributes }) => {
        const title = `${name} ${SpanKind[kind]}`;
        found.set(title, new Set([...(found.get(title) ?? []), ...Object.keys(attributes)]));
        if (attributes["durabletask.task.status"] === "Completed" && name === "orchestration:order") ended.resolve();
      },
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    };
    use(new TracerProvider({ idGenerator: new DurableIdGenerator(), spanProcessors: [processor] }));
    await start(hub);
    await runWorkflow(hub);
    await ended.promise;
    return found;
  }

  it("S1 no span and no attribute is lost", async () => {
    onTestFinished(() =>
      use({
        getTracer: () => {
          throw new Error("This test is over.");
        },
      }),
    );
    const theirs = await attributesOf((hub) => hub.bareWorker(register));
    const ours = await attributesOf((hub) => hub.worker({}, register));
    expect(theirs.size).toBeGreaterThan(10);
    for (const [title, keys] of theirs) {
      const wanted = [...keys].filter((key) => !ofItsFaults.has(key));
      expect([title, ...(ours.get(title) ?? [])]).toEqual(expect.arrayContaining([title, ...wanted]));
    }
  });
});
