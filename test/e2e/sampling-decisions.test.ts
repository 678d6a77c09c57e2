import type { OrchestrationContext, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { ROOT_CONTEXT, TraceFlags, type SpanContext } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  ParentBasedSampler,
  SamplingDecision,
  SimpleSpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
  type SamplingResult,
} from "@opentelemetry/sdk-trace";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import { ActivitySpan, OrchestrationSpan, type MiddlewareObject } from "../../src/index.ts";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { use, type Steps } from "../harness.ts";
import { runActivity } from "../tracing/activities.ts";
import { history, outgoing } from "../tracing/episodes.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents, type Start } from "../worker/requests.ts";

/** A process as far as sampling goes: a provider with a sampler of its own, and a worker. */
class Process {
  readonly #exporter = new InMemorySpanExporter();
  readonly #provider: TracerProvider;
  readonly #worker: TaskHubGrpcWorker;
  /** The span contexts of all that ran here. */
  readonly seen: SpanContext[] = [];

  constructor(sampler: Sampler, generator: boolean) {
    this.#provider = new TracerProvider({
      sampler,
      spanProcessors: [new SimpleSpanProcessor({ exporter: this.#exporter })],
      ...(generator ? { idGenerator: new DurableIdGenerator() } : {}),
    });
    const see = (span: { spanContext(): SpanContext } | undefined): void => {
      if (span !== undefined) this.seen.push(span.spanContext());
    };
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
    this.#worker.addNamedActivity("step", () => 1);
    this.#worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.callActivity("step");
      yield ctx.callActivity("step");
    });
  }

  get exported(): number {
    return this.#exporter.getFinishedSpans().length;
  }

  /** Runs something on the worker while the provider is the registered one. */
  async on<T>(work: (worker: TaskHubGrpcWorker) => Promise<T>): Promise<T> {
    use(this.#provider);
    return work(this.#worker);
  }
}

const id = (length: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((bytes) => Buffer.from(bytes).toString("hex"))
    .filter((hex) => !/^0*$/.test(hex));

const orchestration = fc.record({
  instanceId: fc.string({ minLength: 1 }),
  executionId: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  caller: fc.option(fc.record({ traceId: id(16), spanId: id(8), sampled: fc.boolean() }), { nil: undefined }),
});

const circumstances = fc.record({
  ratio: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 1)),
  /** Whether the backend hands trace contexts back; then sampling by the execution takes an execution ID. */
  carries: fc.boolean(),
  parentBased: fc.boolean(),
  generator: fc.boolean(),
});

const isSampled = ({ decision }: SamplingResult): boolean => decision === SamplingDecision.RECORD_AND_SAMPLED;

it("I5 an orchestration's decision is the same in each episode and activity and in any process, and is the sampler's", async () => {
  await fc.assert(
    fc.asyncProperty(
      orchestration,
      circumstances,
      async ({ instanceId, executionId, caller }, { ratio, carries, parentBased, generator }) => {
        // What is not carried can't be known, and an activity that nobody can place is sampled on its own.
        fc.pre(carries || (caller === undefined && executionId !== undefined));
        const byRatio = new TraceIdRatioBasedSampler(ratio);
        const newProcess = (): Process =>
          new Process(parentBased ? new ParentBasedSampler({ root: byRatio }) : byRatio, generator);
        const processes = [newProcess(), newProcess()] as const;
        const [one, other] = processes;
        const traceparent = caller && `00-${caller.traceId}-${caller.spanId}-0${caller.sampled ? 1 : 0}`;
        const start: Start = {
          name: "steps",
          instanceId,
          ...(executionId === undefined ? {} : { executionId }),
          ...(traceparent === undefined ? {} : { traceparent }),
        };
        const opening = () => startEvents(start);
        const request = (
          past: Parameters<typeof orchestratorRequest>[1],
          fresh: Parameters<typeof orchestratorRequest>[0],
        ) => orchestratorRequest(fresh, past, { instanceId, executionId });

        // The first episode runs in both processes, as after a crash; the second in the other one.
        const lost = await one.on((worker) => runEpisode(worker, request([], opening())));
        const first = await other.on((worker) => runEpisode(worker, request([], opening())));
        const action = first.getActionsList()[0];
        const taskId = action?.getId() ?? 0;
        const traceContext = carries ? action?.getScheduletask()?.getParenttracecontext() : undefined;
        const ids = {
          name: "step",
          taskId,
          instanceId,
          ...(executionId === undefined ? {} : { executionId }),
          traceContext,
        };
        for (const process of processes) await process.on((worker) => runActivity(worker, ids));
        const scheduled = history.scheduled(taskId, "step", 1);
        scheduled.getTaskscheduled()?.setParenttracecontext(traceContext);
        const past = [...opening(), scheduled];
        const second = await one.on((worker) =>
          runEpisode(worker, request(past, [history.episode(2), history.completed(taskId, 1, 2)])),
        );

        const seen = processes.flatMap((process) => process.seen);
        expect(seen).toHaveLength(5);
        const traceIds = new Set(seen.map(({ traceId }) => traceId));
        expect(traceIds.size).toBe(1);
        const [traceId = ""] = traceIds;
        const wanted =
          caller !== undefined && parentBased ? caller.sampled : isSampled(byRatio.shouldSample(ROOT_CONTEXT, traceId));
        const flags = wanted ? TraceFlags.SAMPLED : TraceFlags.NONE;
        expect(new Set(seen.map(({ traceFlags }) => traceFlags))).toEqual(new Set([flags]));
        // What goes out says so too.
        expect(new Set([lost, first, second].flatMap(outgoing).map((each) => each.slice(-2)))).toEqual(
          new Set([`0${flags}`]),
        );
        // The two runs of the activity, and its scheduling.
        expect(one.exported + other.exported).toBe(wanted ? 3 : 0);
      },
    ),
    { numRuns: 300 },
  );
});
