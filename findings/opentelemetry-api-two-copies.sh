#!/usr/bin/env bash
# From @opentelemetry/api 1.10 on, a tracer that CommonJS code takes before an ES module registers the provider never records.
#
# Version 1.10 has one copy for ES modules and one for CommonJS. Each hands out tracers of a proxy of its own until a provider
# is registered, and only the copy that registers it connects its proxy. The tracers of the other copy stay without effect,
# with no message; so do loggers. With API 1.9 there is one copy, and the same program records.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

run() {
  local api=$1 sdk=$2
  mkdir -p "$directory/$api"
  cd "$directory/$api"
  echo '{ "private": true, "type": "module" }' >package.json
  npm install --no-audit --no-fund --silent --prefer-offline "@opentelemetry/api@$api" "$sdk"
  cat >library.cjs <<'JS'
const { trace } = require("@opentelemetry/api");
const early = trace.getTracer("library");
exports.work = () => ({ early: early.startSpan("work").isRecording(), late: trace.getTracer("library").startSpan("work").isRecording() });
JS
  cat >main.js <<'JS'
import { trace } from "@opentelemetry/api";
import * as sdk from "@opentelemetry/sdk-trace";
import { work } from "./library.cjs";

const registered = trace.setGlobalTracerProvider(new sdk.TracerProvider());
const { early, late } = work();
console.log(`registered=${registered} early=${early} late=${late}`);
JS
  node main.js
}
before=$(run 1.9.1 @opentelemetry/sdk-trace@2.12.0)
now=$(run 1.10.0 @opentelemetry/sdk-trace@3.1.0)
echo "@opentelemetry/api 1.9.1, sdk-trace 2.12.0: $before"
echo "@opentelemetry/api 1.10.0, sdk-trace 3.1.0: $now"
[ "$before" = "registered=true early=true late=true" ] && [ "$now" = "registered=true early=false late=true" ] &&
  echo "A tracer taken by require() before import registers the provider records with API 1.9 and not with API 1.10."
