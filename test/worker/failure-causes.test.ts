import { whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type { MiddlewareObject, TaskFailure } from "../../src/pipeline/index.ts";
import { messageWithCauses, rootCause, stackWithCauses } from "../../src/telemetry/failure-causes.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";

const failures = new Map<string, TaskFailure>();
const observer: MiddlewareObject = {
  name: "observer",
  workItem: (item) => ({
    onResponse: ({ outcome }) => {
      if (outcome.status === "failed") failures.set(`${item.kind}:${item.name}`, outcome.failure);
    },
  }),
};

const fetchFailed = (): never => {
  throw new TypeError("fetch failed", {
    cause: Object.assign(new RangeError("connect ECONNREFUSED"), { cause: "port 4317" }),
  });
};
async function* single(ctx: OrchestrationContext): Steps {
  return yield ctx.callActivity(fetchFailed);
}
const failing = {
  single,
  async *several(ctx: OrchestrationContext): Steps {
    return yield whenAll([ctx.createTimer(0), ctx.callActivity(fetchFailed), ctx.callActivity(fetchFailed)]);
  },
  async *wrapped(ctx: OrchestrationContext): Steps {
    try {
      return yield ctx.callActivity(fetchFailed);
    } catch (cause) {
      throw new SyntaxError("no quote", { cause });
    }
  },
  async *caught(ctx: OrchestrationContext): Steps {
    try {
      return yield ctx.callActivity(fetchFailed);
    } catch {
      throw new Error("Activity task #1 failed: something else");
    }
  },
  async *impostor(ctx: OrchestrationContext): Steps {
    try {
      return yield ctx.callActivity(fetchFailed);
    } catch {
      throw Object.assign(new Error("Activity task #1 failed: something else"), { name: "TaskFailedError" });
    }
  },
};

const chainOf = (failure: TaskFailure | undefined): readonly string[] =>
  failure === undefined ? [] : [`${failure.type}: ${failure.message}`, ...chainOf(failure.cause)];
const causes = ["TypeError: fetch failed", "RangeError: connect ECONNREFUSED", "UnknownError: port 4317"];

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({ middlewares: () => [observer] }, (worker) => {
    worker.addActivity(fetchFailed);
    for (const [name, orchestrator] of Object.entries(failing)) worker.addNamedOrchestrator(name, orchestrator);
  });
});

describe("S11 The causes of a failure", () => {
  it("of an activity are as deep as the SDK records them", async () => {
    await hub.run("single");
    expect(chainOf(failures.get("activity:fetchFailed"))).toEqual(causes);
  });

  it.each([
    ["single", ["TaskFailedError: Activity task #1 failed: fetch failed", ...causes]],
    [
      "several",
      [
        "AggregateError: 2 of 3 tasks in the whenAll failed: Activity task #2 failed: fetch failed; Activity task #3 failed: fetch failed",
        ...causes,
      ],
    ],
    ["wrapped", ["SyntaxError: no quote", "TaskFailedError: Activity task #1 failed: fetch failed", ...causes]],
    ["caught", ["Error: Activity task #1 failed: something else"]],
    ["impostor", ["TaskFailedError: Activity task #1 failed: something else"]],
  ])("of the orchestration %s include those of the task that it did not catch, and no other's", async (name, chain) => {
    await hub.run(name);
    expect(chainOf(failures.get(`orchestration:${name}`))).toEqual(chain);
  });

  it("are the same with the in-memory backend", async () => {
    const { client, worker } = inMemoryHub({ middlewares: () => [observer] });
    worker.addActivity(fetchFailed);
    worker.addNamedOrchestrator("in memory", single);
    await worker.start();
    failures.clear();
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("in memory"));
    await worker.stop();
    expect(chainOf(failures.get("activity:fetchFailed"))).toEqual(causes);
    expect(chainOf(failures.get("orchestration:in memory"))).toEqual([
      "TaskFailedError: Activity task #1 failed: fetch failed",
      ...causes,
    ]);
  });

  it("are all in the message and the stack trace that telemetry records", async () => {
    await hub.run("single");
    const failure = failures.get("orchestration:single");
    if (failure === undefined) throw new Error("It did not fail.");
    // A cause that is no error has no type.
    expect(rootCause(failure).type).toBe("RangeError");
    expect(messageWithCauses(failure).split("; caused by ")).toEqual([
      "Activity task #1 failed: fetch failed",
      ...causes,
    ]);
    expect(
      stackWithCauses(failure)
        ?.split("\n")
        .filter((line) => line.startsWith("Caused by: ")),
    ).toEqual(causes.map((cause) => `Caused by: ${cause}`));
  });
});
