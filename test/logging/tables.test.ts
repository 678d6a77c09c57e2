import { RetryPolicy, whenAny, type ActivityContext, type OrchestrationContext } from "@microsoft/durabletask-js";
import { logs } from "@opentelemetry/api";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { beforeAll, describe, expect, it } from "vitest";
import { caching } from "../../middlewares/caching/index.ts";
import { page, tableBelow } from "../docs/markdown.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";
import { WorkItems } from "../metrics/record-metrics.ts";
import { attribute, isEnd, logged, loggerProvider } from "./record-logs.ts";

// Orchestrations that make every kind of record, beside the tables in docs/logging.md.

const items = new WorkItems();
let hub: Hub;
let broken = true;
let attempts = 0;
const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 1 });
beforeAll(async () => {
  hub = await startHub();
  await hub.worker(
    logged(
      { include: { input: true, output: true }, customStatus: true },
      items.middleware,
      caching({ activities: { charge: { ttl: "1m" } } }),
    ),
    (worker) => {
      worker.addNamedActivity("charge", (_: ActivityContext, amount: number) => {
        if (broken) throw new RangeError("no");
        return amount;
      });
      worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("charge", 1, { version: "2.0" });
      });
      worker.addNamedActivity("flaky", () => {
        attempts += 1;
        if (attempts < 3) throw new RangeError("not yet");
      });
      worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callSubOrchestrator("child");
      });
      worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("flaky", null, { retry });
      });
      worker.addNamedActivity("hopeless", () => {
        throw new RangeError("never");
      });
      worker.addNamedOrchestrator("gives up", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callSubOrchestrator("fails", null, { retry: async () => false });
      });
      worker.addNamedOrchestrator("fails", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.callActivity("hopeless");
      });
      worker.addNamedOrchestrator("sleeps", async function* (ctx: OrchestrationContext): Steps {
        return yield ctx.waitForExternalEvent("never");
      });
      worker.addNamedOrchestrator("again", async (ctx: OrchestrationContext, left: number) => {
        if (left > 0) ctx.continueAsNew(left - 1, false);
      });
      worker.addNamedOrchestrator("waits", async function* (ctx: OrchestrationContext): Steps {
        ctx.setCustomStatus("waiting");
        return yield whenAny([
          ctx.waitForExternalEvent("never"),
          ctx.createTimer(3600),
          ctx.callSubOrchestrator("sleeps"),
        ]);
      });
    },
  );
  emitted = await everyKind();
});

let emitted: readonly ReadableLogRecord[];
async function everyKind(): Promise<readonly ReadableLogRecord[]> {
  const recorded = loggerProvider();
  logs.setGlobalLoggerProvider(recorded.provider);
  const isLogged = (eventName: string) => () =>
    recorded.events.some((record) => record.eventName === `durabletask.orchestration.${eventName}`);
  const { instanceId } = await hub.run("order", 1, { version: "1.1" });
  broken = false;
  await hub.client.rewindInstance(instanceId, "repaired");
  await recorded.waitFor((records) => records.filter(isEnd("order")).length === 2);
  // A third run of the activity, which is a hit.
  await hub.run("order", 1);
  await hub.run("again", 1);
  await hub.run("parent");
  await hub.run("gives up");
  const id = await hub.client.scheduleNewOrchestration("waits");
  await hub.client.suspendOrchestration(id);
  await recorded.waitFor(isLogged("suspended"));
  await hub.client.resumeOrchestration(id);
  await recorded.waitFor(isLogged("resumed"));
  await hub.client.terminateOrchestration(id, "enough");
  await hub.client.waitForOrchestrationCompletion(id);
  await items.over();
  logs.disable();
  return recorded.records.filter(({ eventName }) => eventName !== undefined);
}

const logging = page("docs/logging.md");
const attributes = tableBelow("log attributes", logging).map(([key = "", on = ""]) => ({
  key,
  on: on.replace(/,.*/, ""),
  optional: on.includes(","),
}));

/** Which records have an attribute, by what the column "on" says. */
function isOn(
  column: string,
  { eventName = "", attributes: { "durabletask.task.status": status } }: ReadableLogRecord,
): boolean {
  switch (column) {
    case "all":
      return true;
    case "activities":
      return eventName.includes(".activity.");
    case "starts":
      return eventName.endsWith(".started");
    case "ends":
      return status !== undefined;
    case "successes":
      return status === "Completed";
    case "waiting":
      return eventName.endsWith(".waiting");
    case "changes of the custom status":
      return eventName.endsWith(".custom_status_changed");
    case "sub-orchestrations":
    case "sub-orchestrations and their activities":
    case "attempts after the first":
      // Which they are, a record's name does not say.
      return true;
    case "cache hits":
      return eventName.endsWith(".cache_hit");
    case "tasks given up":
      return eventName.endsWith(".gave_up");
    case "failures and tasks given up":
      return status === "Failed" || eventName.endsWith(".gave_up");
    case "failures":
      return status === "Failed";
    case "failed orchestrations":
      return status === "Failed" && eventName.includes(".orchestration.");
    default:
      throw new Error(`The column "on" says "${column}", which is not known here.`);
  }
}

describe("The tables of log records in docs/logging.md", () => {
  it("L1 have the events that there are, with their statuses and severities", () => {
    const documented = tableBelow("log events", logging).map(
      ([event = "", status = "", severity = ""]) => `${event} ${status} ${severity}`,
    );
    const there = emitted.map(
      (record) => `${record.eventName} ${attribute(record, "durabletask.task.status") ?? ""} ${record.severityText}`,
    );
    expect(documented.toSorted()).toEqual([...new Set(there)].toSorted());
  });

  it("L1 have the attributes that there are", () => {
    const there = new Set(emitted.flatMap((record) => Object.keys(record.attributes)));
    expect(attributes.map(({ key }) => key).toSorted()).toEqual([...there].toSorted());
  });

  it("L1 say on which records an attribute is", () => {
    for (const record of emitted) {
      const keys = Object.keys(record.attributes);
      const allowed = attributes.filter(({ on }) => isOn(on, record));
      expect(
        allowed.map(({ key }) => key),
        record.eventName,
      ).toEqual(expect.arrayContaining(keys));
      expect(keys, record.eventName).toEqual(
        expect.arrayContaining(allowed.filter(({ optional }) => !optional).map(({ key }) => key)),
      );
    }
  });
});
