#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: a worker returns an activity's action again if the history has the activity behind a
# suspension. A client suspends an orchestration before its first episode, say: the episode gets both events, schedules the
# activity, and the history has them in that order. While the orchestration is suspended, the next episode does not look
# at what was scheduled, so it takes the action for one that has not left. An engine that adds what it is given
# (durabletask-go 0.6.0) runs the activity a second time.
set -euo pipefail
cd "$(mktemp -d)"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent @microsoft/durabletask-js@0.4.0
cat >probe.cjs <<'JS'
const { TaskHubGrpcWorker, NoOpLogger } = require("@microsoft/durabletask-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
const events = require("@microsoft/durabletask-js/dist/utils/pb-helper.util.js");
const worker = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
worker.addNamedOrchestrator("order", async function* (ctx) {
  return yield ctx.callActivity("charge");
});
const episode = async (past, fresh) => {
  const request = new pb.OrchestratorRequest().setInstanceid("i").setPasteventsList(past).setNeweventsList(fresh);
  const response = pb.OrchestratorResponse.deserializeBinary(await worker.processOrchestratorRequest(request.serializeBinary()));
  return response.getActionsList().map((action) => `${action.getScheduletask()?.getName()} (ID ${action.getId()})`);
};
(async () => {
  const start = [events.newOrchestratorStartedEvent(new Date()), events.newExecutionStartedEvent("order", "i", undefined), events.newSuspendEvent()];
  const first = await episode([], start);
  const second = await episode([...start, events.newTaskScheduledEvent(1, "charge")], [events.newOrchestratorStartedEvent(new Date()), events.newTaskCompletedEvent(1, "1")]);
  console.log(`@microsoft/durabletask-js ${require("@microsoft/durabletask-js/package.json").version}`);
  console.log(`first episode schedules:  ${first.join(", ") || "nothing"}`);
  console.log(`second episode schedules: ${second.join(", ") || "nothing"} (its history has charge as scheduled, and completed)`);
  process.exit(second.length === 1 && second[0] === first[0] ? 0 : 1);
})();
JS
node probe.cjs
