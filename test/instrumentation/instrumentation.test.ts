import { hasSubscribers } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import {
  InMemoryOrchestrationBackend,
  NoOpLogger,
  TaskHubGrpcWorker,
  TestOrchestrationClient,
  TestOrchestrationWorker,
} from "@microsoft/durabletask-js";
import { diag, SpanKind, type DiagLogger } from "@opentelemetry/api";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { withDurableTelemetry, type MiddlewareObject } from "../../src/index.ts";
import { beforeMethods } from "../../src/instrumentation/before-methods.ts";
import { DurableTaskInstrumentation, type DurableTaskInstrumentationConfig } from "../../src/instrumentation/index.ts";
import { recordSpans, startHub, wholeness, type Steps } from "../harness.ts";
import { bareWorker, firstEpisode, resultIn } from "../worker/requests.ts";

const hub = await startHub();
const require = createRequire(import.meta.url);

const made: DurableTaskInstrumentation[] = [];
function instrument(config?: DurableTaskInstrumentationConfig): DurableTaskInstrumentation {
  const instrumentation = new DurableTaskInstrumentation(config);
  made.push(instrumentation);
  return instrumentation;
}
afterEach(() => {
  for (const each of made.splice(0)) each.disable();
});

/** A middleware that notes under `name` that an orchestration ran. */
function noting(seen: string[], name: string): MiddlewareObject {
  return {
    name,
    orchestration: async (ctx, next) => {
      seen.push(name);
      await next(ctx);
    },
  };
}

/** Registers an orchestration, and runs it as a host does. */
async function run(worker: TaskHubGrpcWorker): Promise<unknown> {
  worker.addNamedOrchestrator("hosted", async function* (): Steps<string> {
    return "done";
  });
  return resultIn(await firstEpisode(worker, { name: "hosted" }));
}

const methods = (): readonly unknown[] => [
  Reflect.get(TaskHubGrpcWorker.prototype, "start"),
  Reflect.get(TaskHubGrpcWorker.prototype, "processOrchestratorRequest"),
  Reflect.get(TestOrchestrationWorker.prototype, "start"),
];
const untouched = methods();

function recordDiag(): string[] {
  const lines: string[] = [];
  const log = (message: string): void => void lines.push(message);
  const logger: DiagLogger = { error: log, warn: log, info: log, debug: () => undefined, verbose: () => undefined };
  diag.setLogger(logger);
  onTestFinished(() => diag.disable());
  return lines;
}

describe("DurableTaskInstrumentation decorates", () => {
  it("a worker that the application makes, when it starts; its trace is whole", async () => {
    const spans = recordSpans();
    instrument();
    await hub.bareWorker((worker) => {
      worker.addNamedActivity("step", () => undefined);
      worker.addNamedOrchestrator("plain", async function* (ctx): Steps<string> {
        yield ctx.callActivity("step");
        return "done";
      });
    });
    await hub.run("plain");
    await spans.waitFor((finished) =>
      finished.some(({ kind, name }) => kind === SpanKind.SERVER && name === "orchestration:plain"),
    );
    expect(wholeness(spans.finished)).toEqual({ spans: 4, traces: 1, orphans: 0, duplicates: 0, orchestrations: 1 });
  });

  it("a worker that a host hands its work items to, once", async () => {
    const seen: string[] = [];
    instrument({ use: [noting(seen, "noting")] });
    const worker = bareWorker();
    expect(await run(worker)).toBe("done");
    await firstEpisode(worker, { name: "hosted" });
    expect(seen).toEqual(["noting", "noting"]);
  });

  it("a worker of a subclass, whose own members stay what they are", async () => {
    const seen: string[] = [];
    class Own extends TaskHubGrpcWorker {
      readonly middlewares = "own";
      use(): string {
        return "own";
      }
    }
    instrument({ use: [noting(seen, "noting")] });
    const worker = new Own({ logger: new NoOpLogger() });
    await run(worker);
    expect(seen).toEqual(["noting"]);
    expect([worker.use(), worker.middlewares]).toEqual(["own", "own"]);
  });

  it("a TestOrchestrationWorker", async () => {
    const seen: string[] = [];
    instrument({ use: [noting(seen, "noting")] });
    const backend = new InMemoryOrchestrationBackend();
    const worker = new TestOrchestrationWorker(backend);
    // This worker always logs to the console.
    for (const method of ["info", "debug"] as const) vi.spyOn(console, method).mockReturnValue(undefined);
    onTestFinished(() => void vi.restoreAllMocks());
    worker.addNamedOrchestrator("in memory", async function* (): Steps<string> {
      return "done";
    });
    await worker.start();
    onTestFinished(() => worker.stop());
    const client = new TestOrchestrationClient(backend);
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("in memory"), true, 10);
    expect(seen).toEqual(["noting"]);
  });

  it("R1 each worker with middlewares of its own", async () => {
    const lists: (readonly unknown[])[] = [];
    instrument({ middlewares: (defaults) => (lists.push(defaults), defaults) });
    const before = lists.length;
    for (const worker of [bareWorker(), bareWorker()]) await run(worker);
    const [first = [], second = [], ...more] = lists.slice(before);
    expect([first.length, second.length, more]).toEqual([3, 3, []]);
    expect(first.some((each) => second.includes(each))).toBe(false);
  });
});

describe("A worker that is decorated in code is not instrumented twice", () => {
  it("decorated, then instrumented: what code says wins, without a word", async () => {
    const lines = recordDiag();
    const seen: string[] = [];
    const worker = withDurableTelemetry(bareWorker(), { use: [noting(seen, "code")] });
    instrument({ use: [noting(seen, "instrumentation")] });
    await run(worker);
    expect(seen).toEqual(["code"]);
    expect(worker.middlewares).toEqual(["tracing", "metrics", "logging", "code"]);
    expect(lines).toEqual([]);
  });

  it("instrumented, created, and then decorated: the options in code apply", async () => {
    const seen: string[] = [];
    instrument({ use: [noting(seen, "instrumentation")] });
    const worker = bareWorker();
    withDurableTelemetry(worker, { use: [noting(seen, "code")] });
    await run(worker);
    expect(seen).toEqual(["code"]);
  });

  it("a builder's workers are not, either", async () => {
    const seen: string[] = [];
    instrument({ use: [noting(seen, "instrumentation")] });
    const builder = withDurableTelemetry({ build: () => bareWorker() }, { use: [noting(seen, "builder")] });
    await run(builder.build());
    expect(seen).toEqual(["builder"]);
  });

  it("once it has had work, code learns that it has telemetry already", async () => {
    instrument();
    const worker = bareWorker();
    await run(worker);
    expect(() => withDurableTelemetry(worker)).toThrow("this TaskHubGrpcWorker has durable telemetry already");
  });
});

describe("Several instrumentations", () => {
  it("decorate a worker once: the one that was enabled last does", async () => {
    const seen: string[] = [];
    for (const name of ["first", "second"]) instrument({ use: [noting(seen, name)] });
    await run(bareWorker());
    expect(seen).toEqual(["second"]);
  });

  it.each([
    ["this copy's is disabled first", true],
    ["the other copy's is disabled first", false],
  ])("of two copies of this package share one patch, which goes with the last: %s", async (_, isOwnFirst) => {
    const seen: string[] = [];
    const copy: typeof import("../../src/instrumentation/index.ts") = require("durable-telemetry/instrumentation");
    const own = instrument({ use: [noting(seen, "own")] });
    const other = new copy.DurableTaskInstrumentation({ use: [noting(seen, "other")] });
    expect(copy.DurableTaskInstrumentation).not.toBe(DurableTaskInstrumentation);
    const [first, last] = isOwnFirst ? [own, other] : [other, own];
    first.disable();
    await run(bareWorker());
    last.disable();
    expect(seen).toEqual([isOwnFirst ? "other" : "own"]);
    expect(methods()).toEqual(untouched);
  });
});

describe("beforeMethods", () => {
  it("patches a class and one that extends it each by itself", () => {
    class Base {
      start(): string {
        return "base";
      }
    }
    class Derived extends Base {
      override start(): string {
        return "derived";
      }
    }
    const calls: string[] = [];
    const method = (): unknown => Reflect.get(Derived.prototype, "start");
    const original = method();
    const restore = [Base, Derived].map(({ name, prototype }) =>
      beforeMethods(prototype, ["start"], () => void calls.push(name)),
    );
    expect([new Base().start(), new Derived().start()]).toEqual(["base", "derived"]);
    expect(calls).toEqual(["Base", "Derived"]);
    for (const takeBack of restore) takeBack();
    expect(method()).toBe(original);
  });
});

describe("enable and disable", () => {
  it("disable takes the patch off the classes; enable puts it on again", () => {
    const instrumentation = instrument();
    const patched = methods();
    for (const [index, method] of patched.entries()) expect(method).not.toBe(untouched[index]);
    const looks = (all: readonly unknown[]): unknown =>
      all.map((method) => (typeof method === "function" ? [method.name, method.length] : method));
    expect(looks(patched)).toEqual(looks(untouched));
    instrumentation.enable();
    instrumentation.disable();
    expect(hasSubscribers("tracing:module.require:end")).toBe(false);
    for (const [index, method] of methods().entries()) expect(method).toBe(untouched[index]);
    expect(Object.getOwnPropertySymbols(TaskHubGrpcWorker.prototype)).toEqual([]);
    instrumentation.enable();
    for (const [index, method] of methods().entries()) expect(method).not.toBe(untouched[index]);
  });

  it("{ enabled: false } touches nothing until it is enabled", () => {
    const instrumentation = instrument({ enabled: false });
    expect([methods(), instrumentation.isEnabled()]).toEqual([untouched, false]);
    instrumentation.enable();
    expect(methods()[0]).not.toBe(untouched[0]);
  });

  it("{ enabled: undefined } is the same as not given", () => {
    const notGiven: object = { enabled: undefined };
    expect(instrument(notGiven).isEnabled()).toBe(true);
    expect(methods()[0]).not.toBe(untouched[0]);
  });

  it("registerInstrumentations enables it, and what that returns disables it", () => {
    const disable = registerInstrumentations({
      instrumentations: [new DurableTaskInstrumentation({ enabled: false })],
    });
    expect(methods()[0]).not.toBe(untouched[0]);
    disable();
    expect(methods()).toEqual(untouched);
  });

  it("a worker that starts after disable is untouched; one that is decorated stays so", async () => {
    const seen: string[] = [];
    const instrumentation = instrument({ use: [noting(seen, "noting")] });
    const [before, after] = [bareWorker(), bareWorker()];
    await run(before);
    instrumentation.disable();
    await run(after);
    expect(seen).toEqual(["noting"]);
    await firstEpisode(before, { name: "hosted" });
    expect(seen).toEqual(["noting", "noting"]);
  });

  it("a patch that somebody else has put on top stays, and does what it did", async () => {
    const seen: string[] = [];
    const instrumentation = instrument({ use: [noting(seen, "noting")] });
    const ours = Reflect.get(TaskHubGrpcWorker.prototype, "processOrchestratorRequest");
    TaskHubGrpcWorker.prototype.processOrchestratorRequest = function (request) {
      seen.push("theirs");
      return ours.call(this, request);
    };
    onTestFinished(() => {
      TaskHubGrpcWorker.prototype.processOrchestratorRequest = ours;
      // What was left below theirs goes with the next disable.
      instrument().disable();
      expect(methods()).toEqual(untouched);
    });
    instrumentation.disable();
    await run(bareWorker());
    expect(seen).toEqual(["theirs"]);
    instrumentation.enable();
    await run(bareWorker());
    expect(seen).toEqual(["theirs", "theirs", "noting"]);
    instrumentation.disable();
  });

  it("setConfig holds for the workers that start from then on", async () => {
    const seen: string[] = [];
    const instrumentation = instrument({ use: [noting(seen, "old")] });
    instrumentation.setConfig({ use: [noting(seen, "new")] });
    await run(bareWorker());
    expect(seen).toEqual(["new"]);
  });
});

describe("Options", () => {
  it.each<[string, object, string]>([
    ["unknown", { colour: 1 }, 'unknown option "colour"'],
    ["of a wrong type", { tracing: "yes" }, 'option "tracing" must be'],
    ["of a wrong type: middlewares", { middlewares: 1 }, 'option "middlewares" must be a function'],
    ["that are null", null as unknown as object, "DurableTaskInstrumentation: the options must be an object"],
    ["of a wrong type: enabled", { enabled: 1 }, 'option "enabled" must be true or false'],
    ["of a built-in", { tracing: { colour: 1 } }, 'unknown option "colour"'],
  ])("that are %s are refused at once, and nothing is patched", (_, config, message) => {
    expect(() => instrument(config)).toThrow(TypeError);
    expect(() => instrument(config)).toThrow(message);
    expect(methods()).toEqual(untouched);
  });

  it("middlewares must return an array", () => {
    expect(() => instrument({ middlewares: () => undefined as never })).toThrow(
      'option "middlewares" must return an array',
    );
  });
});

describe("K1 a fault while a worker is decorated", () => {
  it("never stops the worker, and is reported once", async () => {
    const lines = recordDiag();
    let isFaulty = false;
    instrument({
      middlewares: (defaults) => {
        if (isFaulty) throw new Error("no middlewares today");
        return defaults;
      },
    });
    isFaulty = true;
    for (const worker of [bareWorker(), bareWorker()]) expect(await run(worker)).toBe("done");
    expect(lines.filter((line) => line.includes("no middlewares today"))).toEqual([
      "durable-telemetry: cannot instrument a worker, which runs without telemetry (no middlewares today)",
    ]);
  });

  it("a worker that lacks what the engine needs runs without", async () => {
    const lines = recordDiag();
    instrument();
    const worker = bareWorker();
    Object.defineProperty(worker, "stop", { value: undefined });
    expect(await run(worker)).toBe("done");
    expect(lines.join()).toContain("this TaskHubGrpcWorker lacks stop");
  });
});
