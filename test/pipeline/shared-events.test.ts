import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { expect, it } from "vitest";
import type { HistoryEvent, MiddlewareObject } from "../../src/index.ts";
import { recordSpans, startHub, type Steps } from "../harness.ts";

// JavaScript, or a cast, may do it: a queue is often worked off like this.
it("W5 a hook that takes the new events out of their list takes no span away", async () => {
  const spans = recordSpans();
  const hub = await startHub();
  const queue: MiddlewareObject = {
    name: "queue",
    workItem(item) {
      if (item.kind !== "orchestration") return;
      const events = item.history.newEvents() as HistoryEvent[];
      while (events.shift() !== undefined);
    },
  };
  await hub.worker({ tracing: true, metrics: false, logging: false, use: [queue] }, (worker) => {
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps<void> {
      yield ctx.callActivity("step");
    });
    worker.addNamedActivity("step", () => 1);
  });
  await hub.run("main");
  await spans.waitFor((finished) => finished.some(({ name }) => name === "orchestration:main"));
  expect(spans.finished.map(({ name }) => name).toSorted()).toEqual([
    "activity:step",
    "activity:step",
    "create_orchestration:main",
    "orchestration:main",
  ]);
});
