import type { Logger, OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { ActivityMiddleware, OrchestrationMiddleware } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { firstEpisode, hostWorker } from "./requests.ts";
import { customOnly } from "../custom-only.ts";

// Workers of one hub share its work: a hub for each test.
let hub: Hub;
let stoppingHub: Hub;
let restartedHub: Hub;
beforeAll(async () => {
  [hub, stoppingHub, restartedHub] = await Promise.all([startHub(), startHub(), startHub()]);
});

const levels = ["error", "warn", "info", "debug"] as const;

/** A logger that keeps what middleware writes; it relies on `this`, as class instances do. */
class Recorder implements Logger {
  readonly lines: unknown[][] = [];
  readonly error = this.#level("error");
  readonly warn = this.#level("warn");
  readonly info = this.#level("info");
  debug(message: string, ...args: unknown[]): void {
    this.#level("debug")(message, ...args);
  }
  #level(level: string) {
    return (message: string, ...args: unknown[]): void => {
      if (message.startsWith("mw")) this.lines.push([level, message, ...args]);
    };
  }
}

const writing: OrchestrationMiddleware = async (ctx, next) => {
  for (const level of levels) ctx.logger[level]("mw before", ctx.name, { level });
  await next(ctx);
  ctx.logger.info("mw after", ctx.result);
};

async function* threeSteps(ctx: OrchestrationContext): Steps<string> {
  yield ctx.callActivity("nothing");
  yield ctx.callActivity("nothing");
  yield ctx.callActivity("nothing");
  return "done";
}

describe("The logger", () => {
  it("X7 writes nothing while replaying: what middleware logs is there once, however many episodes there are", async () => {
    const logger = new Recorder();
    let episodes = 0;
    const counting: OrchestrationMiddleware = async (ctx, next) => {
      episodes += 1;
      await next(ctx);
    };
    const register = (worker: Parameters<Parameters<Hub["worker"]>[1]>[0]): void => {
      worker.useOrchestrationMiddleware(counting).useOrchestrationMiddleware(writing);
      worker.addNamedActivity("nothing", () => undefined);
      worker.addNamedOrchestrator("x7", threeSteps);
    };
    await hub.worker({ ...customOnly }, register, { logger });
    await hub.run("x7");
    expect(episodes).toBe(4);
    expect(logger.lines).toEqual([
      ...levels.map((level) => [level, "mw before", "x7", { level }]),
      ["info", "mw after", "done"],
    ]);
  });

  it("X7 is the same object all along, and is the worker's own in activities", async () => {
    const logger = new Recorder();
    const seen: unknown[] = [];
    const worker = hostWorker({}, { logger });
    worker.useOrchestrationMiddleware(async (ctx, next) => {
      seen.push(ctx.logger === ctx.logger);
      await next(ctx);
    });
    worker.addNamedOrchestrator("plain", () => undefined);
    await firstEpisode(worker, { name: "plain" });
    expect(seen).toEqual([true]);
  });

  it("X7 writes to the console where a worker has no logger of its own", async () => {
    const memory = inMemoryHub();
    const info = vi.spyOn(console, "info").mockReturnValue();
    const inActivity: ActivityMiddleware = async (ctx, next) => {
      ctx.logger.info("mw activity");
      await next(ctx);
    };
    memory.worker.useOrchestrationMiddleware(writing).useActivityMiddleware(inActivity);
    memory.worker.addNamedActivity("nothing", () => undefined);
    memory.worker.addNamedOrchestrator("steps", threeSteps);
    await memory.run("steps");
    const lines = info.mock.calls.map(([line]: unknown[]) => line).filter((line) => String(line).startsWith("mw"));
    expect(lines).toEqual(["mw before", "mw activity", "mw activity", "mw activity", "mw after"]);
  });
});

describe("The signal", () => {
  it("X8 aborts when the worker is asked to stop, in the running work items and in those that still come", async () => {
    const entered = Promise.withResolvers<AbortSignal>();
    const signals: AbortSignal[] = [];
    const worker = await stoppingHub.worker({ ...customOnly }, (register) => {
      register.useActivityMiddleware(async (ctx, next) => {
        entered.resolve(ctx.signal);
        await next(ctx);
      });
      register.useOrchestrationMiddleware(async (ctx, next) => {
        signals.push(ctx.signal);
        await next(ctx);
      });
      register.addNamedActivity("until stopped", async () => {
        const signal = await entered.promise;
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      });
      register.addNamedOrchestrator("x8", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("until stopped");
      });
    });
    await stoppingHub.client.scheduleNewOrchestration("x8");
    const signal = await entered.promise;
    expect(signal.aborted).toBe(false);
    const stopped = worker.stop();
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toEqual(new Error("The worker is stopping."));
    // A start that is refused, as it still runs, must not make it look as if it went on.
    await expect(worker.start()).rejects.toThrow("The worker is already running.");
    await firstEpisode(worker, { name: "x8" });
    expect(signals.at(-1)?.aborted).toBe(true);
    await stopped;
  });

  it("X8 is fresh after a restart", async () => {
    const signals: AbortSignal[] = [];
    const memory = inMemoryHub({
      use: [
        {
          name: "signals",
          async orchestration(ctx, next) {
            signals.push(ctx.signal);
            await next(ctx);
          },
        },
      ],
    });
    memory.worker.addNamedOrchestrator("plain", () => undefined);
    await memory.run("plain");
    await memory.run("plain");
    await memory.worker.stop();
    await memory.run("plain");
    const [first, second, third] = signals;
    expect(signals).toHaveLength(3);
    expect(second).toBe(first);
    expect(first?.aborted).toBe(true);
    expect(third?.aborted).toBe(false);
  });

  it("X8 stays aborted in a work item that outlives a restart of its worker", async () => {
    const restarted = Promise.withResolvers<void>();
    const [entered, left] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()];
    const worker = await restartedHub.worker({ ...customOnly }, (register) => {
      register.useActivityMiddleware(async (ctx, next) => {
        entered.resolve();
        await restarted.promise;
        left.resolve(ctx.signal.aborted);
        await next(ctx);
      });
      register.addNamedActivity("nothing", () => undefined);
      register.addNamedOrchestrator("outlived", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("nothing");
      });
    });
    await restartedHub.client.scheduleNewOrchestration("outlived");
    await entered.promise;
    await worker.stop();
    await worker.start();
    restarted.resolve();
    expect(await left.promise).toBe(true);
  });

  it("X8 does not abort for a stop that the worker refuses since it was never started", async () => {
    const signals: AbortSignal[] = [];
    const worker = hostWorker();
    worker.useOrchestrationMiddleware(async (ctx, next) => {
      signals.push(ctx.signal);
      await next(ctx);
    });
    worker.addNamedOrchestrator("plain", () => undefined);
    await expect(worker.stop()).rejects.toThrow("The worker is not running.");
    await firstEpisode(worker, { name: "plain" });
    expect(signals[0]?.aborted).toBe(false);
  });
});
