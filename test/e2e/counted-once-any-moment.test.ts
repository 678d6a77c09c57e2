import { beforeAll, describe, expect, it } from "vitest";
import { deathOf, fatesOf, type Fate } from "./counted-once-fates.ts";
import { flushed, inPlace, outcomeOf, type Outcome, type Process } from "./counted-once-place.ts";

/** A process that killed itself in place of an entry of its ledger, or lived to write them all. */
interface Life {
  readonly entry: number;
  readonly instanceId: string;
  readonly process: Process;
}

const instanceOf = (entry: number): string => `brief-${entry}`;

/**
 * One process after the other: each ends what its predecessor left, then runs the workflow itself, alone, and kills
 * itself in place of the entry `first`, `first + step`, … of its ledger. The last one lives.
 */
function lives(first: number, step: number): Promise<{ readonly outcome: Outcome; readonly lives: readonly Life[] }> {
  return inPlace(async (place) => {
    const { client } = place.hub;
    const entries: number[] = [];
    for (let entry = first, alive = false; !alive; entry += step) {
      const instanceId = instanceOf(entry);
      const worker = await place.start(instanceId, { exports: false, oneByOne: true, dies: { instanceId, entry } });
      const before = entries.at(-1);
      if (before !== undefined) await client.waitForOrchestrationCompletion(instanceOf(before));
      expect(await flushed(worker, 1)).toBe(true);
      await client.scheduleNewOrchestration("brief", null, { instanceId });
      entries.push(entry);
      await Promise.race([worker.program.result, client.waitForOrchestrationCompletion(instanceId)]);
      alive = await flushed(worker, 2);
    }
    const outcome = await outcomeOf(place, entries.map(instanceOf));
    const processes = new Map(outcome.processes.map((process) => [process.id, process]));
    const lived = entries.flatMap((entry): Life[] => {
      const instanceId = instanceOf(entry);
      const process = processes.get(instanceId);
      return process === undefined ? [] : [{ entry, instanceId, process }];
    });
    return { outcome, lives: lived };
  });
}

describe("A process that is killed at each step, and at each record that it makes", () => {
  let all: readonly Life[];
  let fates: readonly Fate[];
  let starts: readonly string[];
  // What a process does and tells that lives, in order: each is a moment to die at.
  let script: readonly string[];
  beforeAll(async () => {
    const begin = performance.now();
    const both = await Promise.all([lives(1, 2), lives(2, 2)]);
    all = both.flatMap((each) => each.lives).toSorted((one, other) => one.entry - other.entry);
    fates = both.flatMap(({ outcome }) => fatesOf(outcome));
    starts = both.flatMap(({ outcome }) => outcome.processes.flatMap(({ account }) => account.besides));
    const survivor = all.at(-1);
    if (survivor === undefined) throw new Error("None lived.");
    script = entriesOf(survivor);
    script = script.slice(0, script.indexOf("flushed") + 1);
    const lost = all.map((life) => missingIn(life).length);
    console.log(
      `${script.length} moments, of which ${lost.filter((count) => count > 0).length} cost something, ${Math.max(...lost)} at most; ` +
        `${((performance.now() - begin) / 1000).toFixed(1)} s`,
    );
  }, 600_000);

  const ofInstance = ({ instanceId }: Life): readonly Fate[] =>
    fates.filter(({ key }) => key.startsWith(`${instanceId} `));
  const missingIn = (life: Life): readonly string[] => ofInstance(life).flatMap(({ missing }) => missing);
  // In the words of the script, which do not say which instance it is.
  const entriesOf = ({ instanceId, process }: Life): readonly string[] =>
    process.account.entriesFrom(instanceId).map((text) => text.replace(instanceId, "brief"));
  /** When a step of a work item comes in the script, from 1. */
  const moment = (step: string): number => script.indexOf(step) + 1;

  it("tries all moments: each process did and recorded what the surviving one did, up to its death", () => {
    expect(script.length).toBeGreaterThan(40);
    const died = all.filter(({ entry }) => entry <= script.length);
    expect(died.map(({ entry }) => entry)).toEqual(script.map((_, index) => index + 1));
    for (const life of died) expect(entriesOf(life)).toEqual(script.slice(0, life.entry - 1));
  });

  it("L1 nothing is counted or logged twice, not even if each record were exported at once", () => {
    expect(fates.filter(({ surplus }) => surplus.length > 0)).toEqual([]);
    for (const { acceptedBy } of fates) expect(acceptedBy.length).toBeLessThanOrEqual(1);
    // Before the hub has taken a response there is nothing to tell but the starts of activities.
    expect(starts.filter((text) => !text.startsWith("activity.started "))).toEqual([]);
  });

  it("L1 an activity's start is logged once, and again by who runs it next if its process died before it answered", () => {
    for (const task of ["task 1", "task 3"]) {
      const started = `activity.started flaky one brief ${task.replace("task ", "")}`;
      const mayStartAgain = (entry: number): boolean =>
        entry > moment(started) && entry < moment(`brief ${task} accepted`);
      for (const { entry, instanceId } of all) {
        const records = starts.filter((text) => text === started.replace("brief", instanceId));
        expect(records).toHaveLength(mayStartAgain(entry) ? 2 : 1);
      }
    }
  });

  it("what is missing is what the process had not yet recorded of the one work item whose response the hub had accepted", () => {
    const accepted = script.filter((text) => text.endsWith(" accepted"));
    expect(accepted).toHaveLength(6);
    for (const life of all) {
      const open = accepted
        .map((text) => ({ from: moment(text), to: moment(text.replace("accepted", "recorded")) }))
        .find(({ from, to }) => from <= life.entry && life.entry <= to);
      const untold = open === undefined ? [] : script.slice(Math.max(open.from, life.entry - 1), open.to - 1);
      expect(missingIn(life)).toHaveLength(untold.length);
    }
  });

  it("what is missing follows from what the surviving processes know and from the killed one's own account", () => {
    for (const life of all) {
      const { unacknowledged, recording } = deathOf(life.process, ofInstance(life));
      expect(unacknowledged.length + recording.length).toBeLessThanOrEqual(1);
      for (const { missing, due } of unacknowledged) expect(missing).toEqual(due);
      expect(missingIn(life)).toEqual([...unacknowledged, ...recording].flatMap(({ missing }) => missing));
    }
  });
});
