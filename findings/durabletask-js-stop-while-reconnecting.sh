#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: a worker that is stopped while it waits to connect again connects all the same. Its hub is
# down for a few seconds (a restart, say), `stop()` is called and resolves; when the hub is back, the worker opens a new stream
# and runs what it gets, with its registered functions. Nothing stops it any more: a second `stop()` throws.
set -euo pipefail
cd "$(mktemp -d)"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent @microsoft/durabletask-js@0.4.0
cat >probe.cjs <<'JS'
const grpc = require("@grpc/grpc-js");
const { TaskHubGrpcWorker } = require("@microsoft/durabletask-js");
const services = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb.js");
const when = () => { let resolve; const promise = new Promise((r) => (resolve = r)); return { promise, resolve }; };
(async () => {
  const [waiting, ran] = [when(), when()];
  const quiet = { error() {}, warn() {}, info() {}, debug() {} };
  let streams = 0;
  let isDown = false;
  let retries = 0;
  const server = new grpc.Server();
  server.addService(services.TaskHubSidecarServiceService, {
    hello: (_, reply) => (isDown ? reply({ code: grpc.status.UNAVAILABLE, details: "restarting" }) : reply(null, new Empty())),
    getWorkItems: (stream) => {
      streams += 1;
      if (streams === 1) { isDown = true; stream.end(); return; }
      // What it connects for.
      const activity = new pb.ActivityRequest().setName("charge").setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("i")).setTaskid(1);
      stream.write(new pb.WorkItem().setActivityrequest(activity));
    },
    completeActivityTask: (_, reply) => reply(null, new pb.CompleteTaskResponse()),
  });
  const port = await new Promise((resolve, reject) => server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  const worker = new TaskHubGrpcWorker({ hostAddress: `127.0.0.1:${port}`, logger: { ...quiet, info: (line) => /will be retried/.test(line) && ++retries === 2 && waiting.resolve() } });
  worker.addNamedActivity("charge", () => ran.resolve());
  await worker.start();
  await waiting.promise;
  await worker.stop();
  console.log(`@microsoft/durabletask-js ${require("@microsoft/durabletask-js/package.json").version}`);
  console.log("stop() has resolved");
  isDown = false;
  const outcome = await Promise.race([ran.promise.then(() => "ran an activity"), new Promise((resolve) => setTimeout(resolve, 10_000, "did nothing"))]);
  console.log(`after that the worker opened ${streams - 1} stream, and ${outcome}`);
  const second = await worker.stop().then(() => "stops it", (error) => `throws "${error.message}"`);
  console.log(`a second stop() ${second}`);
  process.exit(outcome === "ran an activity" ? 0 : 1);
})();
JS
node probe.cjs
