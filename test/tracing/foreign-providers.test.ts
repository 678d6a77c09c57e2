/** Tracer providers and context managers of other makes: whatever they return, the work is done and nothing is said twice (telemetry.md I12, K1). */
import { EventEmitter } from "node:events";
import { TaskHubGrpcWorker, whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import {
  context,
  diag,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  TraceFlags,
  type Context,
  type ContextManager,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
  type TracerProvider as ApiTracerProvider,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import { RandomIdGenerator, TracerProvider, type ReadableSpan, type SpanProcessor } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { currentTracer, endSpan } from "../../middlewares/tracing/tracer.ts";
import { quietClient } from "../../src/worker/quiet-client.ts";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { DurableIdGenerator } from "../../src/otlp/index.ts";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { resultOf, startHub, use, wholeness, type Steps } from "../harness.ts";
import { runActivity } from "./activities.ts";
import { history, runEpisode, type EpisodeRequest } from "./episodes.ts";

const noProvider: ApiTracerProvider = {
  getTracer: () => {
    throw new Error("Nobody asks it.");
  },
};
function provide(provider: ApiTracerProvider): void {
  use(provider);
  onTestFinished(() => use(noProvider));
}

function register(worker: TaskHubGrpcWorker): void {
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<string> {
    yield ctx.callActivity("charge");
    return "charged";
  });
  worker.addNamedActivity("charge", () => "charged");
}

function thrown(): never {
  throw new Error("broken on purpose");
}

const first: EpisodeRequest = { fresh: [history.episode(0), history.started("order")] };
const last: EpisodeRequest = {
  past: [...first.fresh, history.scheduled(1, "charge", 5)],
  fresh: [history.episode(20), history.completed(1, "charged", 18)],
};

interface Run {
  readonly warnings: readonly string[];
  readonly result: string | undefined;
}

/** Runs the workflow on a worker of its own, and a second one beside it. */
async function runWorkflow(options: DurableTelemetryOptions = {}): Promise<Run> {
  const warnings: string[] = [];
  const logger = {
    error: vi.fn(),
    warn: (message: string) => void warnings.push(message),
    info: vi.fn(),
    debug: vi.fn(),
  };
  const worker = withDurableTelemetry(new TaskHubGrpcWorker({ logger }), {
    metrics: false,
    logging: false,
    ...options,
  });
  register(worker);
  let result: string | undefined;
  for (let run = 0; run < 3; run += 1) {
    await runEpisode(worker, first);
    await runActivity(worker, { name: "charge", executionId: "execution-1" });
    result = (await runEpisode(worker, last)).getActionsList()[0]?.getCompleteorchestration()?.getResult()?.getValue();
  }
  return { warnings, result };
}

/** A provider that hides the SDK's tracers, as one that counts or filters spans does. */
function wrapped(provider: ApiTracerProvider): ApiTracerProvider {
  return {
    getTracer: (...scope) => {
      const tracer = provider.getTracer(...scope);
      return {
        startSpan: (...args) => tracer.startSpan(...args),
        startActiveSpan: tracer.startActiveSpan.bind(tracer),
      };
    },
  };
}

const shape = (spans: readonly ReadableSpan[]): string[] =>
  spans.map(
    (span) => `${span.name} ${SpanKind[span.kind]} ${span.spanContext().spanId} < ${span.parentSpanContext?.spanId}`,
  );

/** A provider whose spans are made by `startSpan`, and all of those. */
class Foreign implements ApiTracerProvider {
  readonly spans: Span[] = [];
  readonly #startSpan: (name: string, options: SpanOptions | undefined, parent: Context | undefined) => Span;

  constructor(startSpan: (name: string, options: SpanOptions | undefined, parent: Context | undefined) => Span) {
    this.#startSpan = startSpan;
  }

  getTracer(): Tracer {
    return {
      startSpan: (name, options, parent) => {
        const span = this.#startSpan(name, options, parent);
        this.spans.push(span);
        return span;
      },
      startActiveSpan: () => {
        throw new Error("Nobody calls it.");
      },
    };
  }
}

/** A span that notes its name and its end. */
class ForeignSpan {
  readonly name: string;
  ended = false;
  readonly #spanContext: () => SpanContext;

  constructor(name: string, spanContext: () => SpanContext) {
    this.name = name;
    this.#spanContext = spanContext;
  }

  spanContext(): SpanContext {
    return this.#spanContext();
  }
  isRecording(): boolean {
    return !this.ended;
  }
  end(): void {
    this.ended = true;
  }
  setAttribute(): this {
    return this;
  }
  setAttributes(): this {
    return this;
  }
  addEvent(): this {
    return this;
  }
  addLink(): this {
    return this;
  }
  addLinks(): this {
    return this;
  }
  setStatus(): this {
    return this;
  }
  updateName(): this {
    return this;
  }
  recordException(): void {}
}

const random = new RandomIdGenerator();

/** As dd-trace 6.21 does it: IDs of 64 bits, a span context of getters, made anew at each call. */
class ShortSpanContext implements SpanContext {
  readonly #spanId = random.generateSpanId();
  readonly #traceId: string;

  constructor(parent: SpanContext | undefined) {
    this.#traceId = (parent?.traceId.slice(16) ?? this.#spanId).padStart(32, "0");
  }

  get traceId(): string {
    return this.#traceId;
  }
  get spanId(): string {
    return this.#spanId;
  }
  get traceFlags(): number {
    return TraceFlags.SAMPLED;
  }
}

const shortIds = (): Foreign =>
  new Foreign((name, _, parent) => {
    const own = new ShortSpanContext(parent && trace.getSpanContext(parent));
    return new ForeignSpan(name, () => own);
  });

/** As @sentry/node 11 does it: a span context that is a copy. */
const copiedIds = (): Foreign =>
  new Foreign((name, _, parent) => {
    const own = {
      traceId: (parent && trace.getSpanContext(parent)?.traceId) ?? random.generateTraceId(),
      spanId: random.generateSpanId(),
      traceFlags: TraceFlags.SAMPLED,
    };
    return new ForeignSpan(name, () => ({ ...own }));
  });

describe("I12 a tracer provider whose spans can't be given an identity", () => {
  it.each<[string, () => Foreign, string]>([
    ["has IDs of 64 bits and a span context that can't be written", shortIds, "it takes no trace IDs of 128 bits"],
    ["hands out copies of its span context", copiedIds, "it takes no span IDs"],
  ])(
    "I12 as it %s makes none of this package's spans, the SDK's own stay on, and one line reports it",
    async (_, provider, reason) => {
      const foreign = provider();
      provide(foreign);
      const { warnings, result } = await runWorkflow();
      expect(result).toBe('"charged"');
      expect(warnings).toEqual([expect.stringContaining(reason)]);
      expect(warnings[0]).toContain("those of the Durable Task SDK stay on");
      // What ends may be exported, sampled or not: the probes of the provider do not end.
      const probes = (foreign.spans as unknown as ForeignSpan[]).filter(({ name }) => name === "durable-telemetry");
      expect(probes.map(({ ended }) => ended)).toEqual(probes.map(() => false));
      expect(probes.length).toBeGreaterThan(0);
      const names = (foreign.spans as unknown as ForeignSpan[])
        .map(({ name }) => name)
        .filter((name) => name !== "durable-telemetry");
      expect(names.filter((name) => name === "orchestration:order")).toHaveLength(6);
      expect(names.filter((name) => name === "activity:charge").length).toBeGreaterThanOrEqual(3);
    },
  );

  it("I12 startupCheck: false silences the line about an unfit provider on its worker, and on no other", async () => {
    provide(shortIds());
    expect(await runWorkflow({ startupCheck: false })).toEqual({ warnings: [], result: '"charged"' });
    expect(await runWorkflow()).toEqual({
      warnings: [expect.stringContaining("it takes no trace IDs of 128 bits")],
      result: '"charged"',
    });
  });

  it.each<[string, ApiTracerProvider]>([
    [
      "has no prototype",
      Object.assign(Object.create(null) as ApiTracerProvider, { getTracer: () => undefined as unknown as Tracer }),
    ],
    ["gives no tracer", { getTracer: () => undefined as unknown as Tracer }],
    ["gives a promise of a tracer", { getTracer: (() => Promise.reject(new Error("broken on purpose"))) as never }],
    ["throws whatever is read of it", new Proxy({} as ApiTracerProvider, { get: thrown, has: thrown })],
    [
      "has a constructor that can't be read",
      Object.defineProperty({ getTracer: () => undefined as unknown as Tracer }, "constructor", { get: thrown }),
    ],
    [
      "has a tracer that throws where the SDK's keeps its sampler",
      {
        getTracer: () =>
          Object.defineProperty({ startSpan: () => undefined } as unknown as Tracer, "_sampler", { get: thrown }),
      },
    ],
    [
      "throws when it is asked for a tracer",
      {
        getTracer: () => {
          throw new Error("broken on purpose");
        },
      },
    ],
    [
      "throws when it starts a span",
      new Foreign(() => {
        throw new Error("broken on purpose");
      }),
    ],
    ["starts spans that are none", new Foreign(() => ({}) as Span)],
    ["starts promises", new Foreign((() => Promise.reject(new Error("broken on purpose"))) as never)],
    ["starts nothing", new Foreign(() => undefined as unknown as Span)],
    [
      "has spans without a span context",
      new Foreign((name) => new ForeignSpan(name, () => undefined as unknown as SpanContext)),
    ],
    [
      "has spans whose span context throws",
      new Foreign(
        (name) =>
          new ForeignSpan(name, () => {
            throw new Error("broken on purpose");
          }),
      ),
    ],
  ])("I12 as it %s is left alone, and one line reports it", (_, provider) => {
    provide(provider);
    const warnings: string[] = [];
    for (let item = 0; item < 3; item += 1)
      expect(currentTracer((message) => void warnings.push(message))).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining("can't give spans their durable identity")]);
  });
});

describe("K1 A span of a provider that was fit at first", () => {
  const identity: SpanContext = { traceId: "3".repeat(32), spanId: "4".repeat(16), traceFlags: TraceFlags.SAMPLED };

  function tracerThatThen(starts: () => unknown): { readonly start: () => Span; readonly faults: string[] } {
    let isLater = false;
    const fit = new BasicTracerProvider().getTracer("fit");
    const startSpan: Tracer["startSpan"] = (...args) => (isLater ? (starts() as Span) : fit.startSpan(...args));
    provide({ getTracer: (): Tracer => Object.create(fit, { startSpan: { value: startSpan } }) as Tracer });
    const tracer = currentTracer((message) => expect.unreachable(message));
    isLater = true;
    const faults: string[] = [];
    diag.setLogger({
      error: (message) => void faults.push(message),
      warn: vi.fn(),
      info: vi.fn(),
      debug: vi.fn(),
      verbose: vi.fn(),
    });
    onTestFinished(() => diag.disable());
    return {
      start: () => tracer?.start("work", {}, identity, ROOT_CONTEXT) ?? expect.unreachable("The provider is fit."),
      faults,
    };
  }

  it.each<[string, () => unknown, string]>([
    [
      "that now throws",
      () => {
        throw new Error("it was shut down");
      },
      "a span was lost: it was shut down",
    ],
    ["that now starts nothing", () => null, "a span was lost: startSpan returned object, which is no span"],
    [
      "that now starts promises",
      () => Promise.reject(new Error("later")),
      "a span was lost: startSpan returned a promise; it must not be async",
    ],
    [
      "whose spans now have no context",
      () =>
        new ForeignSpan("work", () => {
          throw new Error("it has no context");
        }),
      "a span was lost: it has no context",
    ],
  ])("%s records nothing, which is logged", (_, starts, fault) => {
    const { start, faults } = tracerThatThen(starts);
    const span = start();
    expect([span.isRecording(), span.spanContext().spanId]).toEqual([false, identity.spanId]);
    expect(faults).toEqual([expect.stringContaining(fault)]);
  });

  it("that rejects as it ends is logged, and nobody's rejection", async () => {
    const { faults } = tracerThatThen(() => null);
    endSpan({ end: () => Promise.reject(new Error("no room for it")) });
    await vi.waitUntil(() => faults.length > 0);
    expect(faults).toEqual([expect.stringContaining("a span was lost: no room for it")]);
  });
});

describe("I6 a provider that wraps the SDK's", () => {
  const SDKs = { "2.x": BasicTracerProvider, "3.x": TracerProvider } as const;

  async function spansOf(
    Provider: typeof TracerProvider,
    options: object,
    wrap: (provider: ApiTracerProvider) => ApiTracerProvider,
  ): Promise<readonly ReadableSpan[]> {
    const spans = new RecordedSpans(() => undefined);
    provide(wrap(new Provider({ ...options, spanProcessors: [spans] })));
    const { warnings, result } = await runWorkflow();
    expect([warnings, result]).toEqual([[], '"charged"']);
    expect(spans.open).toEqual([]);
    return spans.ended;
  }

  it.each(Object.entries(SDKs))(
    "I6 %s, with DurableIdGenerator or without, has the spans that the SDK's alone has",
    async (_, Provider) => {
      const messages: string[] = [];
      const note = (message: string): void => void messages.push(message);
      diag.setLogger(
        { error: note, warn: note, info: note, debug: () => undefined, verbose: () => undefined },
        { suppressOverrideMessage: true },
      );
      onTestFinished(() => diag.disable());
      const alone = shape(await spansOf(Provider as typeof TracerProvider, {}, (provider) => provider));
      expect(alone).toHaveLength(9);
      expect(messages).toEqual([]);
      expect(
        shape(await spansOf(Provider as typeof TracerProvider, { idGenerator: new DurableIdGenerator() }, wrapped)),
      ).toEqual(alone);
      expect(messages).toEqual([]);
      expect(shape(await spansOf(Provider as typeof TracerProvider, {}, wrapped))).toEqual(alone);
      expect(messages).toEqual([expect.stringContaining("pass idGenerator: new DurableIdGenerator()")]);
    },
  );
});

/**
 * Ends the open spans of a trace with the span of that trace that started first here, and forgets the trace then, as the
 * processor of @vercel/otel 2.1.3 does.
 */
class EndsWithFirst implements SpanProcessor {
  readonly traces = new Map<string, { readonly first: string; readonly open: Span[] }>();
  readonly ended: ReadableSpan[] = [];

  onStart(span: Span & ReadableSpan): void {
    const { traceId, spanId } = span.spanContext();
    const known = this.traces.get(traceId);
    if (span.parentSpanContext === undefined || known === undefined)
      this.traces.set(traceId, { first: spanId, open: [] });
    else known.open.push(span);
  }

  onEnd(span: ReadableSpan): void {
    this.ended.push(span);
    const { traceId, spanId } = span.spanContext();
    const known = this.traces.get(traceId);
    if (known?.first !== spanId) {
      const index = known?.open.findIndex((each) => each.spanContext().spanId === spanId) ?? -1;
      if (index >= 0) known?.open.splice(index, 1);
      return;
    }
    this.traces.delete(traceId);
    for (const open of known.open) if (open.isRecording()) open.end();
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

describe("I12 a span processor that ends all open spans of a trace with the first of them", () => {
  it.each([[true], [false]])(
    "I12 does not cut short an activity, and is left with nothing (DurableIdGenerator: %s)",
    async (generator) => {
      const processor = new EndsWithFirst();
      provide(
        new TracerProvider({
          ...(generator ? { idGenerator: new DurableIdGenerator() } : {}),
          spanProcessors: [processor],
        }),
      );
      const hub = await startHub();
      const shortIsOver = Promise.withResolvers<void>();
      const longIsOpen = Promise.withResolvers<void>();
      await hub.worker({ metrics: false, logging: false }, (worker) => {
        worker.addNamedActivity("short", () => longIsOpen.promise);
        worker.addNamedActivity("long", async () => {
          longIsOpen.resolve();
          await shortIsOver.promise;
        });
        worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
          yield whenAll([ctx.callActivity("short"), ctx.callActivity("long")]);
        });
      });
      const id = await hub.client.scheduleNewOrchestration("order");
      // The short one's span has ended once the backend has its response.
      await vi.waitUntil(
        () => processor.ended.some(({ name, kind }) => name === "activity:short" && kind === SpanKind.SERVER),
        { timeout: 20_000 },
      );
      const now = Date.now();
      shortIsOver.resolve();
      await hub.client.waitForOrchestrationCompletion(id, false, 25);
      await vi.waitUntil(() => processor.ended.some(({ name }) => name === "orchestration:order"), { timeout: 20_000 });
      const long = processor.ended.find(({ name, kind }) => name === "activity:long" && kind === SpanKind.SERVER);
      expect(hrTimeToMilliseconds(long?.endTime ?? [0, 0])).toBeGreaterThanOrEqual(now - 1);
      expect(processor.traces.size).toBe(0);
      expect(wholeness(processor.ended)).toMatchObject({ orphans: 0, duplicates: 0, orchestrations: 1 });
    },
  );
});

describe("I12 a context manager of another make", () => {
  const real = new AsyncLocalStorageContextManager();

  function manage(manager: Partial<ContextManager>): void {
    context.disable();
    const complete: ContextManager = {
      active: () => real.active(),
      with: (...args) => real.with(...args),
      bind: (...args) => real.bind(...args),
      enable: () => complete,
      disable: () => complete,
      ...manager,
    };
    context.setGlobalContextManager(complete);
    onTestFinished(() => {
      context.disable();
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    });
  }

  const broken = (): never => {
    throw new Error("broken on purpose");
  };

  const ofThisPackage = (spans: readonly ReadableSpan[]): readonly ReadableSpan[] =>
    spans.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");

  async function runOnHub(): Promise<{
    readonly result: unknown;
    readonly spans: readonly ReadableSpan[];
    readonly warnings: readonly string[];
  }> {
    const spans = new RecordedSpans(() => undefined);
    provide(new TracerProvider({ spanProcessors: [spans] }));
    const hub = await startHub();
    const warnings: string[] = [];
    await hub.worker({ metrics: false, logging: false }, register, {
      logger: { error: vi.fn(), warn: (message: string) => void warnings.push(message), info: vi.fn(), debug: vi.fn() },
    });
    const result = resultOf(await hub.run("order"));
    await vi.waitUntil(() => ofThisPackage(spans.ended).some(({ name }) => name === "orchestration:order"), {
      timeout: 20_000,
    });
    return { result, spans: spans.ended, warnings };
  }

  it.each<[string, Partial<ContextManager>]>([
    [
      "turns all that it binds into a function, event emitters too",
      {
        bind: <T>(own: Context, target: T) =>
          ((...args: unknown[]) => real.with(own, target as () => unknown, undefined, ...(args as []))) as T,
      },
    ],
    ["binds to nothing", { bind: () => undefined as never }],
    ["throws when it binds", { bind: broken }],
    ["throws when it makes a context active", { with: broken }],
    ["runs nothing", { with: () => undefined as never }],
    [
      "runs later",
      { with: ((own: Context, fn: () => unknown) => void setImmediate(() => void real.with(own, fn))) as never },
    ],
    ["runs twice", { with: ((own: Context, fn: () => unknown) => (real.with(own, fn), real.with(own, fn))) as never }],
    [
      "returns something else",
      { with: ((own: Context, fn: () => unknown) => (real.with(own, fn), "something else")) as never },
    ],
    ["throws after it ran", { with: ((own: Context, fn: () => unknown) => (real.with(own, fn), broken())) as never }],
  ])("I12 that %s stops no worker: the workflow runs and its trace is whole", async (_, manager) => {
    manage(manager);
    const { result, spans } = await runOnHub();
    expect(result).toBe("charged");
    const own = ofThisPackage(spans);
    expect(own.map((span) => `${span.name} ${SpanKind[span.kind]}`).toSorted()).toEqual([
      "activity:charge CLIENT",
      "activity:charge SERVER",
      "orchestration:order SERVER",
    ]);
    const ids = new Set(spans.map((span) => span.spanContext().spanId));
    expect(own.every(({ parentSpanContext }) => ids.has(parentSpanContext?.spanId ?? ""))).toBe(true);
  });

  it.each<[string, Partial<ContextManager>]>([
    ["has no active context", { active: () => undefined as unknown as Context }],
    ["has something else for the active context", { active: () => ({}) as Context }],
    ["throws when it is asked for the active context", { active: broken }],
    [
      "has contexts that can't be changed",
      { active: () => ({ getValue: () => undefined, setValue: broken, deleteValue: broken }) },
    ],
  ])("I12 that %s keeps no call of the worker from its stub, nor an answer from the worker", (_, manager) => {
    manage(manager);
    const stream = new EventEmitter();
    const client = quietClient({ stub: { getWorkItems: () => stream } }, "stub") as {
      readonly stub: { getWorkItems(): EventEmitter };
    };
    const received: unknown[] = [];
    client.stub.getWorkItems().on("data", (item) => received.push(item));
    stream.emit("data", "work");
    expect(received).toEqual(["work"]);
  });
});

it("I12 a provider that is none, by the API or by what it gives, makes no spans, and only the latter is reported", () => {
  const reports: string[] = [];
  provide(new ProxyTracerProvider().getDelegate());
  expect(currentTracer((message) => void reports.push(message))).toBeUndefined();
  expect(reports).toEqual([]);
  provide({ getTracer: () => undefined as unknown as Tracer });
  for (let times = 0; times < 2; times += 1)
    expect(currentTracer((message) => void reports.push(message))).toBeUndefined();
  expect(reports).toEqual([expect.stringContaining("it gives no tracer")]);
});
