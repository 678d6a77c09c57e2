#!/usr/bin/env bash
# A workflow activity that throws a string fails without a message in @dapr/dapr 3.18: the failure has the type String and "".
#
# The SDK records `error.message` of whatever was thrown, which a string does not have; the error that the workflow catches ends
# with "failed: ". (A caller of the workflow, and its history, can't tell what went wrong.)
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @dapr/dapr@3.18.0
cat >fail.cjs <<'JS'
const { WorkflowRuntime } = require("@dapr/dapr");
const { ActivityRequest, OrchestrationInstance } = require("@dapr/dapr/workflow/internal/durabletask/proto/orchestrator_service_pb.js");

const runtime = new WorkflowRuntime();
runtime.registerActivityWithName("string", () => { throw "no stock"; });
runtime.registerActivityWithName("error", () => { throw new Error("no stock"); });
console.error = () => undefined;
// As the worker does it for a work item of the sidecar.
const run = async (name) => {
  const request = new ActivityRequest().setName(name).setTaskid(1).setOrchestrationinstance(new OrchestrationInstance().setInstanceid("order-1"));
  let sent;
  await runtime.worker._executeActivity(request, { completeActivityTask: (response, done) => done(null, (sent = response)) });
  const failure = sent.getFailuredetails();
  return `${failure.getErrortype()} ${JSON.stringify(failure.getErrormessage())}`;
};
(async () => console.log(`${await run("error")}, ${await run("string")}`))();
JS
seen=$(node fail.cjs)
echo "@dapr/dapr 3.18.0, node $(node --version): the failures of activities that throw an error and a string: $seen"
[ "$seen" = 'Error "no stock", String ""' ] && echo "The string is lost."
