import {
  EntityInstanceId,
  RetryPolicy,
  TaskEntity,
  type ActivityContext,
  type OrchestrationContext,
} from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { recordSpans, startHub, type Hub, type Steps } from "../harness.ts";
import { page, tableBelow } from "./markdown.ts";

// One orchestration that makes every kind of span, beside the tables in docs/telemetry.md.

class Counter extends TaskEntity<number> {
  add(value: number): number {
    return (this.state += value);
  }
  protected override initializeState(): number {
    return 0;
  }
}
const counter = new EntityInstanceId("counter", "a");

let attempts = 0;
let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker(
    {
      tracing: { tags: ["tenant"], episodes: true, customStatus: true, running: true },
      caching: { activities: { charge: { ttl: "1m" } } },
    },
    (worker) => {
      worker.addNamedEntity("counter", () => new Counter());
      worker.addNamedActivity("charge", (_: ActivityContext, amount: number) => {
        if (amount < 0) throw new RangeError("negative");
      });
      worker.addNamedActivity("flaky", () => {
        attempts += 1;
        if (attempts % 2 === 1) throw new RangeError("not yet");
      });
      const retry = new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 1 });
      worker.addNamedOrchestrator("retries", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callActivity("flaky", null, { retry });
      });
      worker.addNamedOrchestrator("child", () => null);
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
        yield ctx.callSubOrchestrator("child");
        yield ctx.createTimer(0.01);
        ctx.setCustomStatus("waiting");
        yield ctx.waitForExternalEvent("approved");
        ctx.sendEvent("child", "paid", 1);
        ctx.entities.signalEntity(counter, "add", 1);
        yield ctx.entities.callEntity(counter, "add", 1);
        const lock: { release(): void } = yield ctx.entities.lockEntities(counter);
        lock.release();
        yield ctx.callActivity("charge", 1, { version: "2.0" });
        yield ctx.callSubOrchestrator("retries");
        yield ctx.callActivity("charge", -1);
      });
    },
  );
});

async function run(): Promise<readonly ReadableSpan[]> {
  const spans = recordSpans();
  const { client } = hub;
  const id = await client.scheduleNewOrchestration("order", null, { tags: { tenant: "acme" }, version: "1.1" });
  await client.waitForOrchestrationStart(id, false, 20);
  await client.suspendOrchestration(id);
  await client.resumeOrchestration(id);
  await vi.waitFor(async () => {
    const state = await client.getOrchestrationState(id);
    if (state?.serializedCustomStatus !== '"waiting"') throw new Error("It does not wait yet.");
  }, 20_000);
  await client.raiseOrchestrationEvent(id, "approved", 1);
  await client.waitForOrchestrationCompletion(id, false, 20);
  const isEnd = ({ name, kind }: ReadableSpan): boolean =>
    name === "orchestration:order@(1.1)" && kind === SpanKind.SERVER;
  await spans.waitFor((all) => all.some(isEnd));
  return spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
}

/** A span's row in the tables: its name without what varies. */
const rowOf = ({ name, kind }: ReadableSpan): string =>
  `${name
    .replace(/@\(.*\)/, "")
    .replace(/:(?:order|child|charge|paid|approved|retries|flaky)/, ":NAME")
    .replace(":add", ":OPERATION")} ${SpanKind[kind]}`;

/** Which spans have an attribute, by what the column "on" says. */
function isOn(column: string, row: string): boolean {
  const [name = "", kind = ""] = row.split(" ");
  const isTimer = name.endsWith(":timer");
  const isEvent = name.startsWith("orchestration_event:");
  const isStart = name.startsWith("orchestration_started:");
  const isWait = name.startsWith("wait:");
  const isEpisode = name.startsWith("episode:");
  const isEntity = /^(call_entity|signal_entity|entity):/.test(name);
  const isTask = /^(orchestration|activity):NAME$/.test(name);
  switch (column) {
    case "all":
      return true;
    case "all but entities":
      return !isEntity;
    case "all but episodes, waits, starts and the orchestration's SERVER span":
      return !isEpisode && !isWait && !isStart && row !== "orchestration:NAME SERVER";
    case "tasks, starts":
      return isTask || isStart;
    case "timers":
      return isTimer;
    case "waits":
      return isWait;
    case "waits, and timers that did not fire in time":
      return isWait || isTimer;
    case "events":
      return isEvent;
    case "episodes":
      return isEpisode;
    case "calls and signals":
      return isEntity && name !== "entity:lock_request";
    case "SERVER spans, starts":
      return kind === "SERVER" || isStart;
    case "SERVER and PRODUCER spans, starts":
      return kind === "SERVER" || kind === "PRODUCER" || isStart;
    case "the orchestration's SERVER span":
      return row === "orchestration:NAME SERVER";
    case "SERVER spans of activities that are cached":
      return row === "activity:NAME SERVER";
    case "attempts after the first":
      return isTask;
    case "SERVER spans and starts of sub-orchestrations":
      return row === "orchestration:NAME SERVER" || isStart;
    case "SERVER spans and starts of sub-orchestrations, and their activities":
      return (isTask && kind === "SERVER") || isStart;
    case "what failed":
      return isTask;
    case "orchestrations that failed":
      return name === "orchestration:NAME";
    default:
      throw new Error(`The column "on" says "${column}", which is not known here.`);
  }
}

describe("The tables of spans in docs/telemetry.md", () => {
  const telemetry = page("docs/telemetry.md");
  const attributes = tableBelow("attributes", telemetry).map(([key = "", on = ""]) => ({
    key: key.replace(".TAG", ".tenant"),
    on,
  }));

  it("have the kinds of span that there are", async () => {
    const documented = tableBelow("spans", telemetry).map(([name = "", kind = ""]) => `${name} ${kind}`);
    expect(documented.toSorted()).toEqual([...new Set((await run()).map(rowOf))].toSorted());
  });

  it("have the attributes that there are", async () => {
    const emitted = new Set((await run()).flatMap((span) => Object.keys(span.attributes)));
    expect(attributes.map(({ key }) => key).toSorted()).toEqual([...emitted].toSorted());
  });

  it("have the events on the orchestration's span that there are", async () => {
    const rows = tableBelow("span events", telemetry);
    const order = (await run()).find(
      (span) => rowOf(span) === "orchestration:NAME SERVER" && span.name.includes("order"),
    );
    const emitted = (order?.events ?? []).filter(({ name }) => name !== "exception");
    expect(new Set(emitted.map(({ name }) => name))).toEqual(new Set(rows.map(([name]) => name)));
    for (const { name, attributes: found = {} } of emitted) {
      const attribute = rows.find(([documented]) => documented === name)?.[2]?.split(",")[0];
      expect(Object.keys(found)).toEqual([attribute].filter(Boolean));
    }
  });

  it("say on which spans an attribute is", async () => {
    for (const span of await run()) {
      const row = rowOf(span);
      const allowed = attributes.filter(({ on }) => isOn(on, row)).map(({ key }) => key);
      expect(allowed, row).toEqual(expect.arrayContaining(Object.keys(span.attributes)));
      // Those that not every task has: a version, a failure, a tag; and a timer that fired has no outcome.
      const optional = /version|error\.type|\.tag\.|\.outcome|attempt|parent|root|cache/;
      expect(Object.keys(span.attributes), row).toEqual(
        expect.arrayContaining(allowed.filter((key) => !optional.test(key))),
      );
    }
  });
});
