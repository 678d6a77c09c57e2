import type { ActivityContext, Logger, OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import { currentLogger, type Middleware, type MiddlewareLogger } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { firstEpisode, hostWorker } from "../worker/requests.ts";
import { logged, recordLogs, untraced } from "./record-logs.ts";

const levels = ["error", "warn", "info", "debug"] as const;

/** A logger that keeps what it is given. It relies on `this`, as class instances do. */
class Recorder implements Logger {
  readonly calls: unknown[][] = [];
  error(...args: unknown[]): void {
    this.calls.push(["error", ...args]);
  }
  warn(...args: unknown[]): void {
    this.calls.push(["warn", ...args]);
  }
  info(...args: unknown[]): void {
    this.calls.push(["info", ...args]);
  }
  debug(...args: unknown[]): void {
    this.calls.push(["debug", ...args]);
  }
}

const items = new WorkItems();
const around: Middleware = {
  name: "around",
  async orchestration(ctx, next) {
    ctx.logger.info("middleware in");
    await next(ctx);
    ctx.logger.info("middleware out");
  },
  async activity(ctx, next) {
    ctx.logger.info("activity middleware");
    await next(ctx);
  },
};

function register(worker: Parameters<Parameters<Hub["worker"]>[1]>[0]): void {
  worker.addNamedActivity("step", async (_: ActivityContext, step: number) => {
    await new Promise(setImmediate);
    currentLogger()?.info(`activity ${step}`);
  });
  worker.addNamedOrchestrator("steps", async function* (ctx: OrchestrationContext): Steps<void> {
    const logger = currentLogger();
    for (const step of [1, 2, 3]) {
      logger?.info(`before ${step}`);
      yield ctx.callActivity("step", step);
      currentLogger()?.info(`after ${step}`);
    }
  });
}

const oneRun = [
  "middleware in",
  ...[1, 2, 3].flatMap((step) => [`before ${step}`, "activity middleware", `activity ${step}`, `after ${step}`]),
  "middleware out",
];

let hub: Hub;
let silent: Hub;
const workers = new Recorder();
beforeAll(async () => {
  [hub, silent] = await Promise.all([startHub(), startHub()]);
  await hub.worker(logged({}, around, items.middleware), register, { logger: workers });
  await silent.worker({ middlewares: () => [around] }, register, { logger: workers });
});

const written = (calls: readonly (readonly unknown[])[]): unknown[] =>
  calls.filter(([, line]) => oneRun.includes(String(line))).map(([, line]) => line);

describe("L2 the loggers of middleware, orchestrators and activities", () => {
  it("L2 write each line once, however often the orchestration replays, to OpenTelemetry and to the worker's logger", async () => {
    const recorded = recordLogs();
    workers.calls.length = 0;
    await hub.run("steps");
    await items.over();
    expect(recorded.lines.map(({ body }) => body)).toEqual(oneRun);
    expect(written(workers.calls)).toEqual(oneRun);
  });

  it("L2 say whose the lines are", async () => {
    const recorded = recordLogs();
    const { instanceId } = await hub.run("steps");
    await items.over();
    const whose = new Map(recorded.lines.map(({ body, attributes }) => [body, attributes]));
    const identity = {
      "durabletask.task.instance_id": instanceId,
      "durabletask.task.execution_id": expect.any(String),
    };
    expect(whose.get("after 2")).toEqual({ "durabletask.task.name": "steps", ...identity });
    expect(whose.get("middleware out")).toEqual({ "durabletask.task.name": "steps", ...identity });
    expect(whose.get("activity 2")).toEqual({
      "durabletask.task.name": "step",
      "durabletask.task.task_id": 2,
      ...identity,
    });
  });

  it("L2 work without logging: then they are the worker's, and silent in replays all the same", async () => {
    const recorded = recordLogs();
    workers.calls.length = 0;
    await silent.run("steps");
    expect(written(workers.calls)).toEqual(oneRun);
    expect(recorded.records).toEqual([]);
  });

  it("L2 are the worker's own without a LoggerProvider: its lines are as they were written", async () => {
    const logger = new Recorder();
    const worker = hostWorker(untraced({}), { logger });
    const error = new Error("no");
    worker.addNamedOrchestrator("plain", () => currentLogger()?.warn("a line", 1, error, { key: "value" }));
    await firstEpisode(worker, { name: "plain" });
    expect(logger.calls).toContainEqual(["warn", "a line", 1, error, { key: "value" }]);
  });

  it("L2 currentLogger() is undefined outside of a work item", () => {
    expect(currentLogger()).toBeUndefined();
  });

  it("L2 currentLogger() is undefined in an orchestrator that the pipeline does not run: nobody knows whether it replays", async () => {
    const seen: unknown[] = [];
    const worker = hostWorker({
      use: [{ name: "activities only", activity: async (ctx, next) => void (await next(ctx)) }],
    });
    worker.addNamedOrchestrator("plain", () => void seen.push(currentLogger()));
    await firstEpisode(worker, { name: "plain" });
    expect(seen).toEqual([undefined]);
  });
});

describe("L2 a line", () => {
  /** Lets an orchestrator write, and gives what came of it. */
  async function writing(write: (logger: MiddlewareLogger | undefined) => void) {
    const recorded = recordLogs();
    const own = new Recorder();
    const worker = hostWorker(untraced({ logger: own }));
    worker.addNamedOrchestrator("plain", () => write(currentLogger()));
    await firstEpisode(worker, { name: "plain" });
    return {
      records: recorded.lines,
      calls: own.calls.filter(([, line]) => !String(line).startsWith("Orchestration ")),
    };
  }
  const identity = { "durabletask.task.name": "plain", "durabletask.task.instance_id": "instance" };

  it("L2 has the severity of its level", async () => {
    const { records, calls } = await writing((logger) => {
      for (const level of levels) logger?.[level]("a line");
    });
    expect(records.map(({ severityNumber, severityText }) => [severityNumber, severityText])).toEqual([
      [17, "ERROR"],
      [13, "WARN"],
      [9, "INFO"],
      [5, "DEBUG"],
    ]);
    expect(calls.map(([level]) => level)).toEqual(levels);
  });

  it("L2 takes its attributes from an object at the end, but not whose it is", async () => {
    const { records, calls } = await writing((logger) =>
      logger?.info("charged", { amount: 12, currency: "EUR", "durabletask.task.name": "another" }),
    );
    const attributes = { amount: 12, currency: "EUR", ...identity };
    expect(records.map(({ body, attributes: all }) => [body, all])).toEqual([["charged", attributes]]);
    // There is no version, and so no attribute for one.
    expect(calls).toStrictEqual([["info", "charged", attributes]]);
  });

  it("L2 takes them from an object without a prototype too, as a parsed query string is", async () => {
    const { records } = await writing((logger) =>
      logger?.info("%s, 50%%", "charged", Object.assign(Object.create(null) as object, { amount: 12 })),
    );
    expect(records.map(({ body, attributes }) => [body, attributes])).toEqual([
      ["charged, 50%", { amount: 12, ...identity }],
    ]);
  });

  it("L2 says whose it is also where it has more attributes than a record takes", async () => {
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`attribute ${index}`, index]));
    const { records } = await writing((logger) => logger?.info("a line", many));
    expect(records.map(({ attributes }) => attributes)).toEqual([expect.objectContaining(identity)]);
    expect(records[0]?.droppedAttributesCount).toBeGreaterThan(0);
  });

  it("L2 takes an exception from an error", async () => {
    const { records } = await writing((logger) => logger?.warn("no luck", new RangeError("negative"), { attempt: 2 }));
    expect(records.map(({ body, attributes }) => [body, attributes])).toEqual([
      [
        "no luck",
        {
          ...identity,
          attempt: 2,
          "exception.type": "RangeError",
          "exception.message": "negative",
          "exception.stacktrace": expect.stringContaining("task-logger.test.ts"),
        },
      ],
    ]);
  });

  it("L2 takes no stack trace from an error that has none", async () => {
    const error = Object.assign(new RangeError("negative"), { stack: undefined });
    const { calls } = await writing((logger) => logger?.warn("no luck", error));
    expect(calls).toStrictEqual([
      ["warn", "no luck", { ...identity, "exception.type": "RangeError", "exception.message": "negative" }],
    ]);
  });

  it.each<[expected: string, args: [string, ...unknown[]]]>([
    ["charged 12 EUR", ["charged", 12, "EUR"]],
    ["charged 12 of 20", ["charged %d of %s", 12, "20"]],
    ["nothing null", ["nothing", null]],
    ["100%", ["100%"]],
    ["100% of { a: 1 }", ["100%% of %o", { a: 1 }]],
    ['{"a":1} or {"b":2} or 3', ["%j or %j or", { a: 1 }, { b: 2 }, 3]],
    ["items [ 1, 2 ]", ["items", [1, 2]]],
    // Whoever has no types may write anything.
    ["[ 'items' ] 1", [["items"] as unknown as string, 1]],
  ])("L2 has what else was written in its text, as in the console: %s", async (expected, args) => {
    const { records, calls } = await writing((logger) => logger?.info(...args));
    expect(records.map(({ body }) => body)).toEqual([expected]);
    expect(calls).toEqual([["info", expected, identity]]);
  });
});
