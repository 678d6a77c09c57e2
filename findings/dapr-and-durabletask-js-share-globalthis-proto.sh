#!/usr/bin/env bash
# @dapr/dapr 3.18 and @microsoft/durabletask-js 0.4 can't be loaded in one process: each replaces the protobuf classes of the other.
#
# The generated code of both (google-protobuf, CommonJS) keeps its classes in globalThis.proto and looks them up there when it
# decodes and encodes. Both are of the same protocol, without a package, so the names are the same, but the fields are not.
# What was loaded last decides: the other one's message is encoded with functions that call members which it does not have.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @dapr/dapr@3.18.0 @microsoft/durabletask-js@0.4.0
cat >encode.cjs <<'JS'
const paths = {
  dapr: "@dapr/dapr/workflow/internal/durabletask/proto/orchestrator_service_pb.js",
  microsoft: "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js",
};
const [first, second] = process.argv.slice(2);
const loaded = { [first]: require(paths[first]) };
if (second) loaded[second] = require(paths[second]);
const encode = ({ OrchestratorResponse }) => {
  try {
    return `${new OrchestratorResponse().setInstanceid("order-1").serializeBinary().length} bytes`;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
console.log(`${first}${second ? `, then ${second}` : ""}: ${Object.entries(loaded).map(([name, classes]) => `${name} ${encode(classes)}`).join("; ")}`);
JS
alone=$(node encode.cjs dapr)
both=$(node encode.cjs dapr microsoft)
echo "@dapr/dapr 3.18.0, @microsoft/durabletask-js 0.4.0, node $(node --version): an OrchestratorResponse of each, encoded:"
echo "$alone"
echo "$both"
[ "$alone" = "dapr: dapr 9 bytes" ] && [[ $both == "dapr, then microsoft: dapr TypeError: "*"; microsoft 9 bytes" ]] &&
  echo "Dapr's classes can't encode once the other SDK is loaded."
