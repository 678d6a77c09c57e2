import { beforeAll, describe, expect, it } from "vitest";
import { labelOf, totalsOf, type Addend } from "./counted-once-history.ts";
import { beyond, deathOf, fatesOf, type Death, type Fate } from "./counted-once-fates.ts";
import {
  inPlace,
  measurementsOf,
  outcomeOf,
  recordsOf,
  startedAgain,
  untilCustomStatus,
  type Outcome,
  type Process,
} from "./counted-once-place.ts";

// As in production: workers export on their own, every 50 milliseconds here, and one is killed in the midst of it.
const interval = 50;

// One string for each measurement: exports tell how many there were of a kind, and no single values.
const each = (addends: readonly Addend[]): readonly string[] =>
  Object.entries(totalsOf(addends)).flatMap(([key, { count }]) => Array.from({ length: count }, () => key));

describe("Four workflows of 50 activities, on two processes of which one is killed in the midst of work and exports", () => {
  const count = 4;
  let outcome: Outcome;
  let killed: Process;
  let fates: readonly Fate[];
  let death: Death;
  beforeAll(async () => {
    const begin = performance.now();
    outcome = await inPlace(async (place) => {
      const first = await place.start("killed", { interval });
      await place.start("other", { interval });
      const { client } = place.hub;
      const ids = Array.from({ length: count }, (_, number) => `fifty-${number}`);
      await Promise.all(
        ids.map((instanceId) => client.scheduleNewOrchestration("fifty", null, { instanceId, version: "1.1" })),
      );
      // Half of them don't wait.
      const waiting = ids.slice(count / 2);
      const goOn = (instanceId: string): Promise<unknown> =>
        Promise.all(["go on", "finish"].map((event) => client.raiseOrchestrationEvent(instanceId, event)));
      await Promise.all(ids.slice(0, count / 2).map(goOn));
      await Promise.any(waiting.map((id) => untilCustomStatus(place.hub, id, "half-way")));
      first.program.kill("SIGKILL");
      expect(await first.program.result).toMatchObject({ signal: "SIGKILL" });
      await place.start("heir", { interval });
      await Promise.all(waiting.map(goOn));
      await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id)));
      return outcomeOf(place, ids);
    });
    const [first] = outcome.processes;
    if (first === undefined) throw new Error("There is no process.");
    killed = first;
    fates = fatesOf(outcome);
    death = deathOf(killed, fates);
    const { measurements, logs } = killed.account.left;
    const due = { measurements: measurementsOf(outcome).length, records: recordsOf(outcome).length };
    const exported = { measurements: measured(outcome).length, records: logged(outcome).length };
    console.log(
      `${due.measurements} measurements and ${due.records} records are due, ${exported.measurements} and ${exported.records} came; ` +
        `the killed process had recorded ${measurements.length} and ${logs.length}, ${death.unacknowledged.length} responses were unacknowledged, ${death.recording.length} half recorded; ` +
        `${startedAgain(outcome).length} activities ran twice; ${((performance.now() - begin) / 1000).toFixed(1)} s`,
    );
  }, 300_000);

  const measured = ({ processes }: Pick<Outcome, "processes">): readonly string[] =>
    each(processes.flatMap(({ exported }) => exported.measurements));
  const logged = ({ processes }: Pick<Outcome, "processes">): readonly string[] =>
    processes.flatMap(({ exported }) => exported.logs.map(labelOf));

  it("each process has exported some, the killed one too", () => {
    for (const { exported } of outcome.processes) {
      expect(exported.measurements.length).toBeGreaterThan(0);
      expect(exported.logs.length).toBeGreaterThan(0);
    }
  });

  it("L1 nothing is counted or logged twice, but the start of an activity that truly ran twice", () => {
    expect(beyond(measured(outcome), each(measurementsOf(outcome)))).toEqual([]);
    expect(beyond(logged(outcome), [...recordsOf(outcome), ...startedAgain(outcome)])).toEqual([]);
    expect(fates.filter(({ surplus }) => surplus.length > 0)).toEqual([]);
    const besides = outcome.processes.flatMap(({ account }) => account.besides);
    expect(besides.filter((text) => !text.startsWith("activity.started "))).toEqual([]);
  });

  it("a process exports what it has recorded: all of it if it ends in order, nothing else if it is killed", () => {
    for (const process of outcome.processes) {
      const recorded = [process.account.exported, process.account.left];
      const measurements = each(recorded.flatMap((part) => part.measurements));
      const records = recorded.flatMap(({ logs }) => logs.map(labelOf));
      expect(beyond(measured({ processes: [process] }), measurements)).toEqual([]);
      expect(beyond(logged({ processes: [process] }), records)).toEqual([]);
      if (process === killed) continue;
      expect(beyond(measurements, measured({ processes: [process] }))).toEqual([]);
      expect(beyond(records, logged({ processes: [process] }))).toEqual([]);
    }
  });

  // All records of a work item are made at once, when the acknowledgement of its response arrives. So a process can die
  // halfway through them for one work item at most. The other responses that the hub accepted, and that no other process
  // repeated, are those whose acknowledgement did not arrive. `counted-once-any-moment` goes through all these moments.
  it("what was not recorded are all records of unacknowledged responses, and the rest of one work item", () => {
    expect(death.recording.length).toBeLessThanOrEqual(1);
    for (const { missing, due } of death.unacknowledged) expect(missing).toEqual(due);
    const missing = fates.filter((fate) => fate.missing.length > 0);
    expect(
      beyond(
        missing.map(({ key }) => key),
        [...death.unacknowledged, ...death.recording].map(({ key }) => key),
      ),
    ).toEqual([]);
  });
});
