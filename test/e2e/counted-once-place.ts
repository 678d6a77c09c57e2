/** Where workers in processes of their own meet a hub and a collector, and what came of it in the end. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startHub, type Hub } from "../harness.ts";
import { label } from "../logging/record-logs.ts";
import * as hubs from "../metrics/expected-measurements.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { readLedger, type Account } from "./counted-once-account.ts";
import { workItemsOf, type Measurement, type WorkItem } from "./counted-once-history.ts";
import { exportedBy, type Exported } from "./counted-once-received.ts";
import { startCountedWorker, type CountedWorker, type CountedWorkerOptions } from "./counted-once-worker.ts";
import { runsIn, type Run } from "./counted-once-workflow.ts";

export interface Place {
  readonly hub: Hub;
  readonly receiver: OtlpReceiver;
  /** The file of the runs of activities, of all processes. */
  readonly runs: string;
  /** All workers that were started, in order. */
  readonly workers: readonly CountedWorker[];
  /** Starts one; resolves when the hub gives it work. */
  readonly start: (id: string, options: CountedWorkerOptions) => Promise<CountedWorker>;
  /** The orchestrations that showed that. */
  readonly greetings: readonly string[];
}

/** Does something in a place of its own; no process and no file is left of it. */
export async function inPlace<T>(action: (place: Place) => Promise<T>): Promise<T> {
  const hub = await startHub();
  await using receiver = await startReceiver();
  const directory = await mkdtemp(join(tmpdir(), "counted-once-"));
  const runs = join(directory, "runs");
  const workers: CountedWorker[] = [];
  const greetings: string[] = [];
  const start: Place["start"] = async (id, options) => {
    const input = {
      hostAddress: hub.sidecar.address,
      runs,
      held: join(directory, "held"),
      compiled: join(directory, "compiled"),
      ledger: join(directory, `ledger of ${id}`),
    };
    const worker = await startCountedWorker(id, receiver, { ...input, ...options });
    workers.push(worker);
    const answer = worker.program.printed("greeted\n").then(() => true);
    while (!(await Promise.race([answer, Promise.resolve(false)]))) greetings.push((await hub.run("greet")).instanceId);
    return worker;
  };
  try {
    return await action({ hub, receiver, runs, workers, start, greetings });
  } finally {
    await Promise.all(workers.map(({ program }) => program[Symbol.asyncDispose]()));
    await rm(directory, { recursive: true });
  }
}

/** Resolves when the orchestration says that it is so far. */
export async function untilCustomStatus({ client }: Hub, id: string, status: string): Promise<void> {
  while ((await client.getOrchestrationState(id))?.serializedCustomStatus !== JSON.stringify(status));
}

/** Resolves when the worker has no work and has exported all, for the `count`th time; `false` if it died instead. */
export function flushed({ program }: CountedWorker, count: number): Promise<boolean> {
  program.kill("SIGUSR2");
  return program.printed(`flushed ${count}\n`).then(
    () => true,
    () => false,
  );
}

/** A process that has ended. */
export interface Process {
  readonly id: string;
  /** What has arrived over OTLP. */
  readonly exported: Exported;
  /** What it says itself. */
  readonly account: Account;
}

export interface Outcome {
  readonly executions: readonly hubs.Execution[];
  /** What the history calls for. */
  readonly workItems: readonly WorkItem[];
  readonly runs: readonly Run[];
  readonly processes: readonly Process[];
}

/** Has all workers end, and says what came of the orchestrations, which have ended, and of what these have started. */
export async function outcomeOf(
  { hub, receiver, runs, workers, greetings }: Place,
  own: readonly string[],
): Promise<Outcome> {
  const ids = [...own, ...greetings];
  for (const { program } of workers) program.goOn();
  for (const { id, program } of workers) {
    const { code, signal, stderr } = await program.result;
    if ((code !== 0 && signal !== "SIGKILL") || stderr !== "")
      throw new Error(`The worker ${id} ended with ${code ?? signal}: ${stderr}`);
  }
  const executions = (await Promise.all(ids.map((id) => executionsOf(hub, id)))).flat();
  return {
    executions,
    workItems: executions.flatMap(workItemsOf),
    runs: runsIn(runs),
    processes: workers.map(({ id, ledger }) => ({
      id,
      exported: exportedBy(id, receiver),
      account: readLedger(ledger),
    })),
  };
}

async function executionsOf(hub: Hub, id: string): Promise<hubs.Execution[]> {
  const execution = hubs.executionOf(await hub.client.getOrchestrationHistory(id));
  const below = await Promise.all(hubs.children(execution).map((child) => executionsOf(hub, child)));
  return [execution, ...below.flat()];
}

/** The runs that were not the first of their task. */
export function secondRuns({ runs }: Outcome): readonly Run[] {
  const keys = runs.map(({ instanceId, taskId }) => `${instanceId} ${taskId}`);
  return runs.filter((_, index) => keys.indexOf(keys[index] ?? "") < index);
}

/** The measurements that the history calls for. */
export const measurementsOf = ({ workItems }: Outcome): readonly Measurement[] =>
  workItems.flatMap(({ measurements }) => measurements);

/** The log records that the history calls for, in short. */
export const recordsOf = ({ workItems }: Outcome): readonly string[] =>
  workItems.flatMap(({ atStart, logs }) => [...atStart, ...logs]);

/** The log records that these runs call for, in short. */
export const startedAgain = (outcome: Outcome): readonly string[] =>
  secondRuns(outcome).map(({ name, instanceId, taskId }) => label("activity.started", name, instanceId, taskId));
