import {
  HistoryEventType,
  OrchestrationStatus,
  type OrchestrationContext,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, it } from "vitest";
import type { Middleware } from "../../src/index.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { around, expectNoUnhandledRejections, finished, unique } from "./cases.ts";
import { episodesOf, events, shown } from "./episodes.ts";
import { customOnly } from "../custom-only.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});
expectNoUnhandledRejections();

const pipeline: readonly Middleware[] = [
  around("function", async (ctx, next) => {
    ctx.onSuspend(() => undefined);
    try {
      await next(ctx);
    } finally {
      await Promise.resolve();
    }
  }),
  around("generator", async function* (ctx, next) {
    try {
      yield* next(ctx);
    } finally {
      await Promise.resolve();
    }
  }),
  around("plain", (ctx, next) => next(ctx)),
];

/** What one run shows: how it ended, and its history. */
interface Life {
  readonly status: string | undefined;
  readonly output: unknown;
  readonly failure: string | undefined;
  readonly history: readonly string[];
}

/** Registers an orchestrator `main`, and drives it. */
interface Story {
  readonly register: (worker: TaskHubGrpcWorker, main: string) => void;
  readonly input?: unknown;
  readonly drive?: (id: string, waiting: () => Promise<void>) => Promise<void>;
}

async function live(story: Story, use: readonly Middleware[] | undefined): Promise<Life> {
  const main = unique("main");
  const register = (worker: TaskHubGrpcWorker): void => story.register(worker, main);
  if (use === undefined) await hub.bareWorker(register, { workItemFilters: "auto" });
  else await hub.worker({ ...customOnly, use }, register, { workItemFilters: "auto" });
  const id = await hub.client.scheduleNewOrchestration(main, story.input);
  const waiting = async (): Promise<void> => void (await hub.client.waitForOrchestrationStart(id, false, 20));
  await story.drive?.(id, waiting);
  const state = await finished(hub, id);
  const history = await hub.client.getOrchestrationHistory(id);
  return {
    status: OrchestrationStatus[state.runtimeStatus],
    output: state.serializedOutput,
    // Names of tests, and of variables in the SDK, differ.
    failure: state.failureDetails?.message.replaceAll(/-\d+|^\S+ (?=is not a function)/g, ""),
    // How many episodes it takes depends on what arrives together.
    history: history.map(({ type }) => type).filter((type) => type !== HistoryEventType.OrchestratorStarted),
  };
}

const echo = (_: unknown, value: unknown): unknown => value;

const stories: Record<string, () => Story> = {
  "continue-as-new, with events saved": () => ({
    input: 0,
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext, sum: number): Steps<number> {
        const value: number = yield ctx.waitForExternalEvent("add");
        if (value === 0) return sum;
        ctx.continueAsNew(sum + value, true);
        return -1;
      }),
    async drive(id) {
      for (const value of [1, 2, 3, 4, 0]) await hub.client.raiseOrchestrationEvent(id, "add", value);
    },
  }),
  "external events that come before they are waited for": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
        yield ctx.waitForExternalEvent("last");
        return [
          yield ctx.waitForExternalEvent("a"),
          yield ctx.waitForExternalEvent("A"),
          yield ctx.waitForExternalEvent("b"),
        ];
      }),
    async drive(id) {
      for (const [name, value] of [
        ["b", 1],
        ["a", 2],
        ["a", 3],
        ["last", 4],
      ] as const) {
        await hub.client.raiseOrchestrationEvent(id, name, value);
      }
    },
  }),
  "suspension and resumption": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("go");
      }),
    async drive(id, waiting) {
      await waiting();
      await hub.client.suspendOrchestration(id);
      await hub.client.raiseOrchestrationEvent(id, "go", "gone");
      await hub.client.resumeOrchestration(id);
    },
  }),
  termination: () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("never");
      }),
    async drive(id, waiting) {
      await waiting();
      await hub.client.terminateOrchestration(id, { output: "enough", recursive: true });
    },
  }),
  "termination of what is suspended": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("never");
      }),
    async drive(id, waiting) {
      await waiting();
      await hub.client.suspendOrchestration(id);
      await hub.client.terminateOrchestration(id, "enough");
    },
  }),
  "sub-orchestrations that fail and complete": () => ({
    register: (worker, main) => {
      worker.addNamedOrchestrator(
        `${main} child`,
        async function* (ctx: OrchestrationContext, value: number): Steps<number> {
          yield ctx.createTimer(0.001);
          if (value < 0) throw new RangeError("negative");
          return value * 2;
        },
      );
      worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
        const twice: number = yield ctx.callSubOrchestrator(`${main} child`, 2);
        try {
          yield ctx.callSubOrchestrator(`${main} child`, -1);
        } catch (error) {
          return [twice, String(error).includes("negative")];
        }
        return "not reached";
      });
    },
  }),
  "a rewind": () => {
    let broken = true;
    return {
      register: (worker, main) => {
        worker.addNamedActivity(`${main} echo`, echo);
        worker.addNamedActivity(`${main} fragile`, () => {
          if (broken) throw new Error("broken");
          return "repaired";
        });
        worker.addNamedOrchestrator(main, async function* (ctx: OrchestrationContext): Steps {
          return [yield ctx.callActivity(`${main} echo`, 1), yield ctx.callActivity(`${main} fragile`)];
        });
      },
      async drive(id) {
        expect(OrchestrationStatus[(await finished(hub, id)).runtimeStatus]).toBe("FAILED");
        broken = false;
        await hub.client.rewindInstance(id, "repaired");
      },
    };
  },
  "a function that returns a promise of a generator": () => ({
    register: (worker, main) => {
      worker.addNamedActivity(`${main} echo`, echo);
      const steps = async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity(`${main} echo`, 5);
      };
      worker.addNamedOrchestrator(main, async (ctx: OrchestrationContext) => steps(ctx));
    },
  }),
  "an iterator written by hand": () => ({
    register: (worker, main) => {
      worker.addNamedActivity(`${main} echo`, echo);
      worker.addNamedOrchestrator(main, (ctx: OrchestrationContext) => ({
        called: 0,
        [Symbol.asyncIterator]() {
          return this;
        },
        next(value: unknown) {
          this.called += 1;
          return this.called === 1
            ? { done: false, value: ctx.callActivity(`${main} echo`, 6) }
            : { done: true, value };
        },
      }));
    },
  }),
  "an iterator that lacks what it needs": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async () => ({
        [Symbol.asyncIterator]() {
          return this;
        },
      })),
  }),
  "a yield of what is no task": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, async function* () {
        yield "no task";
      }),
  }),
  "a result that has no JSON": () => ({
    register: (worker, main) => worker.addNamedOrchestrator(main, () => 1n),
  }),
  "a failure after it continued as new": () => ({
    register: (worker, main) =>
      worker.addNamedOrchestrator(main, (ctx: OrchestrationContext) => {
        ctx.continueAsNew(1, false);
        throw new RangeError("too late");
      }),
  }),
};

describe("An orchestration under a pipeline", () => {
  it.each(Object.entries(stories))("O10 lives as without: %s", async (_, story) => {
    const bare = await live(story(), undefined);
    const ours = await live(story(), pipeline);
    expect(ours).toEqual(bare);
    expect(["COMPLETED", "FAILED", "TERMINATED"]).toContain(bare.status);
  });

  it("O10 terminates at once when the termination comes with its start", async () => {
    const log: string[] = [];
    const watching = around("watching", (ctx, next) => {
      ctx.onSuspend((reason) => log.push(reason));
      return next(ctx);
    });
    const orchestrator = async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.waitForExternalEvent("never");
    };
    const start = [events.newTerminatedEvent('"enough"')];
    expect(shown(await episodesOf(orchestrator, { use: [watching] })(start))).toEqual(
      shown(await episodesOf(orchestrator)(start)),
    );
    expect(log).toEqual(["terminated"]);
  });

  it("O10 carries the events that it saved over to the next generation, as without", async () => {
    const orchestrator = async function* (ctx: OrchestrationContext): Steps<string> {
      yield ctx.waitForExternalEvent("first");
      ctx.continueAsNew("next", true);
      return "done";
    };
    const fresh = [
      events.newEventRaisedEvent("second", "2"),
      events.newEventRaisedEvent("first", "1"),
      events.newEventRaisedEvent("third", "3"),
    ];
    const carried = async (use: readonly Middleware[]): Promise<unknown[]> => {
      const [action] = await episodesOf(orchestrator, { use })([], fresh);
      const list = action?.getCompleteorchestration()?.getCarryovereventsList() ?? [];
      return list.map((event) => [event.getEventraised()?.getName(), event.getEventraised()?.getInput()?.getValue()]);
    };
    expect(await carried(pipeline)).toEqual([
      ["second", "2"],
      ["third", "3"],
    ]);
    expect(await carried([])).toEqual(await carried(pipeline));
  });
});
