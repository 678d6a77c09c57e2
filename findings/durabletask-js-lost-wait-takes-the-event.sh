#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: a wait for an external event that lost a race to a timer takes the next event of its name.
# Code that waits for that name again, as one does that sends a reminder and goes on waiting, does not get the event.
#
# Events answer waits in the order in which these began, and a wait can't be canceled. Who waits again has to put the first
# wait into each race, in place of a new one.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @microsoft/durabletask-js@0.4.0 google-protobuf@3.21.4
cat >run.cjs <<'JS'
const { NoOpLogger, TaskHubGrpcWorker, whenAny } = require("@microsoft/durabletask-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
const events = require("@microsoft/durabletask-js/dist/utils/pb-helper.util.js");

const hour = 3_600_000;
const worker = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
let waits;
for (const [name, waitAgain] of [
  ["a new wait", (ctx) => ctx.waitForExternalEvent("approval")],
  ["the first wait", (_ctx, first) => first],
])
  worker.addNamedOrchestrator(name, async function* (ctx) {
    const first = ctx.waitForExternalEvent("approval");
    yield whenAny([first, ctx.createTimer(new Date(hour))]);
    // Nobody approved: remind them, and wait for another hour.
    const again = waitAgain(ctx, first);
    waits = [first, again];
    const winner = yield whenAny([again, ctx.createTimer(new Date(2 * hour))]);
    return winner === again;
  });

async function run(name) {
  // What an engine sends when the approval comes after an hour and a half.
  const request = new pb.OrchestratorRequest()
    .setInstanceid("order-1")
    .setPasteventsList([
      events.newOrchestratorStartedEvent(new Date(0)),
      events.newExecutionStartedEvent(name, "order-1", undefined),
      events.newTimerCreatedEvent(1, new Date(hour)),
      events.newOrchestratorStartedEvent(new Date(hour)),
      events.newTimerFiredEvent(1, new Date(hour)),
      events.newTimerCreatedEvent(2, new Date(2 * hour)),
    ])
    .setNeweventsList([
      events.newOrchestratorStartedEvent(new Date(1.5 * hour)),
      events.newEventRaisedEvent("approval", "true"),
    ]);
  const bytes = await worker.processOrchestratorRequest(request.serializeBinary());
  const actions = pb.OrchestratorResponse.deserializeBinary(bytes).getActionsList();
  const result = actions.find((action) => action.hasCompleteorchestration());
  const answered = waits.map(({ isComplete }) => (isComplete ? "answered" : "open")).join(" and ");
  return `${name}: ${answered}, ${result ? `returned ${result.getCompleteorchestration().getResult().getValue()}` : "still waits"}`;
}
(async () => console.log(`${await run("a new wait")}; ${await run("the first wait")}`))();
JS
seen=$(node run.cjs)
echo "@microsoft/durabletask-js 0.4.0, node $(node --version): $seen"
[ "$seen" = "a new wait: answered and open, still waits; the first wait: answered and answered, returned true" ]
