import { HistoryEventType, OrchestrationStatus } from "@microsoft/durabletask-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { definitions } from "../../middlewares/metrics/definitions.ts";
import { page, tableBelow } from "../docs/markdown.ts";
import type { ReceivedLogRecord } from "../otlp/decode-logs.ts";
import type { ReceivedSpan } from "../otlp/receiver.ts";
import { isInstalled, type Sample } from "../prometheus/server.ts";
import type { InstanceFact } from "./facts.ts";
import { orders, runShop, type Shop } from "./shop.ts";

// The questions and queries of docs/operations.md, asked about a real workload. What is right is in the histories alone.

const questions = new Map(
  tableBelow("questions", page("docs/operations.md")).map(([question = "", , query = ""]) => [question, query]),
);
const answers = new Map(
  tableBelow("answers", page("docs/operations.md")).map(([question = "", answer = ""]) => [question, answer]),
);

const durationBuckets = definitions["durabletask.activity.turnaround"].buckets ?? [];
const nameOf = (sample: Sample): string => sample.metric["durabletask_task_name"] ?? "";
const byName = (samples: readonly Sample[]): Record<string, number> =>
  Object.fromEntries(samples.filter(({ value }) => value !== 0).map((each) => [nameOf(each), each.value]));
type Attributed = Pick<ReceivedSpan, "attributes">;
const textAttribute = ({ attributes }: Attributed, key: string): string => {
  const value = attributes[key];
  return typeof value === "string" ? value : "";
};
/** The ID of the instance that a span or record is about. */
const instanceOf = (of: Attributed): string => textAttribute(of, "durabletask.task.instance_id");
/** As the page writes counts. */
const textOf = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name}: ${count}`)
    .join(", ");
function countBy<T>(items: Iterable<T>, key: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  return counts;
}

describe.skipIf(!isInstalled && !process.env["CI"])("An operator's question", () => {
  let shop: Shop;
  let instances: readonly InstanceFact[];
  beforeAll(async () => {
    shop = await runShop();
    instances = [...shop.facts.instances.values()];
  }, 300_000);
  afterAll(() => shop?.[Symbol.asyncDispose]());

  /** The answer of Prometheus to a question of the page. */
  async function ask(question: string): Promise<readonly Sample[]> {
    const query = questions.get(question);
    if (query === undefined) throw new Error(`The page has no question "${question}".`);
    return shop.prometheus.query(query);
  }

  /** All spans of the traces that some records are in. */
  const tracesOf = (some: readonly ReceivedLogRecord[]): readonly ReceivedSpan[] => {
    const traces = new Set(some.map(({ traceId }) => traceId));
    return shop.receiver.spans.filter(({ traceId }) => traces.has(traceId));
  };

  it("is about the workload that the page describes", () => {
    const ofOrders = instances.filter(({ name }) => name === "order");
    expect(countBy(ofOrders, ({ status }) => OrchestrationStatus[status])).toEqual({
      COMPLETED: 24,
      FAILED: 2,
      RUNNING: 4,
    });
    expect(ofOrders.filter(({ waitsForEvent }) => waitsForEvent)).toHaveLength(3);
    expect(ofOrders.flatMap(({ pendingTasks }) => pendingTasks)).toEqual(["label #2"]);
    expect([...answers.keys()].filter((question) => !questions.has(question))).toEqual([]);
  });

  /** The newest record of what an instance waits for, of all that have not finished. */
  const waiting = (): ReadonlyMap<string, ReceivedLogRecord> => {
    const records = shop.receiver.logs.toSorted((a, b) => Number(a.timeUnixNano - b.timeUnixNano));
    const newest = new Map<string, ReceivedLogRecord>();
    for (const record of records) {
      if (record.eventName === "durabletask.orchestration.waiting") newest.set(instanceOf(record), record);
      if (record.eventName === "durabletask.orchestration.finished") newest.delete(instanceOf(record));
    }
    return newest;
  };

  it("Which orchestrations wait, since when, and for what?", () => {
    const records = waiting();
    const inFlight = instances.filter(({ isFinished }) => !isFinished);
    expect(new Set(records.keys())).toEqual(new Set(inFlight.map(({ instanceId }) => instanceId)));
    for (const { instanceId, lastEpisode = new Date(0), waitsForEvent } of inFlight) {
      const record = records.get(instanceId);
      expect(record?.attributes["durabletask.waiting.events"]).toEqual(waitsForEvent ? ["approval"] : undefined);
      expect(record?.attributes["durabletask.waiting.timers"]).toBeUndefined();
      const began = record?.attributes["durabletask.waiting.since"];
      expect(typeof began).toBe(waitsForEvent ? "string" : "undefined");
      if (typeof began === "string") expect(Math.abs(Date.parse(began) - lastEpisode.getTime())).toBeLessThan(10_000);
      // The record has the time of the response that ended the episode.
      const since = Number((record?.timeUnixNano ?? 0n) / 1_000_000n) - lastEpisode.getTime();
      expect(since).toBeGreaterThanOrEqual(0);
      expect(since).toBeLessThan(10_000);
    }
    const forEvents = inFlight.flatMap(({ instanceId, waitsForEvent }) => (waitsForEvent ? [instanceId] : []));
    expect(answers.get("Which orchestrations wait, since when, and for what?")).toBe(
      `${forEvents.toSorted().join(", ")}, each for approval`,
    );
  });

  it("Which are stuck?", () => {
    const stuck = [...waiting()].flatMap(([id, { attributes }]) =>
      Array.isArray(attributes["durabletask.waiting.tasks"])
        ? [{ id, tasks: attributes["durabletask.waiting.tasks"] }]
        : [],
    );
    const facts = instances.flatMap(({ instanceId, pendingTasks }) =>
      pendingTasks.length > 0 ? [{ id: instanceId, tasks: pendingTasks.map((task) => `activity ${task}`) }] : [],
    );
    expect(stuck).toEqual(facts);
    expect(answers.get("Which are stuck?")).toBe(
      facts.map(({ id, tasks }) => `${id}, for ${tasks.join(", ")}`).join("; "),
    );
  });

  it("How long has the one been idle that has been idle longest?", async () => {
    const question = "How long has the one been idle that has been idle longest?";
    const [answer, ...others] = await ask(question);
    expect(others).toEqual([]);
    // At the last look, it was the time since the last event of the instance that was idle longest.
    const [look] = await shop.prometheus.query(
      "timestamp(durabletask_hub_observation_age) - durabletask_hub_observation_age",
    );
    const since = (look?.value ?? 0) - (answer?.value ?? 0);
    const inFlight = instances.filter(({ isFinished }) => !isFinished);
    const idle = Math.min(...inFlight.map(({ lastEpisode }) => (lastEpisode?.getTime() ?? 0) / 1000));
    expect(Math.abs(since - idle)).toBeLessThan(1.5);
  });

  it("How many does the task hub have that have not finished?", async () => {
    const question = "How many does the task hub have that have not finished?";
    const answer = await ask(question);
    expect(answer.filter(({ value }) => value > 0).map(({ metric }) => metric["durabletask_task_status"])).toEqual([
      "Running",
    ]);
    const inFlight = countBy(
      instances.filter(({ isFinished }) => !isFinished),
      ({ name }) => name,
    );
    expect(byName(answer)).toEqual(inFlight);
    expect(answers.get(question)).toBe(textOf(inFlight));
  });

  it("How many orchestrations are in flight?", async () => {
    const inFlight = countBy(
      instances.filter(({ isFinished }) => !isFinished),
      ({ name }) => name,
    );
    expect(byName(await ask("How many orchestrations are in flight?"))).toEqual(inFlight);
    expect(answers.get("How many orchestrations are in flight?")).toBe(textOf(inFlight));
  });

  it("How many finished, and how?", async () => {
    const finished = instances.filter(({ isFinished }) => isFinished);
    const answer = await ask("How many finished, and how?");
    expect(
      Object.fromEntries(
        answer.map((each) => [`${nameOf(each)} ${each.metric["durabletask_task_status"]?.toUpperCase()}`, each.value]),
      ),
    ).toEqual(countBy(finished, ({ name, status }) => `${name} ${OrchestrationStatus[status]}`));
  });

  it("What is the p95 of each activity?", async () => {
    const answer = byName(await ask("What is the p95 of each activity?"));
    const names = new Set(shop.facts.activities.map(({ name }) => name));
    expect(Object.keys(answer).toSorted()).toEqual([...names].toSorted());
    for (const name of names) {
      const sorted = shop.facts.activities
        .flatMap((each) => (each.name === name ? [each.turnaround] : []))
        .toSorted((a, b) => a - b);
      // The one below which there are 95 of 100; the answer is somewhere in the bucket that has it.
      const exact = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN;
      const upper = durationBuckets.find((bound) => exact <= bound) ?? Infinity;
      const lower = durationBuckets.findLast((bound) => bound < exact) ?? 0;
      expect(answer[name], name).toBeGreaterThanOrEqual(lower);
      expect(answer[name], name).toBeLessThanOrEqual(upper);
    }
  });

  it("How many attempts did each activity take?", async () => {
    const attempts = countBy(shop.facts.activities, ({ name }) => name);
    expect(byName(await ask("How many attempts did each activity take?"))).toEqual(attempts);
    expect(answers.get("How many attempts did each activity take?")).toBe(textOf(attempts));
  });

  it("How many of them were retries?", async () => {
    const scheduled = instances.flatMap(({ instanceId, history }) =>
      history.flatMap((event) =>
        event.type === HistoryEventType.TaskScheduled ? [{ instanceId, name: event.name }] : [],
      ),
    );
    // Each order calls each of its activities once.
    const again = Object.entries(countBy(scheduled, ({ instanceId, name }) => `${name} ${instanceId}`))
      .map(([key, count]) => ({ name: key.split(" ", 1)[0] ?? "", count: count - 1 }))
      .filter(({ count }) => count > 0);
    const retries = Object.fromEntries(
      [...new Set(again.map(({ name }) => name))].map((name) => [
        name,
        again.filter((each) => each.name === name).reduce((sum, { count }) => sum + count, 0),
      ]),
    );
    expect(byName(await ask("How many of them were retries?"))).toEqual(retries);
    expect(answers.get("How many of them were retries?")).toBe(textOf(retries));
  });

  it("Why did the failed ones fail?", () => {
    const records = shop.receiver.logs.filter(
      ({ eventName, attributes }) =>
        eventName === "durabletask.orchestration.finished" && attributes["durabletask.task.status"] === "Failed",
    );
    const failed = instances.filter(({ status }) => status === OrchestrationStatus.FAILED);
    expect(new Set(records.map(instanceOf))).toEqual(new Set(failed.map(({ instanceId }) => instanceId)));
    expect(records).toHaveLength(failed.length);
    for (const { history, instanceId } of failed) {
      const record = records.find((each) => instanceOf(each) === instanceId);
      const end = history.find((event) => event.type === HistoryEventType.TaskFailed);
      // The SDK's client leaves the causes out of the history that it returns; this is the one that the worker throws.
      expect(end?.failureDetails?.message).toBe(`the card of ${instanceId} was declined`);
      expect(record?.body).toEqual(
        expect.stringContaining(`${end?.failureDetails?.message}; caused by RangeError: over the limit`),
      );
      expect(record?.attributes["error.type"]).toBe("RangeError");
    }
  });

  it("What belongs to one tenant?", () => {
    for (const tenant of ["acme", "globex"]) {
      const tagged = shop.receiver.logs.filter(({ attributes }) => attributes["durabletask.tag.tenant"] === tenant);
      const own = instances.filter(({ tags }) => tags["tenant"] === tenant);
      expect(own.length).toBeGreaterThan(9);
      expect(new Set(tagged.map(instanceOf))).toEqual(new Set(own.map(({ instanceId }) => instanceId)));
      // A trace has one order, with all that it did.
      const all = new Set(tracesOf(tagged).map(instanceOf));
      for (const { instanceId } of own.filter(({ name }) => name === "order")) {
        const child = `${instanceId}-shipping`;
        expect(all.has(child)).toBe(shop.facts.instances.has(child));
      }
      const others = orders.filter((order) => order.tenant !== tenant).map(({ id }) => id);
      expect(others.filter((id) => all.has(id))).toEqual([]);
    }
  });

  it("What did order 7 do, sub-orchestrations included?", () => {
    const records = shop.receiver.logs.filter(
      (each) => instanceOf(each) === "order-7" || each.attributes["durabletask.root.instance_id"] === "order-7",
    );
    const ended = records.flatMap((each) => {
      const [, type] = /^durabletask\.(activity|orchestration)\.finished$/.exec(each.eventName) ?? [];
      return type === undefined
        ? []
        : [`${type}:${textAttribute(each, "durabletask.task.name")} of ${instanceOf(each)}`];
    });
    expect(new Set(records.map(({ traceId }) => traceId)).size).toBe(1);
    const spans = shop.receiver.spans.filter(({ traceId }) => traceId === records[0]?.traceId);
    const did = spans.flatMap((each) => (each.kind === "SERVER" ? [`${each.name} of ${instanceOf(each)}`] : []));
    const facts = ["order-7", "order-7-shipping"].flatMap((id) => [
      `orchestration:${shop.facts.instances.get(id)?.name} of ${id}`,
      ...shop.facts.activities.flatMap((each) => (each.instanceId === id ? [`activity:${each.name} of ${id}`] : [])),
    ]);
    expect(did.toSorted()).toEqual(facts.toSorted());
    expect(ended.toSorted()).toEqual(facts.toSorted());
    expect(facts).toHaveLength(5);
  });

  it("What would the next deploy replay?", () => {
    const ofInstance = (prefix: string): ReadonlyMap<string, readonly ReceivedSpan[]> =>
      Map.groupBy(
        shop.receiver.spans.filter(({ name, kind }) => name.startsWith(prefix) && kind !== "CLIENT"),
        instanceOf,
      );
    const finished = ofInstance("orchestration:");
    const replays: Record<string, number> = {};
    for (const [instanceId, episodes] of ofInstance("episode:")) {
      if (finished.has(instanceId)) continue;
      const newest = episodes.toSorted((a, b) => Number(b.startTimeUnixNano - a.startTimeUnixNano))[0];
      replays[instanceId] =
        Number(newest?.attributes["durabletask.episode.history_size"]) +
        Number(newest?.attributes["durabletask.episode.actions"]);
    }
    const facts = instances.filter(({ isFinished }) => !isFinished);
    expect(replays).toEqual(Object.fromEntries(facts.map(({ instanceId, history }) => [instanceId, history.length])));
    expect(Object.keys(replays)).toHaveLength(4);
  });
});
