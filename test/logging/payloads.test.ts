import { whenAny, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import { diag, logs } from "@opentelemetry/api";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { logging, type LoggingOptions, type PayloadContext } from "../../middlewares/index.ts";
import type { ActivityMiddleware, Middleware } from "../../src/index.ts";
import type { Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { history, runEpisode } from "../tracing/episodes.ts";
import { hostWorker } from "../worker/requests.ts";
import { isEnd, recordLogs, untraced } from "./record-logs.ts";

const secret = "4111 1111";

interface Order {
  readonly card: string;
  readonly amount: number;
}

/** Runs an orchestration with an activity, both with a payload in and out; the records, and what was said of faults. */
async function run(
  options: LoggingOptions,
  ...more: readonly Middleware[]
): Promise<{ records: readonly ReadableLogRecord[]; faults: string[] }> {
  const faults: string[] = [];
  const none = (): void => undefined;
  diag.setLogger(
    { error: (message) => void faults.push(message), warn: none, info: none, debug: none, verbose: none },
    { suppressOverrideMessage: true },
  );
  onTestFinished(() => diag.disable());
  const recorded = recordLogs();
  const memory = inMemoryHub(untraced(options, ...more));
  memory.worker.addNamedActivity("charge", (_: ActivityContext, order: Order) => ({ ...order, paid: true }));
  memory.worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext, order: Order): Steps {
    return yield ctx.callActivity("charge", order);
  });
  await memory.run("order", { card: secret, amount: 12 });
  await recorded.waitFor((records) => records.some(isEnd("order")));
  return { records: recorded.events, faults };
}

const payloads = (records: readonly ReadableLogRecord[]): Record<string, unknown> =>
  Object.fromEntries(
    records.flatMap(({ eventName = "", attributes }) =>
      ["input", "output"].flatMap((payload) => {
        const text = attributes[`durabletask.task.${payload}`];
        return typeof text === "string"
          ? [[`${eventName.replace("durabletask.", "")} ${payload}`, JSON.parse(text)]]
          : [];
      }),
    ),
  );

const order: Order = { card: secret, amount: 12 };
const paid = { ...order, paid: true };

describe("L3 payloads", () => {
  it("L3 are never logged by default", async () => {
    const { records, faults } = await run({});
    expect(records).toHaveLength(4);
    expect(faults).toEqual([]);
    expect(payloads(records)).toEqual({});
    expect(JSON.stringify(records.map(({ body, attributes }) => [body, attributes]))).not.toContain(secret);
  });

  it("L3 are not logged because there is a redact function", async () => {
    const { records } = await run({ redact: (value) => value, include: {} });
    expect(payloads(records)).toEqual({});
  });

  it.each<[include: NonNullable<LoggingOptions["include"]>, expected: object]>([
    [{ input: true }, { "orchestration.started input": order, "activity.started input": order }],
    [{ output: true }, { "orchestration.finished output": paid, "activity.finished output": paid }],
    [{ input: false, output: false }, {}],
  ])("L3 are logged as JSON where %j asks for them", async (include, expected) => {
    const { records, faults } = await run({ include });
    expect(payloads(records)).toEqual(expected);
    expect(faults).toEqual([]);
  });

  it("L3 are no outputs where the task failed after all", async () => {
    const late: Middleware = {
      name: "late",
      async orchestration(ctx, next) {
        await next(ctx);
        throw new Error("too late");
      },
      async activity(ctx, next) {
        await next(ctx);
        throw new Error("too late");
      },
    };
    const recorded = recordLogs();
    // Outside, where logging knows of a result.
    const memory = inMemoryHub({ middlewares: () => [late, logging({ include: { output: true } })] });
    memory.worker.addNamedActivity("charge", () => paid);
    memory.worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
      yield whenAny([ctx.callActivity("charge")]);
      return paid;
    });
    await memory.run("order");
    await recorded.waitFor((records) => records.some(isEnd("order")));
    expect(recorded.events.filter(({ severityText }) => severityText === "ERROR")).toHaveLength(2);
    expect(payloads(recorded.events)).toEqual({});
  });

  it("L3 are an input as it came, and no attribute where there is none", async () => {
    const lines: object[] = [];
    const write = (_: string, fields: unknown): void => void lines.push(fields as object);
    const redact = vi.fn<() => undefined>();
    const include = { input: true, output: true };
    const ran = async (options: LoggingOptions, rawInput?: string): Promise<void> => {
      const worker = hostWorker(
        untraced({ ...options, logger: { error: write, warn: write, info: write, debug: write } }),
      );
      worker.addNamedOrchestrator("order", () => (rawInput === undefined ? undefined : 1));
      const started = history.started("order", { version: "2.0", input: rawInput });
      if (rawInput !== undefined) started.getExecutionstarted()?.getInput()?.setValue(rawInput);
      await runEpisode(worker, { fresh: [history.episode(), started] });
    };
    await ran({ include });
    await ran({ include, redact });
    expect(redact).not.toHaveBeenCalled();
    await ran({ include, redact }, '{ "card" : 1 }');
    const whose = (payload: string): unknown => expect.objectContaining({ payload, version: "2.0" });
    expect(new Set<unknown>(redact.mock.calls)).toEqual(
      new Set([
        [{ card: 1 }, whose("input")],
        [1, whose("output")],
      ]),
    );
    expect(lines.flatMap((fields) => Object.keys(fields).filter((key) => key.endsWith("put")))).toEqual([]);
    await ran({ include }, '{ "card" : 1 }');
    expect(lines.at(-2)).toMatchObject({ "durabletask.task.input": '{ "card" : 1 }' });
  });

  it("K1 L3 may be changed by redact: neither the next log nor a workflow gets the change", async () => {
    const card = "4111";
    const kept = { card };
    const recorded = recordLogs();
    const redact = (value: unknown): unknown => Object.assign(value as object, { card: "****" });
    const memory = inMemoryHub({ middlewares: () => [logging({ include: { input: true, output: true }, redact })] });
    memory.worker.addNamedActivity("charge", () => kept);
    memory.worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
      yield ctx.callActivity("charge", kept);
      return yield ctx.callActivity("charge", kept);
    });
    await memory.run("order");
    await recorded.waitFor((records) => records.some(isEnd("order")));
    expect(kept).toEqual({ card });
    expect(payloads(recorded.events)).toMatchObject({ "activity.finished output": { card: "****" } });
  });

  it.each<[string, ActivityMiddleware]>([
    ["a promise", async (ctx, next) => (await next(ctx), ctx.setResult(Promise.resolve(paid)))],
    [
      "what is chained to next",
      async (ctx, next) => {
        const chained = next(ctx).then(() => paid);
        await chained;
        ctx.setResult(chained);
      },
    ],
  ])("L3 are left out where middleware set as the result what the SDK waits for: %s", async (_, activity) => {
    for (const redact of [undefined, (value: unknown) => value]) {
      const { records } = await run({ include: { output: true }, redact }, { name: "stand-in", activity });
      expect(payloads(records)).toEqual({ "orchestration.finished output": paid });
      logs.disable();
    }
  });

  it("L3 go through redact, which gets their identity", async () => {
    const contexts: PayloadContext[] = [];
    const { records } = await run({
      include: { input: true, output: true },
      redact: (value, context) => {
        contexts.push(context);
        return { ...(value as Order), card: "****" };
      },
    });
    const redacted = { card: "****", amount: 12 };
    expect(payloads(records)).toEqual({
      "orchestration.started input": redacted,
      "activity.started input": redacted,
      "activity.finished output": { ...redacted, paid: true },
      "orchestration.finished output": { ...redacted, paid: true },
    });
    expect(JSON.stringify(records.map(({ attributes }) => attributes))).not.toContain(secret);
    const instanceId = records[0]?.attributes["durabletask.task.instance_id"];
    expect(contexts).toContainEqual({
      payload: "output",
      kind: "activity",
      name: "charge",
      version: undefined,
      instanceId,
      tags: {},
    });
    expect(contexts.map(({ payload, kind }) => `${kind} ${payload}`).toSorted()).toEqual([
      "activity input",
      "activity output",
      "orchestration input",
      "orchestration output",
    ]);
  });

  it("L3 are what the task ended with, also where middleware inside replaced it", async () => {
    const { records } = await run(
      { include: { output: true } },
      { name: "replace", activity: async (ctx, next) => next(ctx).then(() => ctx.setResult("replaced")) },
    );
    expect(payloads(records)).toEqual({
      "activity.finished output": "replaced",
      "orchestration.finished output": "replaced",
    });
  });

  it.each<[string, NonNullable<LoggingOptions["redact"]>]>([
    [
      "throws",
      () => {
        throw new Error("cannot redact");
      },
    ],
    [
      "returns a cycle",
      () => {
        const cycle: { self?: unknown } = {};
        return Object.assign(cycle, { self: cycle });
      },
    ],
    ["is async", async () => "too late"],
    [
      "is async and rejects",
      async () => {
        throw new Error("too late");
      },
    ],
  ])("L3 are left out, and nothing else is, where redact %s", async (_, redact) => {
    const { records } = await run({ include: { input: true, output: true }, redact });
    expect(records).toHaveLength(4);
    expect(payloads(records)).toEqual({});
  });

  it("L3 that redact threw is reported once for each cause", async () => {
    const { faults } = await run({
      include: { input: true, output: true },
      redact: (_, { payload }) => {
        throw new Error(`no rule for an ${payload}`);
      },
    });
    expect(faults).toEqual(
      ["input", "output"].map((payload) =>
        expect.stringContaining(`a payload is left out of the log: no rule for an ${payload}`),
      ),
    );
  });

  it("L3 are left out where redact returns undefined, which is no fault", async () => {
    const { records, faults } = await run({ include: { input: true, output: true }, redact: () => undefined });
    expect(payloads(records)).toEqual({});
    expect(faults).toEqual([]);
  });
});
