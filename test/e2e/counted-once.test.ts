import { beforeAll, describe, expect, it } from "vitest";
import * as hubs from "../metrics/expected-measurements.ts";
import { labelOf, sumsKnownIn, totalsOf } from "./counted-once-history.ts";
import {
  flushed,
  inPlace,
  measurementsOf,
  outcomeOf,
  recordsOf,
  secondRuns,
  startedAgain,
  untilCustomStatus,
  type Outcome,
  type Process,
} from "./counted-once-place.ts";
import type { CountedWorker, CountedWorkerOptions } from "./counted-once-worker.ts";

/** What the replacement of a worker is made of. */
interface Scene {
  readonly workers: readonly CountedWorker[];
  /** Has the workflow go on. */
  readonly goOn: () => Promise<void>;
  /** Starts a third worker. */
  readonly heir: () => Promise<unknown>;
  readonly untilNearlyDone: () => Promise<void>;
}

/** Replaces one of the workers, and returns which. */
type Replace = (scene: Scene) => Promise<CountedWorker>;

interface Case {
  readonly what: string;
  readonly replace: Replace;
  readonly holds?: CountedWorkerOptions["holds"];
  /** The activities that run twice. */
  readonly twice: readonly string[];
}

/** What came of the workflow, and which process was replaced. */
interface Run extends Outcome {
  readonly replaced: Process;
  readonly seconds: number;
}

/** Runs the workflow; `replace` is called half-way, when nothing runs and all has been exported, and has it go on. */
function run({ holds, replace }: Case): Promise<Run> {
  return inPlace(async (place) => {
    const begin = performance.now();
    const { hub, workers } = place;
    await place.start("one", { holds });
    await place.start("two", { holds });
    const { client } = hub;
    const terminated = await client.scheduleNewOrchestration("waits");
    const fifty = await client.scheduleNewOrchestration("fifty", null, { version: "1.1" });
    await untilCustomStatus(hub, terminated, "waiting");
    await client.terminateOrchestration(terminated, "enough");
    await client.waitForOrchestrationCompletion(terminated);
    await untilCustomStatus(hub, fifty, "half-way");
    expect(await Promise.all(workers.map((worker) => flushed(worker, 1)))).toEqual([true, true]);

    const { id } = await replace({
      workers: [...workers],
      goOn: () => client.raiseOrchestrationEvent(fifty, "go on"),
      heir: () => place.start("heir", { holds }),
      untilNearlyDone: () => untilCustomStatus(hub, fifty, "nearly done"),
    });
    await client.raiseOrchestrationEvent(fifty, "finish");
    await client.waitForOrchestrationCompletion(fifty);
    const outcome = await outcomeOf(place, [fifty, terminated]);
    const replaced = outcome.processes.find((process) => process.id === id);
    if (replaced === undefined) throw new Error("None was replaced.");
    return { ...outcome, replaced, seconds: (performance.now() - begin) / 1000 };
  });
}

const holding = (workers: readonly CountedWorker[]): Promise<CountedWorker> =>
  Promise.race(workers.map((worker) => worker.program.printed("holds\n").then(() => worker)));

const stopped: Replace = async ({ workers, goOn, heir }) => {
  const [replaced] = workers;
  if (replaced === undefined) throw new Error("There is no worker.");
  replaced.program.goOn();
  await replaced.program.result;
  await heir();
  await goOn();
  return replaced;
};

const stoppedInFlight: Replace = async ({ workers, goOn, heir, untilNearlyDone }) => {
  await goOn();
  const replaced = await holding(workers);
  replaced.program.goOn();
  // The worker waits for what it has started, but the hub has given that to the other one.
  await untilNearlyDone();
  replaced.program.kill("SIGHUP");
  await replaced.program.result;
  await heir();
  return replaced;
};

const killed: Replace = async ({ workers, goOn, heir }) => {
  await goOn();
  const replaced = await holding(workers);
  replaced.program.kill("SIGKILL");
  expect(await replaced.program.result).toMatchObject({ signal: "SIGKILL" });
  await heir();
  return replaced;
};

const cases: readonly Case[] = [
  { what: "stopped", replace: stopped, twice: [] },
  { what: "stopped with an episode in flight", replace: stoppedInFlight, holds: "episode", twice: [] },
  { what: "stopped with an activity in flight", replace: stoppedInFlight, holds: "activity", twice: ["held"] },
  { what: "killed with SIGKILL", replace: killed, holds: "activity", twice: ["held"] },
];

describe.each(cases)(
  "A workflow of 50 activities, on two processes of which one is $what half-way and replaced",
  (each) => {
    const { what, replace, twice } = each;
    let outcome: Run;
    beforeAll(async () => {
      outcome = await run(each);
      const { replaced, runs, seconds } = outcome;
      const { measurements, logs } = replaced.account.left;
      console.log(
        `${what}: ${measurementsOf(outcome).length} measurements, ${recordsOf(outcome).length} records, ${runs.length} runs; ${measurements.length} and ${logs.length} died; ${seconds.toFixed(1)} s`,
      );
    }, 120_000);

    it("and there is much to count", () => {
      const { executions, processes } = outcome;
      expect(hubs.tally(executions.map(({ name, status }) => `${name} ${status}`))).toMatchObject({
        "fifty Completed": 1,
        "child Completed": 1,
        "child Failed": 1,
        "waits Terminated": 1,
      });
      expect(executions.filter(({ name }) => name === "fifty").flatMap(hubs.attempts)).toHaveLength(50);
      expect(secondRuns(outcome).map(({ name }) => name)).toEqual(twice);
      for (const { exported } of processes) {
        const replayed = totalsOf(exported.measurements)['durabletask.episode.replayed_events task.name="fifty"'];
        expect(replayed?.sum).toBeGreaterThan(0);
      }
    });

    it("each metric's sum is what the history says, and what died with a process, no more and no less", () => {
      const { processes, replaced } = outcome;
      const measured = [
        ...processes.flatMap(({ exported }) => exported.measurements),
        ...replaced.account.left.measurements,
      ];
      const expected = totalsOf(measurementsOf(outcome));
      expect(sumsKnownIn(expected, totalsOf(measured))).toEqual(expected);
    });

    it("L1 each history event is one log record, exported or lost with its process; only the start of what ran twice is there twice", () => {
      const { processes, replaced } = outcome;
      const records = [...processes.flatMap(({ exported }) => exported.logs), ...replaced.account.left.logs];
      expect(records.map(labelOf).toSorted()).toEqual([...recordsOf(outcome), ...startedAgain(outcome)].toSorted());
    });

    it("what is missing is only what died unexported with a process that was killed", () => {
      for (const process of outcome.processes) {
        const { exported, account } = process;
        expect(totalsOf(exported.measurements)).toEqual(totalsOf(account.exported.measurements));
        expect(exported.logs.map(labelOf).toSorted()).toEqual(account.exported.logs.map(labelOf).toSorted());
        const died = replace === killed && process === outcome.replaced;
        expect(account.left.measurements.length > 0).toBe(died);
        expect(account.left.logs.length > 0).toBe(died);
      }
    });

    it("durabletask.activity.active is back at zero in each process, or was at its last export", () => {
      const levels = outcome.processes.flatMap(({ exported }) => exported.levels);
      expect(levels.length).toBeGreaterThan(0);
      expect(levels.filter(({ value }) => value !== 0)).toEqual([]);
    });
  },
);
