/** Links to work whose episode has more spans than one slice emits (telemetry.md S4, S8). */
import { whenAll, type OrchestrationContext } from "@microsoft/durabletask-js";
import { expect, it } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import { recordSpans, type Steps } from "../harness.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";
import { history } from "./episodes.ts";

const count = 2000;
const ids = Array.from({ length: count }, (_, index) => index + 1);

it("S4 S8 an execution links to the one that it continues, and to who sent its event, if these come right before it", async () => {
  const spans = recordSpans();
  const worker = hostWorker({ middlewares: () => [tracing()] });
  worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext, isFirst: boolean): Steps<void> {
    if (!isFirst) return;
    yield whenAll(ids.map((id) => ctx.callActivity("step", id)));
    ctx.sendEvent("receiver", "done");
    ctx.continueAsNew(false, false);
  });
  worker.addNamedOrchestrator("receiver", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.waitForExternalEvent("done");
  });
  const first = startEvents({ name: "main", instanceId: "main", executionId: "1", rawInput: "true" });
  await runEpisode(
    worker,
    orchestratorRequest(
      [history.episode(2), ...ids.map((id) => history.completed(id, null, 2))],
      [...first, ...ids.map((id) => history.scheduled(id, "step", 1))],
      { instanceId: "main" },
    ),
  );
  await runEpisode(
    worker,
    orchestratorRequest(startEvents({ name: "main", instanceId: "main", executionId: "2", rawInput: "false" }), [], {
      instanceId: "main",
    }),
  );
  await runEpisode(
    worker,
    orchestratorRequest(
      [...startEvents({ name: "receiver", instanceId: "receiver", executionId: "3" }), history.raised("done", 3)],
      [],
      { instanceId: "receiver" },
    ),
  );
  await spans.waitFor((finished) => finished.filter(({ name }) => name === "orchestration:main").length === 2);
  const linksOf = (executionId: string): string[] =>
    spans.finished
      .filter(
        (span) =>
          span.name.startsWith("orchestration:") && span.attributes["durabletask.task.execution_id"] === executionId,
      )
      .flatMap(({ links }) =>
        links.map(
          ({ context }) =>
            spans.finished.find((span) => span.spanContext().spanId === context.spanId)?.name ?? "unknown",
        ),
      );
  expect({ continues: linksOf("2"), receives: linksOf("3") }).toEqual({
    continues: ["orchestration:main"],
    receives: ["orchestration_event:done"],
  });
});
