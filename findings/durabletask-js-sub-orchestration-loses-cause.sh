#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: the failure of an activity keeps the chain of its causes in the history of the
# orchestration that called it. One level up it is gone: the failure of a sub-orchestration has a type and a message, and no
# cause, not even the activity's failure.
#
# An orchestration's failure is made of the error that its code threw. What the SDK throws for a failed task, TaskFailedError,
# has the failure in `details`, and no `cause`; the failure that is written takes its inner failure from `cause` alone.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @microsoft/durabletask-js@0.4.0 google-protobuf@3.21.4
cat >run.cjs <<'JS'
const { NoOpLogger, TaskHubGrpcWorker } = require("@microsoft/durabletask-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
const events = require("@microsoft/durabletask-js/dist/utils/pb-helper.util.js");

const chain = (failure) => (failure ? [failure.getErrortype(), ...chain(failure.getInnerfailure())] : []);

const worker = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
// The sub-orchestration of an order.
worker.addNamedOrchestrator("pay", async function* (ctx) {
  return yield ctx.callActivity("charge");
});
// The history of an execution whose activity threw: what an engine sends.
const failed = events.newTaskFailedEvent(1, new Error("declined", { cause: new RangeError("over the limit") }));
const request = new pb.OrchestratorRequest()
  .setInstanceid("pay-1")
  .setPasteventsList([
    events.newOrchestratorStartedEvent(new Date(0)),
    events.newExecutionStartedEvent("pay", "pay-1", undefined),
    events.newTaskScheduledEvent(1, "charge"),
  ])
  .setNeweventsList([events.newOrchestratorStartedEvent(new Date(1)), failed]);
worker.processOrchestratorRequest(request.serializeBinary()).then((bytes) => {
  const [action] = pb.OrchestratorResponse.deserializeBinary(bytes).getActionsList();
  const activity = chain(failed.getTaskfailed().getFailuredetails()).join(" < ");
  // What the engine hands to the parent.
  const orchestration = chain(action.getCompleteorchestration().getFailuredetails()).join(" < ");
  console.log(`the activity's failure: ${activity}; that of its orchestration: ${orchestration}`);
});
JS
seen=$(node run.cjs)
echo "@microsoft/durabletask-js 0.4.0, node $(node --version): $seen"
[ "$seen" = "the activity's failure: Error < RangeError; that of its orchestration: TaskFailedError" ]
