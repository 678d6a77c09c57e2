/**
 * What telemetry keeps, sends, costs and loses as its input grows: heap, bytes, seconds and numbers, each case in a process
 * of its own with `setupOtlp()` at its defaults, and the collector in another one. Reads `dist`.
 * `npm run --silent build && npx node bench/growth.ts [CASE ...]`
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import {
  InMemoryOrchestrationBackend,
  NoOpLogger,
  TaskHubGrpcClient,
  TaskHubGrpcWorker,
  TestOrchestrationClient,
  TestOrchestrationWorker,
  whenAll,
  type OrchestrationContext,
  type Task,
} from "@microsoft/durabletask-js";
import pb, { type HistoryEvent } from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import wrappers from "google-protobuf/google/protobuf/wrappers_pb.js";
import { currentLogger, withDurableTelemetry } from "durable-telemetry";
import { setupOtlp } from "durable-telemetry/otlp";
import { startLocalSidecar } from "durable-telemetry/testing";

/** What a case found. */
type Found = Readonly<Record<string, string | number>>;
type Steps = AsyncGenerator<Task<unknown>, unknown, unknown>;

const mebibyte = 2 ** 20;
const worker = (): TaskHubGrpcWorker => new TaskHubGrpcWorker({ logger: new NoOpLogger() });
const text = (value: string): wrappers.StringValue => new wrappers.StringValue().setValue(value);
const many = <T>(count: number, create: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => create(index + 1));

interface Start {
  readonly name: string;
  readonly input?: unknown;
  readonly version?: string;
  readonly instanceId?: string;
  readonly traceparent?: string;
}

/** The work item of a first episode, with the events that came before it; `hasTimes`: whether the backend sends times. */
function episode(
  { name, input = null, version, instanceId = "growth", traceparent }: Start,
  events: HistoryEvent[] = [],
  hasTimes = true,
): Uint8Array {
  const started = new pb.ExecutionStartedEvent()
    .setName(name)
    .setInput(text(JSON.stringify(input)))
    .setVersion(version === undefined ? undefined : text(version))
    .setOrchestrationinstance(
      new pb.OrchestrationInstance().setInstanceid(instanceId).setExecutionid(text("execution")),
    )
    .setParenttracecontext(traceparent === undefined ? undefined : new pb.TraceContext().setTraceparent(traceparent));
  const opening = [
    new pb.HistoryEvent().setOrchestratorstarted(new pb.OrchestratorStartedEvent()),
    new pb.HistoryEvent().setExecutionstarted(started),
  ];
  for (const event of hasTimes ? opening : []) event.setTimestamp(new timestamps.Timestamp().setSeconds(1));
  return new pb.OrchestratorRequest()
    .setInstanceid(instanceId)
    .setNeweventsList([...opening, ...events])
    .serializeBinary();
}

async function heapUsed(): Promise<number> {
  await new Promise((resolve) => void setTimeout(resolve, 300));
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** The heap that 60 orchestrations leave behind, each with a huge string, and the bytes of the metric export after them. */
const kept = (huge: (value: string) => Start) => async (): Promise<Found> => {
  const telemetry = setupOtlp();
  const subject = withDurableTelemetry(worker());
  subject.addNamedOrchestrator("fails", (_: OrchestrationContext, type: string) => {
    throw Object.assign(new Error("on purpose"), { name: type });
  });
  subject.addNamedOrchestrator("sends", (ctx: OrchestrationContext, event: string) => ctx.sendEvent("other", event));
  subject.addNamedOrchestrator("ends", () => null);
  subject.addNamedOrchestrator("continues", (ctx: OrchestrationContext) => ctx.continueAsNew(null, false));
  const run = async (from: number, to: number): Promise<number> => {
    for (let each = from; each < to; each += 1) {
      // Flat, and not a slice of a longer string.
      const value = Buffer.alloc(mebibyte, `${each} `).toString("latin1");
      await subject.processOrchestratorRequest(episode(huge(value)));
      if (each % 10 === 0) await telemetry.forceFlush();
    }
    await telemetry.forceFlush();
    return heapUsed();
  };
  const before = await run(0, 3);
  const heap = (await run(3, 63)) - before;
  const { "/v1/metrics": bytes = 0 } = (await since(() => telemetry.forceFlush())).bytes;
  return { "heap kept (MiB)": (Math.max(0, heap) / mebibyte).toFixed(1), "next metric export (bytes)": bytes };
};

/** In seconds. Unlike the time of day, what a machine does beside it is not in it. */
function cpuSince(start: NodeJS.CpuUsage): string {
  const { user, system } = process.cpuUsage(start);
  return ((user + system) / 1e6).toFixed(1);
}

/** The CPU time of one episode, beside the bare SDK's. */
async function seconds(count: number, make: (count: number) => Uint8Array): Promise<Found> {
  const [bare, subject] = [worker(), withDurableTelemetry(worker())];
  for (const each of [bare, subject]) {
    each.addNamedOrchestrator("receives", async function* (ctx: OrchestrationContext, received: number): Steps {
      for (let index = 0; index < received; index += 1) yield ctx.waitForExternalEvent("go");
      return received;
    });
    each.addNamedOrchestrator("exchanges", async function* (ctx: OrchestrationContext, received: number): Steps {
      for (let index = 0; index < received; index += 1) {
        ctx.sendEvent("other", "go");
        yield ctx.waitForExternalEvent("go");
      }
      return received;
    });
  }
  const time = async (each: TaskHubGrpcWorker): Promise<string> => {
    await each.processOrchestratorRequest(make(100));
    const request = make(count);
    const start = process.cpuUsage();
    await each.processOrchestratorRequest(request);
    return cpuSince(start);
  };
  const bareTime = await time(bare);
  const telemetry = setupOtlp();
  const found = { "bare SDK (s of CPU)": bareTime, "with telemetry (s of CPU)": await time(subject) };
  await telemetry.shutdown();
  return found;
}

const raised = (): HistoryEvent =>
  new pb.HistoryEvent().setEventid(-1).setEventraised(new pb.EventRaisedEvent().setName("go").setInput(text("1")));

/** The CPU time of an orchestration that continues as new `count` times. */
async function generations(count: number, decorate: boolean): Promise<string> {
  const backend = new InMemoryOrchestrationBackend();
  const plain = new TestOrchestrationWorker(backend);
  const subject = decorate ? withDurableTelemetry(plain) : plain;
  subject.addNamedOrchestrator("eternal", (ctx: OrchestrationContext, generation: number) => {
    if (generation < count) ctx.continueAsNew(generation + 1, false);
    return generation;
  });
  // The in-memory worker logs to the console.
  Object.assign(console, { info: () => undefined, debug: () => undefined });
  await subject.start();
  const client = new TestOrchestrationClient(backend);
  const start = process.cpuUsage();
  await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("eternal", 1), true, 3600);
  const took = cpuSince(start);
  await subject.stop();
  return took;
}

/** One orchestration on a local task hub; returns how many spans or log records have arrived once telemetry is shut down. */
async function burst(orchestrator: (ctx: OrchestrationContext) => Steps): Promise<Sums> {
  return since(async () => {
    const telemetry = setupOtlp();
    const sidecar = await startLocalSidecar();
    const connection = { hostAddress: sidecar.address, logger: new NoOpLogger() };
    const subject = withDurableTelemetry(new TaskHubGrpcWorker(connection));
    subject.addNamedActivity("step", () => null);
    subject.addNamedActivity("lines", () => {
      for (let line = 1; line <= 5000; line += 1) currentLogger()?.info(`line ${line}`);
    });
    subject.addNamedOrchestrator("burst", orchestrator);
    await subject.start();
    const client = new TaskHubGrpcClient(connection);
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("burst"), true, 60);
    await subject.stop();
    await client.stop();
    await sidecar.close();
    await telemetry.shutdown();
  });
}

const cases: Readonly<Record<string, () => Promise<Found>>> = {
  "60 names of 1 MiB": kept((name) => ({ name })),
  "60 versions of 1 MiB": kept((version) => ({ name: "ends", version })),
  "60 error types of 1 MiB": kept((input) => ({ name: "fails", input })),
  "60 instance IDs of 1 MiB": kept((instanceId) => ({ name: "continues", instanceId })),
  "60 traceparents of 1 MiB": kept((rest) => ({
    name: "continues",
    instanceId: rest.slice(0, 9),
    traceparent: `cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-${rest}`,
  })),
  "60 event names of 1 MiB": kept((input) => ({ name: "sends", input })),
  "32,000 events received, without a time": () =>
    seconds(32_000, (count) => episode({ name: "receives", input: count }, many(count, raised), false)),
  "16,000 events received, 16,000 sent": () =>
    seconds(16_000, (count) => episode({ name: "exchanges", input: count }, many(count, raised))),
  "100,000 generations, no provider": async () => ({
    "bare SDK (s of CPU)": await generations(100_000, false),
    "with telemetry (s of CPU)": await generations(100_000, true),
  }),
  "20,000 generations, recorded": async () => {
    const bare = await generations(20_000, false);
    let took = "";
    const { spans } = await since(async () => {
      const telemetry = setupOtlp();
      took = await generations(20_000, true);
      await telemetry.shutdown();
    });
    return { "bare SDK (s of CPU)": bare, "with telemetry (s of CPU)": took, "spans sent": 20_000, arrived: spans };
  },
  "a fan-out of 3,000 activities": async () => {
    const { spans } = await burst(async function* (ctx) {
      return yield whenAll(many(3000, () => ctx.callActivity("step")));
    });
    return { "spans sent": 6002, arrived: spans };
  },
  "5,000 lines of log in one activity": async () => {
    const { records } = await burst(async function* (ctx) {
      return yield ctx.callActivity("lines");
    });
    return { "log records sent": 5004, arrived: records };
  },
};

/** What the collector has taken. */
interface Sums {
  readonly bytes: Readonly<Record<string, number>>;
  readonly spans: number;
  readonly records: number;
}

/** What the collector, in the parent process, takes while `run` runs. */
async function since(run: () => Promise<unknown>): Promise<Sums> {
  const ask = async (): Promise<unknown> => {
    const answer = once(process, "message");
    process.send?.({ type: "sums" });
    return (await answer)[0];
  };
  await ask();
  await run();
  return (await ask()) as Sums;
}

const [, , ...names] = process.argv;
if (process.send === undefined) {
  let sums = { bytes: {} as Record<string, number>, spans: 0, records: 0 };
  interface Request {
    readonly resourceSpans?: readonly { readonly scopeSpans: readonly { readonly spans: readonly unknown[] }[] }[];
    readonly resourceLogs?: readonly { readonly scopeLogs: readonly { readonly logRecords: readonly unknown[] }[] }[];
  }
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const { url = "" } = request;
      sums.bytes[url] = (sums.bytes[url] ?? 0) + body.length;
      const { resourceSpans = [], resourceLogs = [] } = JSON.parse(body.toString()) as Request;
      for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) sums.spans += spans.length;
      for (const { scopeLogs } of resourceLogs)
        for (const { logRecords } of scopeLogs) sums.records += logRecords.length;
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await once(collector.listen(0, "127.0.0.1"), "listening");
  const address = collector.address();
  const port = typeof address === "object" ? address?.port : undefined;
  for (const name of names.length === 0 ? Object.keys(cases) : names) {
    const child = fork(import.meta.filename, [name], {
      execArgv: ["--expose-gc"],
      env: {
        PATH: process.env["PATH"],
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      },
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    let found: Found = {};
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (line: string) => (said += line));
    child.on("message", (message: { readonly type: string; readonly found: Found }) => {
      if (message.type === "found") ({ found } = message);
      else child.send(sums);
      sums = { bytes: {}, spans: 0, records: 0 };
    });
    await once(child, "close");
    console.log(
      `${name}: ${Object.entries(found)
        .map(([what, value]) => `${what} ${value}`)
        .join(", ")}${said === "" ? "" : `; said: ${said.trim()}`}`,
    );
  }
  collector.close();
} else {
  const found = await cases[names[0] ?? ""]?.();
  process.send({ type: "found", found }, () => process.exit());
}
