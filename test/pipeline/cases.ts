/** One orchestration or activity under its own pipeline, on a hub that the tests of a file share. */
import {
  OrchestrationStatus,
  type OrchestrationContext,
  type OrchestrationState,
  type Task,
  type TaskHubGrpcWorker,
  type TOrchestrator,
} from "@microsoft/durabletask-js";
import { afterAll, beforeAll, expect } from "vitest";
import type {
  AwaitGuardOptions,
  Middleware,
  MiddlewareLogger,
  MiddlewareObject,
  OrchestrationMiddleware,
} from "../../src/index.ts";
import type { Hub, Steps } from "../harness.ts";
import { customOnly } from "../custom-only.ts";

type ActivityFunction = Parameters<TaskHubGrpcWorker["addNamedActivity"]>[1];

export interface Case {
  readonly orchestrator: TOrchestrator;
  readonly activities?: Readonly<Record<string, ActivityFunction>>;
  /** Middleware, outermost first. */
  readonly use?: readonly Middleware[];
  readonly awaitGuard?: AwaitGuardOptions;
  readonly logger?: MiddlewareLogger;
  readonly input?: unknown;
}

export interface Started {
  readonly id: string;
  readonly name: string;
  finished(): Promise<OrchestrationState>;
}

let names = 0;

/** A name that no other test has. */
export function unique(name: string): string {
  names += 1;
  return `${name}-${names}`;
}

/** Starts an orchestration on a worker of its own, which takes nothing else. */
export async function start(hub: Hub, each: Case): Promise<Started> {
  const name = unique("orchestration");
  await hub.worker(
    { ...customOnly, use: each.use ?? [], ...(each.awaitGuard && { awaitGuard: each.awaitGuard }) },
    (worker) => {
      worker.addNamedOrchestrator(name, each.orchestrator);
      for (const [activity, fn] of Object.entries(each.activities ?? {})) worker.addNamedActivity(activity, fn);
    },
    { workItemFilters: "auto", ...(each.logger && { logger: each.logger }) },
  );
  const id = await hub.client.scheduleNewOrchestration(name, each.input);
  return { id, name, finished: () => finished(hub, id) };
}

/** The state in which an orchestration ended. */
export async function finished(hub: Hub, id: string): Promise<OrchestrationState> {
  const state = await hub.client.waitForOrchestrationCompletion(id, true, 20);
  if (state === undefined) throw new Error(`The hub knows no orchestration ${id}.`);
  return state;
}

/** Runs an orchestration to its end. */
export async function run(hub: Hub, each: Case): Promise<OrchestrationState> {
  return (await start(hub, each)).finished();
}

/** How an orchestration failed, as its client sees it. */
export interface Failure {
  readonly type: string | undefined;
  readonly message: string | undefined;
}

/** The failure of an orchestration that must have failed. */
export function failureOf(state: OrchestrationState): Failure {
  expect(OrchestrationStatus[state.runtimeStatus]).toBe("FAILED");
  return { type: state.failureDetails?.errorType, message: state.failureDetails?.message };
}

/** The output of an orchestration that must have completed. */
export function outputOf(state: OrchestrationState): unknown {
  expect([OrchestrationStatus[state.runtimeStatus], state.failureDetails?.message]).toEqual(["COMPLETED", undefined]);
  return state.serializedOutput === undefined ? undefined : JSON.parse(state.serializedOutput);
}

/** Code around an orchestration as JavaScript may have it: the public type says that it returns nothing. */
export type AnyOrchestrationMiddleware = (
  ...args: Parameters<OrchestrationMiddleware>
) => PromiseLike<unknown> | AsyncGenerator<Task<unknown>, unknown>;

/** A middleware around orchestrations alone. */
export function around(name: string, orchestration: AnyOrchestrationMiddleware): MiddlewareObject {
  return { name, orchestration: orchestration as OrchestrationMiddleware };
}

export interface TwoSteps {
  readonly counts: { episodes: number; starts: number; ends: number };
  /** Counts the episodes. */
  readonly count: MiddlewareObject;
  readonly orchestrator: TOrchestrator;
  readonly activities: Readonly<Record<string, ActivityFunction>>;
}

/** An orchestration of two steps that returns 3, and counts of what ran. */
export function twoSteps(): TwoSteps {
  const echo = unique("echo");
  const counts = { episodes: 0, starts: 0, ends: 0 };
  const count = around("count", async (ctx, next) => {
    counts.episodes += 1;
    await next(ctx);
  });
  const orchestrator = async function* (ctx: OrchestrationContext): Steps<number> {
    counts.starts += 1;
    const one: number = yield ctx.callActivity(echo, 1);
    const two: number = yield ctx.callActivity(echo, 2);
    counts.ends += 1;
    return one + two;
  };
  return { counts, count, orchestrator, activities: { [echo]: (_: unknown, value: number) => value } };
}

/** A promise chain that takes `count` turns of the microtask queue. */
export async function microtasks(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

/** Resolves in a macrotask that comes after all that is ready now. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}

/** Fails the file if one promise in it rejects and nobody handles it (contract.md O5). */
export function expectNoUnhandledRejections(): void {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  beforeAll(() => void process.on("unhandledRejection", note));
  afterAll(async () => {
    await macrotask();
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
}
