import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { OrchestrationStatus, type OrchestrationContext } from "@microsoft/durabletask-js";
import { diag, INVALID_SPAN_CONTEXT, logs, type Logger, type LoggerProvider, type Span } from "@opentelemetry/api";
import { LoggerProvider as SdkLoggerProvider } from "@opentelemetry/sdk-logs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { logging, type LoggingOptions } from "../../middlewares/index.ts";
import {
  ActivitySpan,
  currentLogger,
  OrchestrationSpan,
  type Middleware,
  type MiddlewareLogger,
  type OrchestrationSpanHandle,
} from "../../src/index.ts";
import { version } from "../../src/version.ts";
import type { Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { runActivity } from "../tracing/activities.ts";
import { firstEpisode, hostWorker } from "../worker/requests.ts";
import { recordLogs, untraced } from "./record-logs.ts";

/** Collects what `diag` is reported. */
function faults(): string[] {
  const reported: string[] = [];
  const none = (): void => undefined;
  diag.setLogger(
    { error: (message) => void reported.push(message), warn: none, info: none, debug: none, verbose: none },
    { suppressOverrideMessage: true },
  );
  onTestFinished(() => diag.disable());
  return reported;
}

/** Runs an orchestration that writes lines itself. */
async function run(options: LoggingOptions = {}): Promise<OrchestrationStatus> {
  const items = new WorkItems();
  const memory = inMemoryHub(untraced(options, items.middleware));
  memory.worker.addNamedActivity("step", () => currentLogger()?.info("in the activity"));
  memory.worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<void> {
    currentLogger()?.warn("in the orchestrator");
    yield ctx.callActivity("step");
    yield ctx.callActivity("step");
  });
  const { runtimeStatus } = await memory.run("steps");
  await items.over();
  return runtimeStatus;
}

const throws = (cause: string) => (): never => {
  throw new Error(cause);
};

const every = (write: () => unknown): MiddlewareLogger => ({ error: write, warn: write, info: write, debug: write });
/** Has all members, a `then` among them, that a promise might have; `get` says what they are. */
const likePromise = (get: () => unknown): object => new Proxy({}, { has: () => true, get });
const listening: Logger = { enabled: () => true, emit: () => undefined };

describe("K1 a fault of logging never changes what the workflow does", () => {
  it.each<[string, (cause: string) => LoggerProvider]>([
    ["getLogger", (cause) => ({ getLogger: throws(cause) })],
    ["emit", (cause) => ({ getLogger: () => ({ ...listening, emit: throws(cause) }) })],
    [
      "onEmit of a processor",
      (cause) =>
        new SdkLoggerProvider({
          processors: [{ onEmit: throws(cause), forceFlush: async () => undefined, shutdown: async () => undefined }],
        }),
    ],
  ])(
    "K1 a provider whose %s throws costs log records, and is reported once; the user's logger goes on",
    async (member, provider) => {
      const reported = faults();
      const cause = `broken ${member}`;
      logs.setGlobalLoggerProvider(provider(cause));
      onTestFinished(() => logs.disable());
      const lines: string[] = [];
      const write = (line: string): void => void lines.push(line.replace(/ \(.*/, ""));
      expect(await run({ logger: { error: write, warn: write, info: write, debug: write } })).toBe(
        OrchestrationStatus.COMPLETED,
      );
      expect(lines).toEqual([
        "in the orchestrator",
        "Orchestration steps started",
        "Activity step started",
        "in the activity",
        "Activity step completed",
        "Activity step started",
        "in the activity",
        "Activity step completed",
        "Orchestration steps completed",
      ]);
      expect(reported.filter((message) => message.includes(cause))).toHaveLength(1);
    },
  );

  it("K1 a provider that can't even say whether it listens costs log records, and is reported once", async () => {
    const reported = faults();
    const emit = vi.fn<() => void>();
    logs.setGlobalLoggerProvider({ getLogger: () => ({ emit, enabled: throws("deaf") }) });
    onTestFinished(() => logs.disable());
    expect(await run()).toBe(OrchestrationStatus.COMPLETED);
    expect(emit).not.toHaveBeenCalled();
    expect(reported.filter((message) => message.includes("deaf"))).toHaveLength(1);
  });

  it.each<[string, (cause: string) => MiddlewareLogger]>([
    ["throws", (cause) => every(throws(cause))],
    ["is async and rejects", (cause) => every(async () => throws(cause)())],
    ["returns a promise that can't be waited for", (cause) => every(() => likePromise(() => throws(cause)))],
    ["returns what can't be looked at", (cause) => every(() => likePromise(throws(cause)))],
  ])("K1 a logger that %s costs its lines, and is reported once; the LoggerProvider goes on", async (how, logger) => {
    const reported = faults();
    const cause = `a logger that ${how}`;
    const recorded = recordLogs();
    expect(await run({ logger: logger(cause) })).toBe(OrchestrationStatus.COMPLETED);
    expect(recorded.events).toHaveLength(2 + 2 * 2);
    expect(recorded.lines).toHaveLength(1 + 2);
    expect(reported.filter((message) => message.includes(cause))).toHaveLength(1);
  });

  it.each<[what: string, returned: unknown]>([
    ["null", null],
    ["a number", 1],
    ["an object", {}],
    ["what only looks like a promise", likePromise(() => "later")],
    ["a promise", Promise.resolve()],
  ])("K1 a logger may return %s: that is no fault", async (_, returned) => {
    const reported = faults();
    expect(await run({ logger: every(() => returned) })).toBe(OrchestrationStatus.COMPLETED);
    expect(reported).toEqual([]);
  });

  it("K1 a worker's own logger that throws costs its lines", async () => {
    const reported = faults();
    const recorded = recordLogs();
    const own = every(() => {
      throw new Error("the worker's logger is broken");
    });
    // The SDK does not contain faults of its logger; so this one is put in place once the SDK is done with it.
    const worker = hostWorker(untraced());
    const logger: unknown = Reflect.get(worker, "_logger");
    worker.addNamedOrchestrator("plain", () => {
      for (const level of ["error", "warn", "info", "debug"] as const)
        vi.spyOn(logger as MiddlewareLogger, level).mockImplementation(own[level]);
      currentLogger()?.info("a line");
      vi.restoreAllMocks();
      return "done";
    });
    const response = await firstEpisode(worker, { name: "plain" });
    expect(response.getActionsList()[0]?.getCompleteorchestration()?.getResult()?.getValue()).toBe('"done"');
    expect(recorded.lines.map(({ body }) => body)).toEqual(["a line"]);
    expect(reported.filter((message) => message.includes("the worker's logger is broken"))).toHaveLength(1);
  });

  it("K1 a logger, and a log record processor, that writes a line for each line loses its own, and that is reported once", async () => {
    const reported = faults();
    let written = 0;
    const again = (): void => {
      written += 1;
      currentLogger()?.info(`this is line ${written}`);
    };
    const write = async (options: LoggingOptions): Promise<void> => {
      const worker = hostWorker(untraced(options));
      worker.addNamedOrchestrator("plain", () => currentLogger()?.info("a line"));
      await firstEpisode(worker, { name: "plain" });
    };
    // The line; the start and the end, and the lines that are written of these two.
    const lines = 1 + 2 * 2;
    await write({ logger: every(again) });
    expect(written).toBe(lines);
    logs.setGlobalLoggerProvider({ getLogger: () => ({ ...listening, emit: again }) });
    onTestFinished(() => logs.disable());
    await write({});
    expect(written).toBe(2 * lines);
    expect(reported.filter((message) => message.includes("writes to currentLogger()"))).toHaveLength(1);
  });

  it("K1 a span of another's making that breaks costs the records that should name it, and is reported", async () => {
    const reported = faults();
    const recorded = recordLogs();
    const broken = { spanContext: throws("no span today") };
    const spans: Middleware = {
      name: "spans",
      workItem: ({ features }) => {
        features.set(OrchestrationSpan, broken as unknown as OrchestrationSpanHandle);
        features.set(ActivitySpan, broken as unknown as Span);
      },
    };
    const items = new WorkItems();
    const memory = inMemoryHub({ middlewares: () => [items.middleware, spans, logging()] });
    memory.worker.addNamedActivity("step", () => undefined);
    memory.worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.callActivity("step");
    });
    expect((await memory.run("steps")).runtimeStatus).toBe(OrchestrationStatus.COMPLETED);
    await items.over();
    expect(recorded.records).toEqual([]);
    const lost = ["the start of an activity", "an episode", "the end of an activity", "the end of an orchestration"];
    expect(new Set(reported.map((message) => /: (.*) was not logged: no span today/.exec(message)?.[1]))).toEqual(
      new Set(lost),
    );
    expect(reported).toHaveLength(lost.length);
  });

  it("K1 a span that breaks after the activity costs no record", async () => {
    const reported = faults();
    const recorded = recordLogs();
    let isBroken = false;
    const span = { ...INVALID_SPAN_CONTEXT };
    const spans: Middleware = {
      name: "spans",
      workItem: ({ features }) => {
        features.set(ActivitySpan, {
          spanContext: () => (isBroken ? throws("no span any more")() : span),
        } as unknown as Span);
      },
    };
    const worker = hostWorker({ middlewares: () => [spans, logging()] });
    worker.addNamedActivity("step", () => undefined);
    await runActivity(worker, { name: "step", complete: () => void (isBroken = true) });
    expect(recorded.events.map(({ eventName }) => eventName)).toEqual([
      "durabletask.activity.started",
      "durabletask.activity.finished",
    ]);
    expect(reported).toEqual([]);
  });

  it("K1 attributes that can't be read cost their line", async () => {
    const recorded = recordLogs();
    const worker = hostWorker(untraced());
    worker.addNamedOrchestrator("plain", () => {
      currentLogger()?.info(
        "lost",
        Object.defineProperty({}, "secret", { enumerable: true, get: throws("no secrets") }),
      );
      currentLogger()?.info("kept");
    });
    await firstEpisode(worker, { name: "plain" });
    expect(recorded.lines.map(({ body }) => body)).toEqual(["kept"]);
    expect(recorded.events).toHaveLength(2);
  });
});

describe("Where nobody listens", () => {
  it("L1 nothing is put together: no payload is read, and no provider asked for more than whether it listens", async () => {
    const redact = vi.fn<(value: unknown) => unknown>((value) => value);
    const emit = vi.fn<() => void>();
    logs.setGlobalLoggerProvider({ getLogger: () => ({ enabled: () => false, emit }) });
    onTestFinished(() => logs.disable());
    expect(await run({ include: { input: true, output: true }, redact })).toBe(OrchestrationStatus.COMPLETED);
    expect(redact).not.toHaveBeenCalled();
    expect(emit).not.toHaveBeenCalled();
  });

  it("L1 a provider is asked for its logger once, and the logger whether it listens in the context of the record", async () => {
    const enabled = vi.fn<NonNullable<Logger["enabled"]>>(() => true);
    const getLogger = vi.fn<() => Logger>(() => ({ ...listening, enabled }));
    logs.setGlobalLoggerProvider({ getLogger });
    onTestFinished(() => logs.disable());
    await run();
    expect(getLogger.mock.calls).toEqual([["durable-telemetry", version]]);
    expect(enabled).toHaveBeenCalled();
    for (const [asked] of enabled.mock.calls) expect(asked?.context).toBeDefined();
  });

  it("L1 a logger that can't be asked gets everything", async () => {
    const emit = vi.fn<() => void>();
    // As those of some OpenTelemetry SDKs 2.x.
    logs.setGlobalLoggerProvider({ getLogger: () => ({ emit }) as unknown as Logger });
    onTestFinished(() => logs.disable());
    await run();
    expect(emit).toHaveBeenCalledTimes(6 + 3);
  });
});

describe("Between work items", () => {
  it("nothing is kept: the log of a work item goes with it", async () => {
    const recorded = recordLogs();
    const seen: WeakRef<object>[] = [];
    const look: Middleware = {
      name: "look",
      async orchestration(ctx, next) {
        seen.push(new WeakRef(ctx.features));
        await next(ctx);
      },
    };
    const worker = hostWorker(untraced({}, look));
    worker.addNamedOrchestrator("plain", () => undefined);
    for (let count = 0; count < 50; count += 1)
      await firstEpisode(worker, { name: "plain", instanceId: `instance-${count}` });
    expect(recorded.events).toHaveLength(100);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const isGone = (): boolean => {
      collect();
      // The runtime may still hold the last one.
      return seen.filter((each) => each.deref() !== undefined).length <= 1;
    };
    await vi.waitUntil(isGone, { timeout: 10_000, interval: 1 });
  });
});
