/** Samplers whose answer is not a function of the trace ID: what they answer first is the decision (telemetry.md I10). */
import { whenAll, type OrchestrationContext, type TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type { OrchestratorResponse } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import proto from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import {
  context,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  SamplingDecision,
  SpanKind,
  trace,
  TraceFlags,
  type SpanContext,
} from "@opentelemetry/api";
import { suppressTracing, W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TracerProvider,
  type ReadableSpan,
  type Sampler,
  type SamplingResult,
} from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { describe, expect, it } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import { ActivitySpan, OrchestrationSpan, type MiddlewareObject } from "../../src/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { Waits } from "../../src/testing/recorder/waits.ts";
import { startHub, use, type Steps } from "../harness.ts";
import { runActivity } from "../tracing/activities.ts";
import { history, outgoing } from "../tracing/episodes.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { RateLimitedSampler } from "./rate-limited-sampler.ts";

const providers = { "2.x": BasicTracerProvider, "3.x": TracerProvider } as const;
type Version = keyof typeof providers;

/** A provider of that SDK, registered, and what it exports. */
function register(version: Version, sampler: Sampler, changed = (): void => undefined): RecordedSpans {
  const spans = new RecordedSpans(changed);
  use(new providers[version]({ sampler, spanProcessors: [spans] }));
  return spans;
}

/** A sampler that is not asked about user code's spans, which follow the active one. */
class FollowedByUserSpans implements Sampler {
  readonly #sampler: Sampler;

  constructor(sampler: Sampler) {
    this.#sampler = sampler;
  }

  shouldSample(...args: Parameters<Sampler["shouldSample"]>): SamplingResult {
    const above = args[2] === "in activity" ? trace.getSpanContext(args[0]) : undefined;
    if (above === undefined) return this.#sampler.shouldSample(...args);
    return {
      decision:
        (above.traceFlags & TraceFlags.SAMPLED) !== 0
          ? SamplingDecision.RECORD_AND_SAMPLED
          : SamplingDecision.NOT_RECORD,
    };
  }

  toString(): string {
    return this.#sampler.toString();
  }
}

/** The traces as lists of what is in them. */
const traces = (spans: readonly ReadableSpan[]): string[] =>
  [...Map.groupBy(spans, (span) => span.spanContext().traceId).values()].map((all) =>
    all
      .map((span) => `${span.name} ${SpanKind[span.kind]}`)
      .toSorted()
      .join(", "),
  );

const child = [
  "activity:step CLIENT",
  "activity:step SERVER",
  "in activity INTERNAL",
  "orchestration:child CLIENT",
  "orchestration:child SERVER",
];
const flow = [
  ...Array.from({ length: 4 }, () => ["activity:step CLIENT", "activity:step SERVER", "in activity INTERNAL"]).flat(),
  "orchestration:flow SERVER",
];

function registerTasks(worker: TaskHubGrpcWorker): void {
  worker.addNamedActivity("step", () => trace.getTracer("user").startSpan("in activity").end());
  worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.callActivity("step");
  });
  worker.addNamedOrchestrator("flow", async function* (ctx: OrchestrationContext, hasChild: boolean): Steps<void> {
    yield whenAll([ctx.callActivity("step"), ctx.callActivity("step")]);
    for (let step = 0; step < 2; step += 1) yield ctx.callActivity("step");
    if (hasChild) yield ctx.callSubOrchestrator("child");
  });
}

describe.each<[Version]>([["2.x"], ["3.x"]])(
  "I10 20 orchestrations on two workers, with SDK %s and a sampler that lets five spans a second through",
  (version) => {
    interface Served {
      readonly traces: readonly string[];
      /** How often the sampler was asked about spans of this package and of the SDK. */
      readonly asked: Readonly<Record<string, number>>;
    }

    async function serve(
      traceContext: "carry" | "drop",
      isClientTraced: boolean,
      whole: readonly string[],
    ): Promise<Served> {
      const hub = await startHub({ traceContext });
      // The orchestrations that were sampled, as they saw it in each of their episodes.
      const sampled = new Set<string>();
      const watch: MiddlewareObject = {
        name: "watch",
        orchestration: async (ctx, next) => {
          const flags = ctx.features.get(OrchestrationSpan)?.spanContext().traceFlags ?? 0;
          if (ctx.name === "flow" && (flags & TraceFlags.SAMPLED) !== 0) sampled.add(ctx.instanceId);
          await next(ctx);
        },
      };
      for (let each = 0; each < 2; each += 1)
        await hub.worker({ metrics: false, logging: false, use: [watch] }, registerTasks);
      // It is asked once in 110 ms, so that the rate allows some spans and refuses some.
      let time = 0;
      const sampler = new RateLimitedSampler(5, () => (time += 110));
      const waits = new Waits();
      const spans = register(version, new FollowedByUserSpans(sampler), () => waits.changed());
      const schedule = (): Promise<string> => hub.client.scheduleNewOrchestration("flow", traceContext === "carry");
      const quietly = suppressTracing(context.active());
      for (let number = 0; number < 20; number += 1) {
        const id = await (isClientTraced ? schedule() : context.with(quietly, schedule));
        await hub.client.waitForOrchestrationCompletion(id, false, 25);
      }
      // A trace's last spans are emitted when the worker learns that the backend has the response.
      const isDone = (): boolean => spans.ended.length === sampled.size * whole.length;
      await waits.until(
        isDone,
        25_000,
        () =>
          new Error(
            `${sampled.size} orchestrations were sampled, and these are the traces: ${traces(spans.ended).join("; ")}.`,
          ),
      );
      const asked: Record<string, number> = {};
      for (const name of sampler.asked) asked[name] = (asked[name] ?? 0) + 1;
      return { traces: traces(spans.ended), asked };
    }

    it("I10 that the client decided: each trace is whole or absent, and the sampler is never asked about it again", async () => {
      const expected = [...flow, ...child, "create_orchestration:flow PRODUCER"].toSorted();
      const served = await serve("carry", true, expected);
      expect(new Set(served.traces)).toEqual(new Set([expected.join(", ")]));
      expect(served.traces.length).toBeLessThan(20);
      expect(served.asked).toEqual({ "create_orchestration:flow": 20 });
    });

    it("I10 that nobody decided before: each trace is whole or absent, and the sampler is asked once for each execution", async () => {
      const expected = [...flow, ...child].toSorted();
      const served = await serve("carry", false, expected);
      expect(new Set(served.traces)).toEqual(new Set([expected.join(", ")]));
      expect(served.traces.length).toBeLessThan(20);
      expect(served.asked).toEqual({ "orchestration:flow": 20 });
    });

    it("I10 on a backend that carries nothing: one process remembers, so each trace is whole or absent all the same", async () => {
      const served = await serve("drop", false, flow);
      expect(new Set(served.traces)).toEqual(new Set([flow.toSorted().join(", ")]));
      expect(served.traces.length).toBeLessThan(20);
      expect(served.asked).toEqual({ "orchestration:flow": 20 });
    });
  },
);

/** A process as far as sampling goes, started anew for each work item as after a restart. */
class Process {
  readonly #spans: RecordedSpans;
  readonly #worker: TaskHubGrpcWorker;
  readonly seen: SpanContext[] = [];

  constructor(sampler: Sampler) {
    this.#spans = register("3.x", sampler);
    const see = (span: { spanContext(): SpanContext } | undefined): void =>
      void (span === undefined || this.seen.push(span.spanContext()));
    const watch: MiddlewareObject = {
      name: "watch",
      orchestration: async (ctx, next) => {
        see(ctx.features.get(OrchestrationSpan));
        await next(ctx);
      },
      activity: async (ctx, next) => {
        see(ctx.features.get(ActivitySpan));
        await next(ctx);
      },
    };
    this.#worker = hostWorker({ middlewares: () => [tracing(), watch] });
    registerTasks(this.#worker);
  }

  get exported(): string[] {
    return this.#spans.ended.map((span) => `${span.name} ${SpanKind[span.kind]}`);
  }

  episode(
    past: Parameters<typeof orchestratorRequest>[1],
    fresh: Parameters<typeof orchestratorRequest>[0],
    persisted?: OrchestratorResponse,
  ): Promise<OrchestratorResponse> {
    const request = orchestratorRequest(fresh, past, { instanceId: "instance-1", executionId: "execution-1" });
    return runEpisode(this.#worker, request.setOrchestrationtracecontext(persisted?.getOrchestrationtracecontext()));
  }

  activity(traceparent: string): Promise<void> {
    return runActivity(this.#worker, {
      name: "step",
      executionId: "execution-1",
      traceContext: new proto.TraceContext().setTraceparent(traceparent),
    });
  }
}

/** Answers yes and no in turn. */
class InTurn implements Sampler {
  readonly asked: string[] = [];
  #next: boolean;

  constructor(first: boolean) {
    this.#next = first;
  }

  shouldSample(...[, , name]: Parameters<Sampler["shouldSample"]>): { decision: SamplingDecision } {
    this.asked.push(name);
    const decision = this.#next ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD;
    this.#next = !this.#next;
    return { decision };
  }

  toString(): string {
    return "InTurn";
  }
}

/** Three episodes and two activities of one execution, each in a process of its own. */
async function runEverywhere(
  sampler: Sampler,
  start: { traceparent?: string } = {},
): Promise<{
  readonly seen: readonly SpanContext[];
  readonly exported: readonly string[];
  readonly sent: readonly string[];
}> {
  const processes: Process[] = [];
  const inNewProcess = (): Process => {
    const process = new Process(sampler);
    processes.push(process);
    return process;
  };
  const opening = startEvents({ name: "child", instanceId: "instance-1", executionId: "execution-1", ...start });
  const first = await inNewProcess().episode([], opening);
  const taskId = first.getActionsList()[0]?.getId() ?? 0;
  const [traceparent = ""] = outgoing(first);
  await inNewProcess().activity(traceparent);
  // It is run again, as after a crash.
  await inNewProcess().activity(traceparent);
  const scheduled = history.scheduled(taskId, "step", 1);
  const middle = [history.episode(2), history.raised("nothing", 2)];
  const second = await inNewProcess().episode([...opening, scheduled], middle, first);
  const third = await inNewProcess().episode(
    [...opening, scheduled, ...middle],
    [history.episode(4), history.completed(taskId, 1, 4)],
    second,
  );
  expect(third.getActionsList()[0]?.hasCompleteorchestration()).toBe(true);
  return {
    seen: processes.flatMap(({ seen }) => seen),
    exported: processes.flatMap(({ exported }) => exported),
    sent: outgoing(first),
  };
}

const whole = ["activity:step CLIENT", "activity:step SERVER", "activity:step SERVER", "orchestration:child SERVER"];
const exportedOf = ({ exported }: { readonly exported: readonly string[] }): string[] =>
  exported.filter((name) => !name.startsWith("in activity")).toSorted();

describe("I10 an execution whose episodes and activities each run in a new process", () => {
  it.each([[true], [false]])(
    "I10 is decided by the first episode (%s), which the persisted span context and the traceparent tell all others",
    async (isSampled) => {
      const sampler = new InTurn(isSampled);
      const run = await runEverywhere(sampler);
      expect(sampler.asked.filter((name) => name !== "in activity")).toEqual(["orchestration:child"]);
      expect(run.seen).toHaveLength(5);
      expect(new Set(run.seen.map(({ traceFlags }) => traceFlags))).toEqual(
        new Set([isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE]),
      );
      expect(new Set(run.seen.map(({ traceId }) => traceId)).size).toBe(1);
      expect(run.sent[0]?.slice(-2)).toBe(isSampled ? "01" : "00");
      expect(exportedOf(run)).toEqual(isSampled ? whole : []);
    },
  );

  it("I10 has a span ID for each decision, so that the one that is persisted tells it", async () => {
    const [sampled, unsampled] = [await runEverywhere(new InTurn(true)), await runEverywhere(new InTurn(false))];
    expect(sampled.seen[0]?.traceId).toBe(unsampled.seen[0]?.traceId);
    expect(sampled.seen[0]?.spanId).not.toBe(unsampled.seen[0]?.spanId);
  });

  const caller = (flags: string): string => `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}`;

  it.each([["01"], ["00"]])(
    "I10 obeys the caller, whose flags are %s, and asks no sampler that keeps state",
    async (flags) => {
      const sampler = new InTurn(flags === "00");
      const run = await runEverywhere(sampler, { traceparent: caller(flags) });
      expect(sampler.asked.filter((name) => name !== "in activity")).toEqual([]);
      expect(exportedOf(run)).toEqual(flags === "01" ? whole : []);
    },
  );

  it("I5 obeys a sampler that answers for a trace ID the same each time, whatever the caller decided", async () => {
    expect(exportedOf(await runEverywhere(new AlwaysOffSampler(), { traceparent: caller("01") }))).toEqual([]);
    expect(exportedOf(await runEverywhere(new AlwaysOnSampler(), { traceparent: caller("00") }))).toEqual(whole);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("broken on purpose");
      },
    ],
    ["returns nothing", () => undefined],
    ["returns a decision that there is none of", () => ({ decision: 7 })],
    ["returns a promise that rejects", () => Promise.reject(new Error("late"))],
    [
      "returns a result whose decision throws",
      () =>
        Object.defineProperty({}, "decision", {
          get: () => {
            throw new Error("broken on purpose");
          },
        }),
    ],
    [
      "returns a revoked proxy",
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      },
    ],
  ])("K1 whose sampler %s is not sampled as a whole, and runs to its end", async (_, answer) => {
    // User code's own spans are the SDK's to ask about.
    const shouldSample = ((...[, , name]: Parameters<Sampler["shouldSample"]>) =>
      name === "in activity" ? { decision: SamplingDecision.NOT_RECORD } : answer()) as Sampler["shouldSample"];
    const run = await runEverywhere({ shouldSample, toString: () => "broken" });
    expect(new Set(run.seen.map(({ traceFlags }) => traceFlags))).toEqual(new Set([TraceFlags.NONE]));
    expect(run.exported).toEqual([]);
  });

  it("I10 has on all of its spans what the sampler added to the first, where one process runs it all", async () => {
    let time = 0;
    const sampler = new RateLimitedSampler(5, () => (time += 110));
    const spans = register("3.x", sampler);
    const hub = await startHub();
    await hub.worker({ metrics: false, logging: false }, registerTasks);
    for (let number = 0; spans.ended.length === 0 && number < 50; number += 1) {
      const id = await context.with(suppressTracing(ROOT_CONTEXT), () => hub.client.scheduleNewOrchestration("child"));
      await hub.client.waitForOrchestrationCompletion(id, false, 25);
    }
    const own = spans.ended.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
    const rates = new Set(own.map(({ attributes }) => attributes["_MS.sampleRate"]));
    expect(rates.size).toBe(1);
    expect([...rates]).toEqual([expect.any(Number)]);
  });
});

describe.each<[Version]>([["2.x"], ["3.x"]])("I10 a trace that is left out, with SDK %s", (version) => {
  /** Runs an orchestration and an activity whose code opens spans, under a caller whose trace is left out. */
  async function spansOfUserCode(
    sampler: Sampler,
  ): Promise<{ readonly names: readonly string[]; readonly isPropagated: boolean }> {
    const hub = await startHub();
    let isPropagated = false;
    await hub.worker({ metrics: false, logging: false }, (worker) => {
      worker.addNamedActivity("step", () => {
        const carrier: Record<string, string> = {};
        new W3CTraceContextPropagator().inject(context.active(), carrier, defaultTextMapSetter);
        isPropagated = carrier["traceparent"]?.endsWith("-00") ?? false;
        trace.getTracer("user").startSpan("in activity").end();
      });
      worker.addNamedOrchestrator("flow", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callActivity("step");
        trace.getTracer("user").startSpan("in orchestrator").end();
      });
    });
    const spans = register(version, sampler);
    const leftOut = trace.setSpanContext(ROOT_CONTEXT, {
      traceId: "a".repeat(32),
      spanId: "b".repeat(16),
      traceFlags: TraceFlags.NONE,
    });
    // The SDK's client starts its span under this context; it is not sampled either.
    const id = await context.with(leftOut, () => hub.client.scheduleNewOrchestration("flow"));
    await hub.client.waitForOrchestrationCompletion(id, false, 25);
    return { names: spans.ended.map(({ name }) => name), isPropagated };
  }

  it("I10 has no stray spans of user code, though the sampler decides span by span", async () => {
    const sampler: Sampler = {
      shouldSample: (_context, _traceId, name) => ({
        decision: name.startsWith("in ") ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD,
      }),
      toString: () => "RateLimitedSampler{5}",
    };
    expect(await spansOfUserCode(sampler)).toMatchObject({ names: [] });
  });

  it("I10 goes on to other services as left out, where the sampler obeys the parent", async () => {
    const sampler = new ParentBasedSampler({ root: new AlwaysOnSampler() });
    expect(await spansOfUserCode(sampler)).toEqual({ names: [], isPropagated: true });
  });
});
