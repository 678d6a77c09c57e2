#!/usr/bin/env bash
# newrelic 14.5: context.bind of its OpenTelemetry bridge turns an event emitter into a function.
#
# The API's ContextManager binds functions and event emitters: "if target is an EventEmitter, each of its listeners runs in the
# context"; what comes back is the target's type. With the bridge it is a function, without `on`: whoever listens to a stream
# that was bound hears nothing, or throws.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts newrelic@14.5.1 @opentelemetry/api@1.9.1
cat >bind.cjs <<'JS'
const { EventEmitter } = require("node:events");
require("newrelic");
const { context } = require("@opentelemetry/api");

const bound = context.bind(context.active(), new EventEmitter());
console.log(typeof bound, typeof bound.on);
process.exit();
JS
export NEW_RELIC_LICENSE_KEY=0000000000000000000000000000000000000000 NEW_RELIC_APP_NAME=bind NEW_RELIC_HOST=127.0.0.1
export NEW_RELIC_LOG_ENABLED=false NEW_RELIC_OPENTELEMETRY_ENABLED=true NEW_RELIC_OPENTELEMETRY_TRACES_ENABLED=true
seen=$(node bind.cjs)
echo "newrelic 14.5.1, node $(node --version): a bound event emitter and its method on are of type: $seen"
[ "$seen" = "function undefined" ] && echo "An event emitter that was bound is no event emitter any more."
