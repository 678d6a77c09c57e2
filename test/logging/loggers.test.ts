import { Writable } from "node:stream";
import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import pino from "pino";
import { beforeAll, describe, expect, it, vi } from "vitest";
import winston from "winston";
import { logging } from "../../middlewares/index.ts";
import { currentLogger, type MiddlewareLogger } from "../../src/index.ts";
import { recordSpans, startHub, wholeness, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { logged, recordLogs } from "./record-logs.ts";

/** A destination of lines of JSON. */
class Lines extends Writable {
  readonly lines: Record<string, unknown>[] = [];
  constructor() {
    super({
      write: (chunk: Buffer, _, done) => {
        for (const line of chunk.toString().split("\n").filter(Boolean))
          this.lines.push(JSON.parse(line) as Record<string, unknown>);
        done();
      },
    });
  }
}

const byPino = new Lines();
const toPino = pino({ level: "debug" }, byPino);
const byWinston = new Lines();
const toWinston = winston.createLogger({
  level: "debug",
  transports: [new winston.transports.Stream({ stream: byWinston })],
});
const plain: Record<string, unknown>[] = [];
const keep =
  (level: string) =>
  (msg: string, ...[fields]: unknown[]): void =>
    void plain.push({ level, msg, ...(fields as object) });

// The lines of docs/logging.md.
const pinoLine: MiddlewareLogger = {
  error: (line, fields) => toPino.error(fields, line),
  warn: (line, fields) => toPino.warn(fields, line),
  info: (line, fields) => toPino.info(fields, line),
  debug: (line, fields) => toPino.debug(fields, line),
};
const loggers: readonly [string, MiddlewareLogger, () => readonly Record<string, unknown>[]][] = [
  [
    "any logger with the SDK's interface",
    { error: keep("error"), warn: keep("warn"), info: keep("info"), debug: keep("debug") },
    () => plain,
  ],
  [
    "pino",
    pinoLine,
    () => byPino.lines.map(({ level, ...rest }) => ({ ...rest, level: pino.levels.labels[Number(level)] })),
  ],
  ["winston", toWinston, () => byWinston.lines.map(({ message, ...rest }) => ({ ...rest, msg: message }))],
];

const workers = {
  error: vi.fn<() => void>(),
  warn: vi.fn<() => void>(),
  info: vi.fn<() => void>(),
  debug: vi.fn<() => void>(),
};
const items = new WorkItems();
const hubs = new Map<string, Hub>();
beforeAll(async () => {
  await Promise.all(
    loggers.map(async ([name, logger]) => {
      const hub = await startHub();
      hubs.set(name, hub);
      await hub.worker(
        logged({ logger }, items.middleware),
        (worker) => {
          worker.addNamedActivity("charge", (_: ActivityContext, amount: number) => {
            currentLogger()?.debug("charging", amount, { currency: "EUR" });
            if (amount < 0) throw new RangeError("negative");
          });
          worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
            yield ctx.callActivity("charge", 12);
            yield ctx.callActivity("charge", -1);
          });
        },
        { logger: workers },
      );
    }),
  );
});

describe.each(loggers)("L1 the user's logger: %s", (name, _, lines) => {
  it("L1 gets a line to read and an object with the attributes and the IDs of the span, each history event once", async () => {
    const spans = recordSpans();
    const before = lines().length;
    const hub = hubs.get(name);
    const state = await hub?.run("order");
    await spans.waitFor((all) => wholeness(all).orchestrations === 1);
    await items.over();
    const id = state?.instanceId;
    const server = (span: string, taskId?: number) => {
      const found = spans.finished.find(
        ({ name: each, kind, attributes }) =>
          each === span && kind === SpanKind.SERVER && attributes["durabletask.task.task_id"] === taskId,
      );
      return { trace_id: found?.spanContext().traceId, span_id: found?.spanContext().spanId, trace_flags: "01" };
    };
    const common = { "durabletask.task.instance_id": id, "durabletask.task.execution_id": expect.any(String) };
    const order = { ...common, "durabletask.task.name": "order", ...server("orchestration:order") };
    const charge = (taskId: number): object => ({
      ...common,
      "durabletask.task.name": "charge",
      "durabletask.task.task_id": taskId,
      ...server("activity:charge", taskId),
    });
    const written = lines().slice(before);
    const expected = [
      {
        level: "info",
        msg: `Orchestration order started (instance ${id})`,
        "event.name": "durabletask.orchestration.started",
        ...order,
      },
      {
        level: "info",
        msg: `Activity charge started (task 1 of instance ${id})`,
        "event.name": "durabletask.activity.started",
        ...charge(1),
      },
      { level: "debug", msg: "charging 12", currency: "EUR", ...charge(1) },
      {
        level: "info",
        msg: `Activity charge completed (task 1 of instance ${id})`,
        "durabletask.task.status": "Completed",
        ...charge(1),
      },
      { level: "info", msg: `Activity charge started (task 2 of instance ${id})`, ...charge(2) },
      { level: "debug", msg: "charging -1", currency: "EUR", ...charge(2) },
      {
        level: "error",
        msg: `Activity charge failed (task 2 of instance ${id}): RangeError: negative`,
        "event.name": "durabletask.activity.failed",
        "durabletask.task.status": "Failed",
        "error.type": "RangeError",
        "exception.type": "RangeError",
        "exception.message": "negative",
        "exception.stacktrace": expect.stringContaining("loggers.test.ts"),
        ...charge(2),
      },
      {
        level: "error",
        msg: expect.stringContaining(`Orchestration order failed (instance ${id}): TaskFailedError`),
        "event.name": "durabletask.orchestration.finished",
        ...order,
      },
    ];
    expect(written).toHaveLength(expected.length);
    for (const each of expected) expect(written).toContainEqual(expect.objectContaining(each));
  });

  it("L2 takes the place of the worker's own for what the code writes", async () => {
    for (const level of Object.values(workers)) level.mockClear();
    await hubs.get(name)?.run("order");
    await items.over();
    const all = Object.values(workers).flatMap(({ mock }) => mock.calls.map(([line]: unknown[]) => String(line)));
    expect(all.filter((line) => line.startsWith("charging"))).toEqual([]);
  });

  it("L1 and the LoggerProvider get the same", async () => {
    const recorded = recordLogs();
    const before = lines().length;
    await hubs.get(name)?.run("order");
    await items.over();
    const texts = lines()
      .slice(before)
      .map(({ msg }) => msg);
    expect(recorded.records.map(({ body }) => body)).toEqual(texts);
  });
});

describe("The options of logging", () => {
  const methods = "error, warn, info, debug";
  it.each<[unknown, string]>([
    [
      { loger: console },
      'logging: unknown option "loger"; the options are logger, include, redact, tags, waiting, customStatus.',
    ],
    [{ waiting: true }, 'logging: option "waiting" must be an object with the options of waiting records, or false.'],
    [{ customStatus: "all" }, 'logging: option "customStatus" must be true, false or a function.'],
    [{ logger: "console" }, `logging: option "logger" must be an object with the methods ${methods}.`],
    [{ logger: null }, `logging: option "logger" must be an object with the methods ${methods}.`],
    [{ logger: { info: () => undefined } }, `logging: option "logger" must be an object with the methods ${methods}.`],
    [{ include: true }, 'logging: option "include" must be an object.'],
    [{ include: { inputs: true } }, 'logging: include: unknown option "inputs"; the options are input, output.'],
    [{ include: { input: 1 } }, 'logging: include: option "input" must be true or false.'],
    [{ redact: "all" }, 'logging: option "redact" must be a function.'],
    [null, "logging: the options must be an object."],
  ])("L3 are refused by name where they are unknown or of the wrong type: %j", (options, message) => {
    expect(() => logging(options as object)).toThrow(new TypeError(message));
  });

  it("take the console as it is, and a logger that is a function", () => {
    expect(logging({ logger: console }).name).toBe("logging");
    const { error, warn, info, debug } = console;
    expect(logging({ logger: Object.assign(() => undefined, { error, warn, info, debug }) }).name).toBe("logging");
  });
});
