/**
 * What durable telemetry costs beside the bare SDK, in ratios of CPU time for one episode of a workflow. `npm run bench`.
 */
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { context, ProxyTracerProvider, trace, type Tracer, type TracerProvider as Provider } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BatchSpanProcessor, TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { withDurableTelemetry, type Middleware } from "durable-telemetry";
import { DurableIdGenerator } from "durable-telemetry/otlp";
import { episodeRequest, register } from "./episodes.ts";
import { compare, type Variant } from "./paired.ts";

// Every provider is registered once for the whole run; this one can be switched off, for the SDK without tracing.
let tracingOn = false;
const off = new ProxyTracerProvider().getDelegate();
const exporter = { export: (_: ReadableSpan[], done: (result: { code: number }) => void) => done({ code: 0 }), shutdown: async () => undefined, forceFlush: async () => undefined };
const on = new TracerProvider({ idGenerator: new DurableIdGenerator(), spanProcessors: [new BatchSpanProcessor({ exporter })] });
const builtIn = (name: string, version?: string): Tracer => ({
  startSpan: (...args) => (tracingOn ? on : off).getTracer(name, version).startSpan(...args),
  startActiveSpan: () => {
    throw new Error("not used by the SDK");
  },
});
const provider: Provider = {
  getTracer: (name, version) => (name === "Microsoft.DurableTask" ? builtIn(name, version) : on.getTracer(name, version)),
};
context.setGlobalContextManager(new AsyncLocalStorageContextManager());
trace.setGlobalTracerProvider(provider);

const noop = (name: string): Middleware => ({ name, orchestration: async (ctx, next) => void (await next(ctx)) });
const worker = (): TaskHubGrpcWorker => new TaskHubGrpcWorker({ logger: new NoOpLogger() });

const bare = worker();
const only = { tracing: false, metrics: false, logging: false };
const pipeline = withDurableTelemetry(worker(), { ...only, use: ["a", "b", "c", "d"].map(noop) });
const traced = withDurableTelemetry(worker(), { ...only, tracing: true });
const all = withDurableTelemetry(worker());
for (const each of [bare, pipeline, traced, all]) register(each);

for (const [steps, batch] of [[10, 200], [200, 20]] as const) {
  const request = episodeRequest(steps);
  const variant = (name: string, subject: TaskHubGrpcWorker, sdkTracing = false): Variant => ({
    name,
    prepare: () => { tracingOn = sdkTracing; },
    run: () => subject.processOrchestratorRequest(request),
  });
  const results = await compare(
    variant("bare SDK", bare),
    [
      variant("bare SDK again (noise)", bare),
      variant("pipeline, 4 no-op middlewares", pipeline),
      // With a provider, and so with the SDK's own tracing on too: that is what it silences.
      variant("tracing on", traced, true),
      variant("the default pipeline", all, true),
      variant("the SDK's own tracing", bare, true),
    ],
    batch,
    25,
  );
  console.log(`${steps} steps of history (bare SDK: ${results[0]?.baseline.toFixed(0)} µs of CPU for an episode)`);
  for (const { name, ratio } of results) console.log(`  ${name.padEnd(32)} x${ratio.toFixed(3)}`);
}
process.exit(0);
