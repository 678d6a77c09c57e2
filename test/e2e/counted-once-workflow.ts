/** The tasks of the tests that count history events: a workflow of 50 activities, some of which are retried. */
import { appendFileSync, readFileSync } from "node:fs";
import {
  RetryPolicy,
  whenAll,
  type ActivityContext,
  type OrchestrationContext,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import type { Steps } from "../harness.ts";

/** One run of an activity, which may be one more of the same task. */
export interface Run {
  readonly name: string;
  readonly instanceId: string;
  readonly taskId: number;
}

/** The runs so far; they stand in a file, where no process that dies takes them along. */
export function runsIn(file: string): Run[] {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return lines.map((line): Run => JSON.parse(line));
}

/** What the workflow needs of its process. */
export interface Surroundings {
  /** Where the runs of activities stand. */
  readonly runs: string;
  /** Called before the code of an activity does anything. */
  readonly runsNow: (ctx: ActivityContext) => void;
  /** Called in the first run of the activity `held`, and awaited. */
  readonly hold: () => Promise<void>;
  /** Called in the orchestrator `greet`. */
  readonly greeted: () => void;
}

const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 10 });

/** Registers `fifty` and what it calls, `brief`, `waits`, and `greet`. */
export function register(worker: TaskHubGrpcWorker, { runs, runsNow, hold, greeted }: Surroundings): void {
  const run = (name: string, ctx: ActivityContext): Run[] => {
    runsNow(ctx);
    const { orchestrationId, taskId } = ctx;
    appendFileSync(runs, `${JSON.stringify({ name, instanceId: orchestrationId, taskId } satisfies Run)}\n`);
    return runsIn(runs).filter((each) => each.name === name && each.instanceId === orchestrationId);
  };
  worker.addNamedActivity("step", (ctx: ActivityContext, value: number) => {
    run("step", ctx);
    return value + 1;
  });
  worker.addNamedActivity("fail", (ctx: ActivityContext) => {
    run("fail", ctx);
    throw new RangeError("no such order");
  });
  for (const name of ["flaky one", "flaky two", "flaky three"]) {
    worker.addNamedActivity(name, (ctx: ActivityContext, needed: number | null) => {
      const attempts = new Set(run(name, ctx).map(({ taskId }) => taskId)).size;
      if (attempts < (needed ?? 3)) throw new TypeError("not yet");
    });
  }
  worker.addNamedActivity("held", async (ctx: ActivityContext) => {
    if (run("held", ctx).length === 1) await hold();
  });

  const steps = (ctx: OrchestrationContext, count: number) =>
    whenAll(Array.from({ length: count }, (_, index) => ctx.callActivity<number, number>("step", index)));
  worker.addNamedOrchestrator("fifty", async function* (ctx: OrchestrationContext): Steps<number> {
    let value = 0;
    while (value < 10) value = yield ctx.callActivity("step", value, { version: "2.0" });
    // 3 attempts each.
    yield whenAll(["flaky one", "flaky two", "flaky three"].map((name) => ctx.callActivity(name, null, { retry })));
    yield ctx.createTimer(0.02);
    ctx.setCustomStatus("half-way");
    yield ctx.waitForExternalEvent("go on");
    yield steps(ctx, 6);
    yield ctx.callActivity("held");
    yield ctx.callSubOrchestrator("child", "good");
    try {
      yield ctx.callSubOrchestrator("child", "bad");
    } catch {
      yield ctx.createTimer(0.02);
    }
    ctx.setCustomStatus("nearly done");
    yield ctx.waitForExternalEvent("finish");
    // No episode has so many events that its records are made over several turns of the event loop.
    for (let wave = 0; wave < 4; wave += 1) yield steps(ctx, 6);
    return value;
  });
  worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext, kind: string): Steps {
    return yield ctx.callActivity(kind === "bad" ? "fail" : "step", 1);
  });
  // As little as has each kind of measurement and record that an activity and an orchestration may have.
  worker.addNamedOrchestrator("brief", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.callActivity("flaky one", 2, { retry });
  });
  worker.addNamedOrchestrator("greet", () => greeted());
  worker.addNamedOrchestrator("waits", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.callActivity("step", 1);
    ctx.setCustomStatus("waiting");
    yield ctx.waitForExternalEvent("never");
  });
}
