/** The first race of a process: its copy of the SDK has seen no other before. */
import { createRequire } from "node:module";
import type { OrchestrationContext, Task } from "@microsoft/durabletask-js";
import { SpanKind } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import { expect, it } from "vitest";
import { withDurableTelemetry } from "../../src/index.ts";
import { recordSpans, type Steps } from "../harness.ts";
import { at, history, runEpisode } from "./episodes.ts";

type Sdk = typeof import("@microsoft/durabletask-js");
type Race = (charge: Task<unknown>, ctx: OrchestrationContext, sdk: Sdk) => Steps;

const require = createRequire(import.meta.url);

function freshSdk(): Sdk {
  for (const file of Object.keys(require.cache)) if (file.includes("durabletask-js")) delete require.cache[file];
  return require("@microsoft/durabletask-js") as Sdk;
}

/** Outcome and end of what an orchestration waited for. */
async function waitsOf(sdk: Sdk, race: Race): Promise<unknown[]> {
  const spans = recordSpans();
  const worker = withDurableTelemetry(new sdk.TaskHubGrpcWorker({ logger: new sdk.NoOpLogger() }));
  worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
    const charge = ctx.callActivity("charge");
    yield* race(charge, ctx, sdk);
    return yield ctx.callActivity("ship");
  });
  await runEpisode(worker, {
    past: [
      history.episode(0),
      history.started("order"),
      history.scheduled(1, "charge", 1),
      history.timerCreated(2, 60_000, 1),
      history.episode(510),
      history.failed(1, new Error("no"), 500),
      history.scheduled(3, "ship", 511),
    ],
    fresh: [history.episode(900), history.completed(3, 1, 899)],
  });
  return spans.finished
    .filter(({ kind }) => kind === SpanKind.INTERNAL)
    .map(({ name, attributes, endTime }) => [
      name,
      attributes["durabletask.outcome"],
      hrTimeToMilliseconds(endTime) - at(0).getTime(),
    ]);
}

const lostTimer = ["orchestration:order:timer", "lost", 510];

it.each<[string, Race, unknown[]]>([
  [
    "that an activity decides by failing",
    async function* (charge, ctx, { whenAny }) {
      yield whenAny([charge, ctx.createTimer(60)]);
    },
    [lostTimer],
  ],
  [
    "of groups in groups",
    async function* (charge, ctx, { whenAll, whenAny }) {
      yield whenAny([whenAny([whenAll([ctx.createTimer(60), ctx.waitForExternalEvent("go")])]), charge]);
    },
    [["wait:go", "lost", 510], lostTimer],
  ],
  [
    "that was decided when it began",
    async function* (charge, ctx, { whenAll, whenAny }) {
      const [timer, go] = [ctx.createTimer(60), ctx.waitForExternalEvent("go")];
      try {
        yield charge;
      } catch {
        yield whenAny([charge, whenAll([timer, go])]);
      }
    },
    [["wait:go", "lost", 510], lostTimer],
  ],
])("S9 marks what lost a race %s, also the first race of a process", async (_, race, expected) => {
  const sdk = freshSdk();
  expect(await waitsOf(sdk, race)).toEqual(expected);
  expect(await waitsOf(sdk, race)).toEqual(expected);
});
