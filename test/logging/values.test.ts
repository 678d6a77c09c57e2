import { Writable } from "node:stream";
import pino from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import winston from "winston";
import { logging } from "../../middlewares/index.ts";
import { currentLogger, type Middleware, type MiddlewareLogger } from "../../src/index.ts";
import { fault, nested } from "../telemetry/misbehaviour.ts";
import { runActivity } from "../tracing/activities.ts";
import { history, runEpisode } from "../tracing/episodes.ts";
import { firstEpisode, hostWorker } from "../worker/requests.ts";
import { recordLogs, type RecordedLogs } from "./record-logs.ts";

class Lines extends Writable {
  readonly lines: Record<string, unknown>[] = [];
  constructor() {
    super({
      write: (chunk, _, done) => {
        this.lines.push(JSON.parse(String(chunk)) as Record<string, unknown>);
        done();
      },
    });
  }
}

const level = "debug";
const toPino = (stream: Writable): MiddlewareLogger => {
  const log = pino({ level }, stream);
  return {
    error: (line, fields) => log.error(fields, line),
    warn: (line, fields) => log.warn(fields, line),
    info: (line, fields) => log.info(fields, line),
    debug: (line, fields) => log.debug(fields, line),
  };
};
const toWinston = (stream: Writable): MiddlewareLogger =>
  winston.createLogger({ level, transports: [new winston.transports.Stream({ stream })] });

const identity = { "durabletask.task.name": "plain", "durabletask.task.instance_id": "instance" };

/** What a line of an orchestrator becomes, for OpenTelemetry and for a logger. */
async function written(to: (stream: Writable) => MiddlewareLogger, write: (logger: MiddlewareLogger) => void) {
  const recorded = recordLogs();
  const stream = new Lines();
  const worker = hostWorker({ middlewares: () => [logging({ logger: to(stream) })] });
  worker.addNamedOrchestrator("plain", () => write(currentLogger() ?? console));
  await firstEpisode(worker, { name: "plain" });
  const [record] = recorded.lines;
  const {
    level: _,
    time: __,
    pid: ___,
    hostname: ____,
    msg,
    message = msg,
    ...fields
  } = stream.lines.find((each) => each["event.name"] === undefined) ?? {};
  return { body: record?.body, attributes: record?.attributes, message, fields };
}

class Money {
  readonly currency = "EUR";
  readonly amount = 12n;
}
const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
const failed = new TypeError("fetch failed", { cause: refused });
const exception = {
  "exception.type": "TypeError",
  "exception.message": "fetch failed",
  "exception.stacktrace": `${failed.stack}\nCaused by: ${refused.stack}`,
};

describe.each([
  ["pino", toPino],
  ["winston", toWinston],
])("L4 OpenTelemetry and %s", (_, to) => {
  it("L4 get the same of values of any type", async () => {
    const cycle: Record<string, unknown> = { id: 1 };
    cycle["self"] = cycle;
    const { attributes, fields } = await written(to, (logger) =>
      logger.info("a line", {
        at: new Date(0),
        url: new URL("https://example.com/"),
        map: new Map([["a", new Set([1n])]]),
        money: new Money(),
        floats: new Float32Array([0.5]),
        bytes: Buffer.from("text"),
        cause: failed,
        cycle,
        kind: Symbol("kind"),
        run: fault,
        deep: nested(20_000),
        none: undefined,
        lost: new Proxy({ a: 1 }, { ownKeys: () => fault(new Error("no keys")) }),
        kept: true,
      }),
    );
    expect(attributes).toEqual({
      ...identity,
      at: "1970-01-01T00:00:00.000Z",
      url: "https://example.com/",
      map: { a: ["1"] },
      money: { currency: "EUR", amount: "12" },
      floats: [0.5],
      bytes: "dGV4dA==",
      cause: {
        type: "TypeError",
        message: "fetch failed",
        stack: failed.stack,
        cause: { type: "Error", message: "connect ECONNREFUSED", code: "ECONNREFUSED", stack: refused.stack },
      },
      cycle: { id: 1, self: "[Circular]" },
      kind: "Symbol(kind)",
      run: "[Function fault]",
      deep: expect.anything(),
      lost: "[threw]",
      kept: true,
    });
    expect(fields).toEqual(attributes);
  });

  it.each<[string, (logger: MiddlewareLogger) => void, line: string]>([
    ["err", (logger) => logger.error("no quote", { err: failed, kept: 1 }), "no quote"],
    ["error", (logger) => logger.error("no quote", { error: failed, kept: 1 }), "no quote"],
    ["the last argument", (logger) => logger.error("no quote", failed, { kept: 1 }), "no quote"],
    [
      "the message itself",
      (logger) => logger.error(failed as unknown as string, { kept: 1 }),
      "TypeError: fetch failed",
    ],
  ])("L4 get an error that is %s as the exception, with its causes", async (__, write, line) => {
    const { body, attributes, message, fields } = await written(to, write);
    expect(body).toBe(line);
    expect(message).toBe(line);
    expect(attributes).toEqual({ ...identity, ...exception, kept: 1 });
    expect(fields).toEqual(attributes);
  });

  it("L4 get what is no error under these names as it is, and the second error as an attribute", async () => {
    const { attributes } = await written(to, (logger) =>
      logger.error("no quote", failed, { err: "E42", error: refused }),
    );
    expect(attributes).toEqual({
      ...identity,
      ...exception,
      err: "E42",
      error: { type: "Error", message: "connect ECONNREFUSED", code: "ECONNREFUSED", stack: refused.stack },
    });
  });
});

describe("K4 every string that is logged is cut", () => {
  const most = 32 * 1024;
  const huge = "x".repeat(1_500_000);
  const mark = /^.*\.\.\. \[\d+ characters cut\]$/s;

  /** All strings of the records, names of attributes included. */
  const stringsOf = (recorded: RecordedLogs): readonly string[] =>
    recorded.records.flatMap(({ body, attributes }) => [
      String(body),
      ...Object.keys(attributes),
      ...Object.values(attributes).map(String),
    ]);
  const longest = (strings: readonly string[]): number => Math.max(...strings.map((each) => Buffer.byteLength(each)));

  it("K4 of a failure with a message of 1.5 MB: the line, the message and the stack trace", async () => {
    const recorded = recordLogs();
    const worker = hostWorker({ middlewares: () => [logging()] });
    worker.addNamedActivity("fails", () => fault(new RangeError(huge)));
    await runActivity(worker, { name: "fails" });
    const [, end] = recorded.events;
    expect(longest(stringsOf(recorded))).toBe(most);
    expect(end?.body).toMatch(mark);
    expect(end?.attributes["exception.message"]).toMatch(mark);
    expect(end?.attributes["exception.stacktrace"]).toMatch(mark);
    expect(end?.attributes["exception.type"]).toBe("RangeError");
  });

  it("K4 of names, versions, payloads, lines, attributes and their names, for the logger too", async () => {
    const recorded = recordLogs();
    const lines: unknown[] = [];
    const keep = (...args: unknown[]): void => void lines.push(...args);
    const options = {
      logger: { error: keep, warn: keep, info: keep, debug: keep },
      include: { input: true, output: true },
    };
    const worker = hostWorker({ middlewares: () => [logging(options)] });
    worker.addNamedOrchestrator(huge, () => {
      currentLogger()?.info(`${huge} %s`, huge, { [huge]: huge, list: [huge], bytes: Buffer.alloc(1_500_000) });
      return huge;
    });
    await runEpisode(worker, { fresh: [history.episode(), history.started(huge, { version: huge, input: huge })] });
    expect(recorded.records).toHaveLength(3);
    expect(longest(stringsOf(recorded))).toBe(most);
    for (const key of ["durabletask.task.name", "durabletask.task.version"])
      for (const { attributes } of recorded.records) expect(attributes[key]).toMatch(mark);
    expect(
      recorded.events.map(
        ({ attributes }) => attributes["durabletask.task.input"] ?? attributes["durabletask.task.output"],
      ),
    ).toEqual([expect.stringMatching(mark), expect.stringMatching(mark)]);
    expect(JSON.stringify(lines).length).toBeLessThan(3 * 10 * most);
  });

  it("K4 at the limit of the environment, for the logger too", async () => {
    vi.stubEnv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100");
    vi.resetModules();
    onTestFinished(() => {
      vi.unstubAllEnvs();
      vi.resetModules();
    });
    const limited = await import("../../middlewares/index.ts");
    const recorded = recordLogs();
    const lines: string[] = [];
    const keep = (line: string): void => void lines.push(line);
    const middleware: Middleware = limited.logging({ logger: { error: keep, warn: keep, info: keep, debug: keep } });
    const worker = hostWorker({ middlewares: () => [middleware] });
    worker.addNamedActivity("fails", () => fault(new RangeError("é".repeat(1_000))));
    await runActivity(worker, { name: "fails" });
    const [, end] = recorded.events;
    expect(end?.attributes["exception.message"]).toBe(`${"é".repeat(75)}... [925 characters cut]`);
    expect(Math.max(...stringsOf(recorded).map(({ length }) => length), ...lines.map(({ length }) => length))).toBe(
      100,
    );
  });
});
