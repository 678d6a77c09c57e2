/**
 * What most tests need: real workers and clients over loopback gRPC, and the spans that they make.
 */
import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker, TRACER_NAME } from "@microsoft/durabletask-js";
import type { OrchestrationState, Task, TaskHubGrpcWorkerOptions } from "@microsoft/durabletask-js";
import {
  context,
  ProxyTracerProvider,
  SpanKind,
  trace,
  type Tracer,
  type TracerProvider as ApiTracerProvider,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { TracerProvider, type ReadableSpan, type Sampler } from "@opentelemetry/sdk-trace";
import { afterAll, onTestFinished } from "vitest";
import { withDurableTelemetry, type DurableTelemetryOptions, type WithDurableTelemetry } from "../src/index.ts";
import { DurableIdGenerator } from "../src/otlp/index.ts";
import { RecordedSpans as SpanRecorder } from "../src/testing/recorder/recorded-spans.ts";
import { spansSeen } from "../src/testing/recorder/seen.ts";
import { Waits } from "../src/testing/recorder/waits.ts";
import { startLocalSidecar, type LocalSidecar, type LocalSidecarOptions } from "../src/testing/sidecar/index.ts";

/** What an orchestrator of the tests is. `never` lets each `yield` have the type that its variable says. */
export type Steps<TResult = unknown> = AsyncGenerator<Task<unknown>, TResult, never>;

/** Runs orchestrations on a task hub. */
export interface Runs {
  readonly client: TaskHubGrpcClient;
  /** Schedules an orchestration and waits until it is complete. */
  run(
    name: string,
    input?: unknown,
    options?: { instanceId?: string; version?: string; tags?: Record<string, string> },
  ): Promise<OrchestrationState>;
}

/** A client and workers of a task hub; all of them stop after the tests of the file. */
export interface Connections extends Runs {
  /** A decorated worker, not started: `register` tasks and middleware, then it is started. */
  worker(
    options: DurableTelemetryOptions,
    register: (worker: WithDurableTelemetry<TaskHubGrpcWorker>) => void,
    workerOptions?: TaskHubGrpcWorkerOptions,
  ): Promise<WithDurableTelemetry<TaskHubGrpcWorker>>;
  /** A worker of the bare SDK. */
  bareWorker(
    register: (worker: TaskHubGrpcWorker) => void,
    workerOptions?: TaskHubGrpcWorkerOptions,
  ): Promise<TaskHubGrpcWorker>;
}

/** A local task hub with its client and workers. */
export interface Hub extends Connections {
  readonly sidecar: LocalSidecar;
}

/** Starts a hub. Call it at the top of a file or in `beforeAll`. */
export async function startHub(options: LocalSidecarOptions = {}): Promise<Hub> {
  const sidecar = await startLocalSidecar(options);
  return { sidecar, ...connect(sidecar.address, () => sidecar.close()) };
}

/** Connects to a hub. @param close called after the tests of the file, when nothing is connected any more. */
export function connect(hostAddress: string, close: () => Promise<void>): Connections {
  const logger = new NoOpLogger();
  const client = new TaskHubGrpcClient({ hostAddress, logger });
  const started: TaskHubGrpcWorker[] = [];
  afterAll(async () => {
    // At once, since the SDK takes a second for each.
    await Promise.all([...started.map((worker) => worker.stop()), client.stop()]);
    await close();
  });
  const bare = (own: TaskHubGrpcWorkerOptions = {}): TaskHubGrpcWorker =>
    new TaskHubGrpcWorker({ hostAddress, logger, shutdownTimeoutMs: 100, ...own });
  const start = async <T extends TaskHubGrpcWorker>(worker: T): Promise<T> => {
    await worker.start();
    started.push(worker);
    return worker;
  };
  return {
    client,
    async worker(telemetry, register, own) {
      const worker = withDurableTelemetry(bare(own), telemetry);
      register(worker);
      return start(worker);
    },
    async bareWorker(register, own) {
      const worker = bare(own);
      register(worker);
      return start(worker);
    },
    async run(name, input, schedule) {
      const id = await client.scheduleNewOrchestration(name, input, schedule ?? {});
      const state = await client.waitForOrchestrationCompletion(id, true, 25);
      if (state === undefined) throw new Error(`The hub knows no orchestration ${id}.`);
      return state;
    },
  };
}

/** The result of an orchestration. */
export function resultOf(state: OrchestrationState): unknown {
  return state.serializedOutput === undefined ? undefined : JSON.parse(state.serializedOutput);
}

// The SDK keeps the first tracer that it gets, so one provider is registered for good, and hands on to the test's own.
const noTracing = new ProxyTracerProvider().getDelegate();
let current: ApiTracerProvider = noTracing;
const handingOn: ApiTracerProvider & { getDelegate(): ApiTracerProvider } = {
  getDelegate: () => current,
  getTracer: (...scope) => (scope[0] === TRACER_NAME ? sdkTracer(scope) : current.getTracer(...scope)),
};
function sdkTracer(scope: Parameters<ApiTracerProvider["getTracer"]>): Tracer {
  return {
    startSpan: (...args) => current.getTracer(...scope).startSpan(...args),
    startActiveSpan: () => {
      throw new Error("The SDK does not use startActiveSpan.");
    },
  };
}
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(handingOn);

/** Makes `provider` the one that everybody gets; `recordSpans` does it for a test. */
export function use(provider: ApiTracerProvider): void {
  current = provider;
}

/** All spans that a provider made. */
export interface RecordedSpans {
  readonly provider: TracerProvider;
  /** The spans that ended, in order. */
  readonly finished: readonly ReadableSpan[];
  /** How many spans started and have not ended. */
  readonly open: number;
  /** Resolves when `predicate` is true for the spans that have ended. */
  waitFor(predicate: (finished: readonly ReadableSpan[]) => boolean): Promise<void>;
  reset(): void;
}

/** Registers a TracerProvider for one test, and unregisters it after that test. */
export function recordSpans(options: { sampler?: Sampler; generator?: boolean } = {}): RecordedSpans {
  const waits = new Waits();
  const spans = new SpanRecorder(() => waits.changed());
  const provider = new TracerProvider({
    ...(options.sampler === undefined ? {} : { sampler: options.sampler }),
    ...(options.generator === false ? {} : { idGenerator: new DurableIdGenerator() }),
    spanProcessors: [spans],
  });
  use(provider);
  onTestFinished(() => use(noTracing));
  return {
    provider,
    get finished() {
      return spans.ended;
    },
    get open() {
      return spans.open.length;
    },
    async waitFor(predicate) {
      // Before the time limit of a test.
      await waits.until(
        () => predicate(spans.ended),
        25_000,
        () => new Error(`No span came that was waited for. ${spansSeen(spans.ended, spans.open)}`),
      );
    },
    reset: () => spans.reset(),
  };
}

/** What is wrong with a set of spans, in numbers. */
export interface Wholeness {
  readonly spans: number;
  readonly traces: number;
  /** Spans with a parent that was never emitted. */
  readonly orphans: number;
  /** Spans with another span's ID. */
  readonly duplicates: number;
  /** SERVER spans of orchestrations. */
  readonly orchestrations: number;
}

/** Counts what is wrong with `spans`. */
export function wholeness(spans: readonly ReadableSpan[]): Wholeness {
  const ids = spans.map((span) => `${span.spanContext().traceId}-${span.spanContext().spanId}`);
  const known = new Set(ids);
  const orphans = spans.filter(
    ({ parentSpanContext: parent }) => parent !== undefined && !known.has(`${parent.traceId}-${parent.spanId}`),
  );
  return {
    spans: spans.length,
    traces: new Set(spans.map((span) => span.spanContext().traceId)).size,
    orphans: orphans.length,
    duplicates: ids.length - known.size,
    orchestrations: spans.filter((span) => span.kind === SpanKind.SERVER && span.name.startsWith("orchestration:"))
      .length,
  };
}
