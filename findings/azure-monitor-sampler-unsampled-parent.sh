#!/usr/bin/env bash
# @azure/monitor-opentelemetry-exporter: its RateLimitedSampler, the default sampler of @azure/monitor-opentelemetry, decides a
# child span by its parent's flag only while its rate is below 100 %. When few spans come, the rate is 100 %, and the child of
# a local parent that was not sampled is sampled: a span whose parent is never exported.
#
# Expected: a child of a local parent follows the parent, as it does at any other rate.
# Exits with 0 while it behaves so, with 1 if that has changed.
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{"private":true}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @azure/monitor-opentelemetry-exporter@1.0.0-beta.45 @opentelemetry/api@1.9.1 ||
  npm install --silent --no-audit --no-fund --ignore-scripts @azure/monitor-opentelemetry-exporter @opentelemetry/api@1.9.1
cat > program.cjs <<'PROGRAM'
const { ROOT_CONTEXT, SpanKind, trace, TraceFlags } = require("@opentelemetry/api");
const { RateLimitedSampler } = require("@azure/monitor-opentelemetry-exporter");
console.log("@azure/monitor-opentelemetry-exporter", require("@azure/monitor-opentelemetry-exporter/package.json").version);
const names = ["NOT_RECORD", "RECORD", "RECORD_AND_SAMPLED"];
const traceId = "f".repeat(32);
const parent = trace.setSpan(ROOT_CONTEXT, trace.wrapSpanContext({ traceId, spanId: "1".repeat(16), traceFlags: TraceFlags.NONE }));
const ask = (sampler) => names[sampler.shouldSample(parent, traceId, "child", SpanKind.INTERNAL, {}, []).decision];

const idle = new RateLimitedSampler(5);
const busy = new RateLimitedSampler(5);
for (let index = 0; index < 1000; index += 1) ask(busy);
setTimeout(() => {
  const [whenIdle, whenBusy] = [ask(idle), ask(busy)];
  console.log(`child of a local parent that is not sampled: ${whenBusy} at a rate below 100 %, ${whenIdle} at 100 %`);
  process.exit(whenIdle === "RECORD_AND_SAMPLED" && whenBusy === "NOT_RECORD" ? 0 : 1);
}, 0);
PROGRAM
node program.cjs
