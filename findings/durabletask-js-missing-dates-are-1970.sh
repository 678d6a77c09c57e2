#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: where a task hub sends an instance without its dates, the client's `createdAt` and
# `lastUpdatedAt` are `new Date(0)`, not `undefined`, and nothing tells them from a true date: what reckons how long an
# orchestration has been waiting gets more than fifty years.
#
# Both fields are messages of the protocol, which may be left out.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @microsoft/durabletask-js@0.4.0 google-protobuf@3.21.4 @grpc/grpc-js@1.14.4
cat >run.cjs <<'JS'
const grpc = require("@grpc/grpc-js");
const { NoOpLogger, TaskHubGrpcClient } = require("@microsoft/durabletask-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
const services = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js");

// A task hub with one instance, whose dates it does not keep.
const state = new pb.OrchestrationState()
  .setInstanceid("order-1")
  .setName("order")
  .setOrchestrationstatus(pb.OrchestrationStatus.ORCHESTRATION_STATUS_RUNNING);
const server = new grpc.Server();
server.addService(services.TaskHubSidecarServiceService, {
  queryInstances: (_call, answer) => answer(null, new pb.QueryInstancesResponse().setOrchestrationstateList([state])),
  getInstance: (_call, answer) =>
    answer(null, new pb.GetInstanceResponse().setExists(true).setOrchestrationstate(state)),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), async (_error, port) => {
  const client = new TaskHubGrpcClient({ hostAddress: `127.0.0.1:${port}`, logger: new NoOpLogger() });
  const one = await client.getOrchestrationState("order-1");
  const seen = [`one: ${one.createdAt.toISOString()}`];
  for await (const each of client.getAllInstances({})) seen.push(`of all: ${each.lastUpdatedAt.toISOString()}`);
  console.log(seen.join("; "));
  await client.stop();
  server.forceShutdown();
});
JS
seen=$(node run.cjs)
echo "@microsoft/durabletask-js 0.4.0, node $(node --version): $seen"
[ "$seen" = "one: 1970-01-01T00:00:00.000Z; of all: 1970-01-01T00:00:00.000Z" ]
