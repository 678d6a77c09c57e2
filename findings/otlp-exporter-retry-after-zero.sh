#!/usr/bin/env bash
# The OTLP/HTTP exporter of OpenTelemetry JS 0.301.0 turns a collector's `Retry-After: 0`, which HTTP allows and means
# "now", into a delay of -1 ms, and hands that to setTimeout(): Node.js 24 emits a TimeoutNegativeWarning on the standard
# error of the application (parseRetryAfterToMills gives -1 for a number that is not greater than 0).
#
# Exits with 0 while that is so.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent --prefer-offline node@24 @opentelemetry/api@1.10.0 @opentelemetry/sdk-trace@3.1.0 @opentelemetry/exporter-trace-otlp-http@0.301.0
cat >export.cjs <<'JS'
const { createServer } = require("node:http");
const { TracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");

let asked = 0;
process.on("warning", ({ name, message }) => console.log(`${name}: ${message}`));
const server = createServer((request, response) => {
  asked += 1;
  request.resume().on("end", () => (asked === 1 ? response.writeHead(503, { "retry-after": "0" }).end() : response.writeHead(200).end("{}")));
});
server.listen(0, "127.0.0.1", async () => {
  const exporter = new OTLPTraceExporter({ url: `http://127.0.0.1:${server.address().port}/v1/traces` });
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  provider.getTracer("finding").startSpan("span").end();
  await provider.shutdown();
  console.log(`asked ${asked} times`);
  server.close();
});
JS
seen=$(./node_modules/.bin/node --no-warnings export.cjs)
echo "@opentelemetry/exporter-trace-otlp-http 0.301.0, node $(./node_modules/.bin/node --version):"
echo "$seen"
grep -q "TimeoutNegativeWarning: -1 is a negative number" <<<"$seen"
echo "Retry-After: 0 becomes a timer of -1 ms."
