#!/usr/bin/env bash
# The default sampler of @azure/monitor-opentelemetry 1.21 samples children of parents that are not sampled, at times.
#
# RateLimitedSampler (of @azure/monitor-opentelemetry-exporter) has a child follow its local parent while its rate is below
# 100 %. Where few spans come, the rate is 100 %, and the parent is not looked at: such a span is exported, and its parent
# never is.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline --ignore-scripts @azure/monitor-opentelemetry-exporter@1.0.0-beta.47 @opentelemetry/api@1.9.1
cat >ask.cjs <<'JS'
const { ROOT_CONTEXT, SpanKind, trace, TraceFlags } = require("@opentelemetry/api");
const { RateLimitedSampler } = require("@azure/monitor-opentelemetry-exporter");

const traceId = "f".repeat(32);
const parent = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: "1".repeat(16), traceFlags: TraceFlags.NONE });
const ask = (sampler) => sampler.shouldSample(parent, traceId, "child", SpanKind.INTERNAL, {}, []).decision;

const busy = new RateLimitedSampler(5);
for (let index = 0; index < 1000; index += 1) ask(busy);
const whenBusy = ask(busy);
const idle = new RateLimitedSampler(5);
// 2 is RECORD_AND_SAMPLED, 0 is NOT_RECORD.
setTimeout(() => console.log(whenBusy, ask(idle)), 1000);
JS
seen=$(node ask.cjs)
echo "@azure/monitor-opentelemetry-exporter 1.0.0-beta.47, node $(node --version): a child of a parent that is not sampled: decision when busy and when idle: $seen"
[ "$seen" = "0 2" ] && echo "The sampler does not look at the parent at its rate of 100 %."
