#!/usr/bin/env bash
# dd-trace 6.21.0 exports spans over OTLP/HTTP as JSON in which startTimeUnixNano and endTimeUnixNano are JSON numbers, where
# the protobuf JSON mapping writes fixed64 as decimal strings. The times have passed through a double, which holds today's
# nanoseconds only to a multiple of 256, so their last digits are not what was measured; and a collector that accepts 64-bit
# values as strings only refuses the request.
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{"name":"finding","version":"1.0.0","private":true}' > package.json
npm install --silent --no-audit --no-fund dd-trace@6.21.0
cat > finding.cjs <<'PROGRAM'
const { createServer } = require("node:http");
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
    if (request.url !== "/v1/traces" || !body.includes('"finding"')) return;
    const times = [...body.matchAll(/"(?:start|end)TimeUnixNano":\s*("?\d+"?)/g)].map(([, time]) => time);
    console.log("dd-trace", require("dd-trace/package.json").version, "wrote these times:", times.join(", "));
    const numbers = times.filter((time) => !time.startsWith('"'));
    console.log(numbers.length, "of", times.length, "are JSON numbers");
    const rounded = numbers.filter((time) => BigInt(Number(time)) !== BigInt(time));
    console.log(rounded.length, "of them are other values once parsed as doubles, such as", rounded[0], "->", String(BigInt(Number(rounded[0] ?? 0))));
    process.exit(times.length > 0 && numbers.length === times.length ? 0 : 1);
  });
});
server.listen(0, "127.0.0.1", () => {
  Object.assign(process.env, {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.address().port}`,
    DD_TRACE_STARTUP_LOGS: "false",
    DD_INSTRUMENTATION_TELEMETRY_ENABLED: "false",
    DD_REMOTE_CONFIGURATION_ENABLED: "false",
  });
  const tracer = require("dd-trace").init();
  tracer.startSpan("finding").finish();
  setTimeout(() => {
    console.log("nothing was exported");
    process.exit(1);
  }, 20_000);
});
PROGRAM
node finding.cjs
