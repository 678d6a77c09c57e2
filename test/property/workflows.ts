/** Random workflows that real workers run, and the ledger of what their code did: the truth that spans are held against. */
import {
  RetryPolicy,
  whenAll,
  whenAny,
  type ActivityContext,
  type OrchestrationContext,
  type Task,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import * as fc from "fast-check";
import { createMiddlewareFeature, currentFeatures, type MiddlewareObject } from "../../src/index.ts";
import type { Steps } from "../harness.ts";

/** Something that an orchestrator can wait for. */
export type Part =
  | {
      readonly kind: "activity";
      readonly outcome: "ok" | "fail" | "flaky";
      readonly turns: number;
      readonly retry: Retry;
    }
  | { readonly kind: "child"; readonly workflow: Workflow; readonly retry: Retry }
  | { readonly kind: "timer"; readonly milliseconds: number }
  | { readonly kind: "event" }
  | { readonly kind: "all" | "any"; readonly of: readonly Part[] };

type Retry = "never" | "by policy" | "by handler";

export type Step =
  | { readonly do: "wait"; readonly for: Part; readonly caught: boolean }
  | { readonly do: "start"; readonly what: Part }
  | { readonly do: "status" }
  | { readonly do: "send"; readonly to: number }
  | { readonly do: "fail" };

export interface Workflow {
  readonly steps: readonly Step[];
  /** What it continues as. */
  readonly next: { readonly saveEvents: boolean; readonly steps: readonly Step[] } | undefined;
}

/** The input of the orchestrator. */
export interface Play {
  readonly workflow: Workflow;
  /** Counts continue-as-new. */
  readonly generation: number;
  /** Whom it can send events to. */
  readonly peers: readonly string[];
}

/** An execution of an orchestrator, as a worker saw it. */
export interface Execution {
  readonly executionId: string;
  readonly instanceId: string;
  readonly parentExecutionId: string | undefined;
  readonly generation: number;
}

/** One run of an activity. */
export interface Run {
  readonly key: string;
  readonly instanceId: string;
  /** The number of the worker that ran it. */
  readonly worker: number;
  /** The run's own, where the same activity runs more than once. */
  readonly number: number;
}

/** What the code of the workflows did. */
export class Ledger {
  readonly executions: Map<string, Execution> = new Map();
  /** How often each step of an orchestrator ran live: once, unless its episode was delivered again. */
  readonly steps: Map<string, number> = new Map();
  readonly runs: Run[] = [];
  /** By execution: the steps that sent an event, and those that set a custom status. */
  readonly sends: Map<string, Set<number>> = new Map();
  readonly statuses: Map<string, Set<number>> = new Map();
  /** The instances that were rewound. */
  readonly rewound: Set<string> = new Set();
  /** Who waits for an event. */
  onWaiting: (instanceId: string) => void = () => undefined;
  readonly #attempts = new Map<string, number>();
  readonly #watchers = new Set<() => void>();

  attempt(key: string): number {
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    return attempt;
  }

  ran(run: Omit<Run, "number">): Run {
    const numbered = { ...run, number: this.runs.length };
    this.runs.push(numbered);
    for (const watcher of this.#watchers) watcher();
    return numbered;
  }

  /**
   * The executions whose instance made room for another one with its ID, as that of a failed child does at its retry. If
   * a worker is lost with an activity of such an execution, the hub gives it to nobody.
   */
  get replaced(): ReadonlySet<string> {
    const last = new Map<string, string>();
    const replaced = new Set<string>();
    for (const { executionId, instanceId, generation } of this.executions.values()) {
      const before = last.get(instanceId);
      if (before !== undefined && generation === 1 && !this.rewound.has(instanceId)) replaced.add(before);
      last.set(instanceId, executionId);
    }
    return replaced;
  }

  /** Resolves once activities have run `count` times as `which` wants, or `signal` aborts. */
  async untilRuns(which: (run: Run) => boolean, count: number, signal: AbortSignal): Promise<void> {
    const done = Promise.withResolvers<void>();
    const check = (): void => {
      if (signal.aborted || this.runs.filter(which).length >= count) done.resolve();
    };
    this.#watchers.add(check);
    signal.addEventListener("abort", check);
    check();
    await done.promise;
    this.#watchers.delete(check);
    signal.removeEventListener("abort", check);
  }
}

const CurrentExecution = createMiddlewareFeature<string>("execution");
const CurrentRun = createMiddlewareFeature<string>("run");

/** Writes into `ledger` which executions and activities run. */
export function bookkeeping(ledger: Ledger): MiddlewareObject {
  return {
    name: "bookkeeping",
    async orchestration(ctx, next) {
      const { executionId = "none", instanceId, parent } = ctx;
      const { generation } = ctx.input as Play;
      ledger.executions.set(executionId, {
        executionId,
        instanceId,
        parentExecutionId: parent?.executionId,
        generation,
      });
      ctx.features.set(CurrentExecution, executionId);
      await next(ctx);
    },
    async activity(ctx, next) {
      ctx.features.set(CurrentRun, `${ctx.executionId} ${ctx.taskId}`);
      await next(ctx);
    },
  };
}

const user = (): ReturnType<typeof trace.getTracer> => trace.getTracer("user");

/** Registers what the workflows run on the worker with that number. */
export function register(worker: TaskHubGrpcWorker, number: number, ledger: Ledger): void {
  worker.addNamedActivity(
    "work",
    async (ctx: ActivityContext, { outcome, turns }: Extract<Part, { kind: "activity" }>) => {
      const run = ledger.ran({
        key: currentFeatures()?.get(CurrentRun) ?? "none",
        instanceId: ctx.orchestrationId,
        worker: number,
      });
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      user().startActiveSpan(
        "in activity",
        { attributes: { number: run.number, instance: ctx.orchestrationId } },
        (span) => span.end(),
      );
      const fails =
        outcome === "fail" || (outcome === "flaky" && ledger.attempt(`${ctx.orchestrationId} ${turns}`) % 2 === 1);
      if (fails) throw new RangeError(outcome);
      return turns;
    },
  );
  worker.addNamedOrchestrator("play", (ctx: OrchestrationContext, input: Play) => play(ledger, ctx, input));
}

async function* play(ledger: Ledger, ctx: OrchestrationContext, { workflow, generation, peers }: Play): Steps {
  const executionId = currentFeatures()?.get(CurrentExecution) ?? "none";
  for (const [index, step] of workflow.steps.entries()) {
    const key = `${executionId} ${index}`;
    if (!ctx.isReplaying) ledger.steps.set(key, (ledger.steps.get(key) ?? 0) + 1);
    user()
      .startSpan("in orchestrator", { attributes: { key, instance: ctx.instanceId } })
      .end();
    switch (step.do) {
      case "wait":
        try {
          yield start(ledger, ctx, step.for, peers);
        } catch (error) {
          if (!step.caught) throw error;
        }
        break;
      case "start":
        start(ledger, ctx, step.what, peers);
        break;
      case "status":
        noted(ledger.statuses, executionId).add(index);
        ctx.setCustomStatus(index);
        break;
      case "send":
        noted(ledger.sends, executionId).add(index);
        ctx.sendEvent(peers[step.to % peers.length] ?? ctx.instanceId, "go", index);
        break;
      default:
        throw new TypeError("on purpose");
    }
  }
  if (workflow.next !== undefined) {
    const following = {
      workflow: { steps: workflow.next.steps, next: undefined },
      generation: generation + 1,
      peers,
    } satisfies Play;
    ctx.continueAsNew(following, workflow.next.saveEvents);
  }
  return workflow.steps.length;
}

function noted(byExecution: Map<string, Set<number>>, executionId: string): Set<number> {
  const known = byExecution.get(executionId) ?? new Set();
  byExecution.set(executionId, known);
  return known;
}

const policy = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 5 });

function start(ledger: Ledger, ctx: OrchestrationContext, part: Part, peers: readonly string[]): Task<unknown> {
  switch (part.kind) {
    case "activity":
    case "child": {
      const options =
        part.retry === "never"
          ? {}
          : {
              retry:
                part.retry === "by policy"
                  ? policy
                  : async ({ lastAttemptNumber }: { lastAttemptNumber: number }) => lastAttemptNumber < 3,
            };
      return part.kind === "activity"
        ? ctx.callActivity("work", part, options)
        : ctx.callSubOrchestrator("play", { workflow: part.workflow, generation: 1, peers } satisfies Play, {
            ...options,
            instanceId: `${ctx.instanceId}${ctx.newGuid()}`,
          });
    }
    case "timer":
      return ctx.createTimer(part.milliseconds / 1000);
    case "event":
      if (!ctx.isReplaying) ledger.onWaiting(ctx.instanceId);
      return ctx.waitForExternalEvent("go");
    case "all":
      return whenAll(part.of.map((each) => start(ledger, ctx, each, peers)));
    default:
      return whenAny(part.of.map((each) => start(ledger, ctx, each, peers)));
  }
}

const retry = fc.constantFrom<Retry>("never", "never", "by policy", "by handler");
const activity: fc.Arbitrary<Part> = fc.record({
  kind: fc.constant("activity"),
  outcome: fc.constantFrom("ok", "ok", "ok", "fail", "flaky"),
  turns: fc.integer({ min: 0, max: 12 }),
  retry,
});
const simple: fc.Arbitrary<Part> = fc.oneof(
  { weight: 6, arbitrary: activity },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("timer"), milliseconds: fc.constantFrom(0, 5, 20) }) },
  { weight: 2, arbitrary: fc.constant<Part>({ kind: "event" }) },
);
const child = (deeper: fc.Arbitrary<Workflow>): fc.Arbitrary<Part> =>
  fc.record({ kind: fc.constant("child"), workflow: deeper, retry });

// The loser of a race may be a timer that would take an hour.
const late: Part = { kind: "timer", milliseconds: 3_600_000 };

function steps(part: fc.Arbitrary<Part>): fc.Arbitrary<readonly Step[]> {
  const wait = fc.oneof(
    { weight: 5, arbitrary: part },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("all"), of: fc.array(part, { minLength: 1, maxLength: 5 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("any"),
        of: fc
          .tuple(part, fc.array(fc.oneof(part, fc.constant(late)), { maxLength: 3 }))
          .map(([one, more]) => [one, ...more]),
      }),
    },
  );
  const step = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({ do: fc.constant("wait"), for: wait, caught: fc.nat({ max: 3 }).map((draw) => draw > 0) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("start"), what: part }) },
    { weight: 1, arbitrary: fc.constant<Step>({ do: "status" }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("send"), to: fc.nat({ max: 20 }) }) },
  );
  const fail = fc.nat({ max: 9 }).map((draw): readonly Step[] => (draw === 9 ? [{ do: "fail" }] : []));
  return fc
    .tuple(fc.array(step as fc.Arbitrary<Step>, { minLength: 1, maxLength: 5 }), fail)
    .map(([list, end]) => [...list, ...end]);
}

function workflowsOf(part: fc.Arbitrary<Part>): fc.Arbitrary<Workflow> {
  const next = fc.option(fc.record({ saveEvents: fc.boolean(), steps: steps(part) }), { nil: undefined, freq: 4 });
  return fc.record({ steps: steps(part), next });
}

const leaf = workflowsOf(simple);
const inner = workflowsOf(fc.oneof({ weight: 6, arbitrary: simple }, { weight: 1, arbitrary: child(leaf) }));

/** A workflow, at most three orchestrations deep. */
export const workflows: fc.Arbitrary<Workflow> = workflowsOf(
  fc.oneof({ weight: 4, arbitrary: simple }, { weight: 1, arbitrary: child(inner) }),
);

/** What happens to an orchestration from outside. */
export interface Fate {
  readonly act: "nothing" | "terminate" | "terminate with children" | "suspend";
  /** How many activities have run by then. */
  readonly after: number;
  /** How long a suspension holds, in calls of the client. */
  readonly hold: number;
  /** Whether it is rewound if it fails. */
  readonly rewind: boolean;
}

export const fates: fc.Arbitrary<Fate> = fc.record({
  act: fc.constantFrom("nothing", "nothing", "terminate", "terminate with children", "suspend", "suspend"),
  after: fc.nat({ max: 5 }),
  hold: fc.nat({ max: 5 }),
  rewind: fc.boolean(),
});

/** What happens to one of the workers. */
export interface Accident {
  readonly kind: "none" | "stopped" | "connection lost";
  /** How many activities it has run by then. */
  readonly after: number;
}

const work: Part = { kind: "activity", outcome: "ok", turns: 3, retry: "never" };
const nothing: Fate = { act: "nothing", after: 0, hold: 0, rewind: false };

/** What every batch has, so that none goes without each of the ends: a rewind and a termination with a child and a task that is left behind. */
export const always: readonly (readonly [Workflow, Fate])[] = [
  [{ steps: [{ do: "wait", for: work, caught: false }], next: undefined }, nothing],
  [
    {
      steps: [
        { do: "start", what: { ...work, turns: 12 } },
        {
          do: "wait",
          for: {
            kind: "child",
            workflow: { steps: [{ do: "wait", for: work, caught: false }, { do: "fail" }], next: undefined },
            retry: "never",
          },
          caught: false,
        },
      ],
      next: undefined,
    },
    { ...nothing, rewind: true },
  ],
  [
    {
      steps: [
        {
          do: "start",
          what: {
            kind: "child",
            workflow: {
              steps: [
                { do: "wait", for: work, caught: false },
                { do: "wait", for: late, caught: false },
              ],
              next: undefined,
            },
            retry: "never",
          },
        },
        { do: "wait", for: late, caught: false },
      ],
      next: undefined,
    },
    { ...nothing, act: "terminate with children", after: 1 },
  ],
];
