#!/usr/bin/env bash
# @vercel/otel 2.1.3 ends spans that are still at work, with the first of their trace.
#
# Its span processor takes the first span of a trace in a process for the root of all, and ends all open spans of that trace
# with it. Two requests of one trace that a process serves at the same time are no parent and child: the longer one's span
# ends with the shorter one's, and shows that one's duration.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @vercel/otel@2.1.3 @opentelemetry/api@1.9.1 \
  @opentelemetry/api-logs@0.223.0 @opentelemetry/instrumentation@0.223.0 @opentelemetry/resources@2.12.0 \
  @opentelemetry/sdk-logs@0.223.0 @opentelemetry/sdk-metrics@2.12.0 @opentelemetry/sdk-trace-base@2.12.0
cat >serve.cjs <<'JS'
const { registerOTel } = require("@vercel/otel");
const { ROOT_CONTEXT, SpanKind, trace } = require("@opentelemetry/api");

registerOTel({ serviceName: "two", instrumentations: [], spanProcessors: [] });
const caller = trace.setSpanContext(ROOT_CONTEXT, { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1, isRemote: true });
const serve = (name) => trace.getTracer("server").startSpan(name, { kind: SpanKind.SERVER }, caller);
const [short, long] = [serve("short"), serve("long")];
const before = long.isRecording();
short.end();
console.log(before, long.isRecording());
process.exit();
JS
seen=$(node serve.cjs)
echo "@vercel/otel 2.1.3, node $(node --version): the long request's span records before and after the short one's end: $seen"
[ "$seen" = "true false" ] && echo "The span of the long request was ended with that of the short one."
