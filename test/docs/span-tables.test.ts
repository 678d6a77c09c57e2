import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { beforeAll, describe, expect, it } from "vitest";
import { recordSpans, startHub, type Hub, type Steps } from "../harness.ts";
import { page, tableBelow } from "./markdown.ts";

// One orchestration that makes every kind of span, beside the tables in docs/telemetry.md.

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
  await hub.worker({ tracing: { tags: ["tenant"] } }, (worker) => {
    worker.addNamedActivity("charge", (_: ActivityContext, amount: number) => {
      if (amount < 0) throw new RangeError("negative");
    });
    worker.addNamedOrchestrator("child", () => null);
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.callSubOrchestrator("child");
      yield ctx.createTimer(0.01);
      yield ctx.callActivity("charge", 1, { version: "2.0" });
      yield ctx.callActivity("charge", -1);
    });
  });
});

async function run(): Promise<readonly ReadableSpan[]> {
  const spans = recordSpans();
  await hub.run("order", null, { tags: { tenant: "acme" }, version: "1.1" });
  const isEnd = ({ name, kind }: ReadableSpan): boolean => name === "orchestration:order@(1.1)" && kind === SpanKind.SERVER;
  await spans.waitFor((all) => all.some(isEnd));
  return spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
}

/** A span's row in the tables: its name without what varies. */
const rowOf = ({ name, kind }: ReadableSpan): string =>
  `${name.replace(/@\(.*\)/, "").replace(/:(?:order|child|charge)/, ":NAME")} ${SpanKind[kind]}`;

/** Which spans have an attribute, by what the column "on" says. */
function isOn(column: string, row: string): boolean {
  const isTimer = row.includes(":timer");
  const isServer = row.endsWith(" SERVER");
  switch (column) {
    case "all":
      return true;
    case "all but timers":
      return !isTimer;
    case "timers":
      return isTimer;
    case "SERVER spans":
      return isServer;
    case "the orchestration's SERVER span":
      return row === "orchestration:NAME SERVER";
    case "all but the orchestration's SERVER span":
      return row !== "orchestration:NAME SERVER";
    case "what failed":
      return !isTimer;
    default:
      throw new Error(`The column "on" says "${column}", which is not known here.`);
  }
}

describe("The tables of spans in docs/telemetry.md", () => {
  const telemetry = page("docs/telemetry.md");
  const attributes = tableBelow("attributes", telemetry).map(([key = "", on = ""]) => ({ key: key.replace(".TAG", ".tenant"), on }));

  it("have the kinds of span that there are", async () => {
    const documented = tableBelow("spans", telemetry).map(([name = "", kind = ""]) => `${name} ${kind}`);
    expect(documented.toSorted()).toEqual([...new Set((await run()).map(rowOf))].toSorted());
  });

  it("have the attributes that there are", async () => {
    const emitted = new Set((await run()).flatMap((span) => Object.keys(span.attributes)));
    expect(attributes.map(({ key }) => key).toSorted()).toEqual([...emitted].toSorted());
  });

  it("say on which spans an attribute is", async () => {
    for (const span of await run()) {
      const row = rowOf(span);
      const allowed = attributes.filter(({ on }) => isOn(on, row)).map(({ key }) => key);
      expect(allowed, row).toEqual(expect.arrayContaining(Object.keys(span.attributes)));
      // Those that not every task has: a version, a failure, a tag.
      const optional = /version|error\.type|\.tag\./;
      expect(Object.keys(span.attributes), row).toEqual(expect.arrayContaining(allowed.filter((key) => !optional.test(key))));
    }
  });
});
