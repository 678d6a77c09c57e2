import { beforeAll, describe, expect, it } from "vitest";
import { tally } from "../metrics/durable-facts.ts";
import { labelOf, measurementsOf, totalsOf, type Addend } from "./counted-once-facts.ts";
import { inPlace, outcomeOf, startedAgain, untilCustomStatus, type Outcome, type Process } from "./counted-once-place.ts";

// As in production: workers export on their own, every 50 milliseconds here, and one is killed in the midst of it.
const interval = 50;

const countsOf = (addends: readonly Addend[]): Record<string, number> =>
  Object.fromEntries(Object.entries(totalsOf(addends)).map(([key, { count }]) => [key, count]));

/** What there is in `counts` beyond `limit`. */
function beyond(counts: Readonly<Record<string, number>>, limit: Readonly<Record<string, number>>): Record<string, number> {
  const more = Object.entries(counts).map(([key, count]): [string, number] => [key, count - (limit[key] ?? 0)]);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

const sumOf = (counts: Readonly<Record<string, number>>, of = ""): number =>
  Object.entries(counts).reduce((sum, [key, count]) => (key.startsWith(of) ? sum + count : sum), 0);

describe("Six workflows of 50 activities, on two processes of which one is killed in the midst of work and exports", () => {
  const count = 6;
  let outcome: Outcome;
  let killed: Process;
  // By instrument and attributes, or by label: what the history calls for, and what was delivered.
  let measurements: { readonly due: Record<string, number>; readonly delivered: Record<string, number> };
  let logs: typeof measurements;
  beforeAll(async () => {
    const begin = performance.now();
    outcome = await inPlace(async (place) => {
      await place.start("killed", { interval });
      await place.start("other", { interval });
      const { client } = place.hub;
      const ids = Array.from({ length: count }, (_, number) => `fifty-${number}`);
      await Promise.all(ids.map((instanceId) => client.scheduleNewOrchestration("fifty", null, { instanceId, version: "1.1" })));
      // Half of them don't wait.
      const waiting = ids.slice(count / 2);
      const goOn = (instanceId: string): Promise<unknown> =>
        Promise.all(["go on", "finish"].map((event) => client.raiseOrchestrationEvent(instanceId, event)));
      await Promise.all(ids.slice(0, count / 2).map(goOn));
      await Promise.any(waiting.map((id) => untilCustomStatus(place.hub, id, "half-way")));
      const [first] = place.workers;
      first?.program.kill("SIGKILL");
      expect(await first?.program.result).toMatchObject({ signal: "SIGKILL" });
      await place.start("heir", { interval });
      await Promise.all(waiting.map(goOn));
      await Promise.all(ids.map((id) => client.waitForOrchestrationCompletion(id)));
      return outcomeOf(place, ids);
    });
    const [first] = outcome.processes;
    if (first === undefined) throw new Error("There is no process.");
    killed = first;
    measurements = {
      due: countsOf(outcome.executions.flatMap(measurementsOf)),
      delivered: countsOf(outcome.processes.flatMap(({ delivered }) => delivered.measurements)),
    };
    logs = {
      due: tally([...outcome.facts, ...startedAgain(outcome)]),
      delivered: tally(outcome.processes.flatMap(({ delivered }) => delivered.logs.map(labelOf))),
    };
    const { orchestration, activity } = killed.account.open;
    console.log(
      `${sumOf(measurements.due)} measurements and ${sumOf(logs.due)} records are due, ${sumOf(measurements.delivered)} and ${sumOf(logs.delivered)} came; ` +
        `${startedAgain(outcome).length} activities ran twice; ${orchestration} episodes and ${activity} activities were open; ` +
        `${((performance.now() - begin) / 1000).toFixed(1)} s`,
    );
  }, 120_000);

  it("each process has delivered some, the killed one too", () => {
    for (const { delivered } of outcome.processes) {
      expect(delivered.measurements.length).toBeGreaterThan(0);
      expect(delivered.logs.length).toBeGreaterThan(0);
    }
  });

  it("L1 nothing is counted or logged twice, but the start of an activity that truly ran twice", () => {
    expect(beyond(measurements.delivered, measurements.due)).toEqual({});
    expect(beyond(logs.delivered, logs.due)).toEqual({});
  });

  it("what is missing is only what died with the process: recorded and not delivered, or of a work item that was open", () => {
    const { account, delivered } = killed;
    const recorded = [account.delivered, account.left];
    const diedMeasurements = beyond(countsOf(recorded.flatMap((each) => each.measurements)), countsOf(delivered.measurements));
    const diedLogs = beyond(tally(recorded.flatMap((each) => each.logs.map(labelOf))), tally(delivered.logs.map(labelOf)));
    const missingMeasurements = beyond(measurements.due, measurements.delivered);
    const missingLogs = beyond(logs.due, logs.delivered);
    // What died was due, so it is missing.
    expect(beyond(diedMeasurements, missingMeasurements)).toEqual({});
    expect(beyond(diedLogs, missingLogs)).toEqual({});

    // The hub may have had the response of a work item, and the process not yet have known; or it was killed between two
    // things that it had to tell of one work item.
    const neverRecorded = beyond(missingMeasurements, diedMeasurements);
    const episodes = sumOf(neverRecorded, "durabletask.episode.duration");
    const activities = sumOf(neverRecorded, "durabletask.activity.duration");
    expect(episodes).toBeLessThanOrEqual(account.open.orchestration);
    expect(activities).toBeLessThanOrEqual(account.open.activity);
    if (account.open.orchestration === 0) expect(sumOf(neverRecorded)).toBe(activities);
    const neverLogged = beyond(missingLogs, diedLogs);
    // Each has a start and an end at most.
    expect(sumOf(neverLogged, "orchestration.")).toBeLessThanOrEqual(2 * account.open.orchestration);
    expect(sumOf(neverLogged, "activity.")).toBeLessThanOrEqual(account.open.activity);
  });
});
