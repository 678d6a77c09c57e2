#!/usr/bin/env bash
# @opentelemetry/sdk-metrics exports what an observable instrument's callback no longer observes, forever.
#
# The specification of the metrics SDK, "Observations inside asynchronous callbacks": an implementation should not produce
# data for an attribute set that was observed before and is not observed during a successful callback. The SDKs 2.12.0 and
# 3.1.0 go on with its last value: a gauge of the members of a cluster shows those that left, until the process ends.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

changed=0
check() {
  local api=$1 sdk=$2
  mkdir -p "$directory/$sdk"
  cd "$directory/$sdk"
  echo '{ "private": true, "type": "module" }' >package.json
  npm install --no-audit --no-fund --silent --prefer-offline "@opentelemetry/api@$api" "@opentelemetry/sdk-metrics@$sdk"
  cat >observe.js <<'JS'
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";

class OnDemand extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}
const reader = new OnDemand();
let members = ["a", "b"];
const gauge = new MeterProvider({ readers: [reader] }).getMeter("cluster").createObservableGauge("members");
gauge.addCallback((result) => members.forEach((member) => result.observe(1, { member })));
const exported = [];
for (members of [["a", "b"], ["b"], ["b"]]) {
  const { resourceMetrics } = await reader.collect();
  exported.push(resourceMetrics.scopeMetrics[0].metrics[0].dataPoints.map(({ attributes }) => attributes.member).join("+"));
}
console.log(exported.join(" "));
JS
  local seen
  seen=$(node observe.js)
  echo "@opentelemetry/sdk-metrics $sdk, node $(node --version): observed a+b b b, exported $seen"
  [ "$seen" = "a+b a+b a+b" ] || changed=1
}
check 1.9.1 2.12.0
check 1.10.0 3.1.0
[ "$changed" -eq 0 ] && echo "An attribute set that is no longer observed is exported with its last value."
exit "$changed"
