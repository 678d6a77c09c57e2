#!/usr/bin/env bash
# @microsoft/durabletask-js 0.4.0: a worker that was stopped and started again does not connect again when its task hub ends
# the stream of work items, as at a restart of the hub: it gets no work any more, and says nothing. One that was started once
# opens another stream after a second.
#
# `stop()` notes that the worker stops, and `start()` does not take that back.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @microsoft/durabletask-js@0.4.0 google-protobuf@3.21.4 @grpc/grpc-js@1.14.4
cat >run.cjs <<'JS'
const { once, EventEmitter } = require("node:events");
const grpc = require("@grpc/grpc-js");
const { TaskHubGrpcWorker } = require("@microsoft/durabletask-js");
const services = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb.js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb.js");

const lines = [];
const note = (line) => void lines.push(line);
const logger = { error: note, warn: note, info: note, debug: note };
const streams = new EventEmitter();
const server = new grpc.Server();
server.addService(services.TaskHubSidecarServiceService, {
  hello: (_call, answer) => answer(null, new Empty()),
  getWorkItems: (stream) => void streams.emit("opened", stream),
});

async function opened(hostAddress, starts) {
  const worker = new TaskHubGrpcWorker({ hostAddress, logger });
  let stream;
  for (let start = 1; start <= starts; start += 1) {
    if (start > 1) await worker.stop();
    const next = once(streams, "opened");
    await worker.start();
    [stream] = await next;
  }
  // The task hub goes, and is back at once.
  lines.length = 0;
  const again = once(streams, "opened").then(() => "another stream");
  stream.end();
  const none = new Promise((resolve) => setTimeout(resolve, 8_000, "none"));
  const outcome = await Promise.race([again, none]);
  return `started ${starts === 1 ? "once" : "twice"}: ${outcome}, ${lines.some((line) => /retr/i.test(line)) ? "and says so" : "no word of a retry"}`;
}

server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), async (_error, port) => {
  const address = `127.0.0.1:${port}`;
  console.log(`${await opened(address, 1)}; ${await opened(address, 2)}`);
  process.exit();
});
JS
seen=$(node run.cjs)
echo "@microsoft/durabletask-js 0.4.0, node $(node --version): $seen"
[ "$seen" = "started once: another stream, and says so; started twice: none, no word of a retry" ]
