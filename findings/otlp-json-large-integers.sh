#!/usr/bin/env bash
# @opentelemetry/otlp-transformer 0.301.0 (OTLP/JSON): an attribute with a number of 2^63 or more, which is a valid
# JavaScript number and a valid attribute, becomes {"intValue":1e+21}. That is out of the range of int64, so a receiver
# that parses OTLP strictly refuses the request, with every record in it. OTLP/protobuf of the same version sends the
# same number as a double.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.10.0 @opentelemetry/sdk-logs@3.1.0 @opentelemetry/otlp-transformer@0.301.0
cat >run.cjs <<'JS'
const { LoggerProvider } = require("@opentelemetry/sdk-logs");
const { JsonLogsSerializer, ProtobufLogsSerializer } = require("@opentelemetry/otlp-transformer");
const records = [];
const processor = { onEmit: (record) => records.push(record), forceFlush: async () => {}, shutdown: async () => {} };
new LoggerProvider({ processors: [processor] }).getLogger("tests").emit({ body: "line", attributes: { big: 1e21 } });
const json = Buffer.from(JsonLogsSerializer.serializeRequest(records)).toString();
const sent = /\{"key":"big","value":(\{[^}]*\})\}/.exec(json)?.[1];
const double = Buffer.alloc(9);
double[0] = 0x21; // field 4 of AnyValue: a double
double.writeDoubleLE(1e21, 1);
const isDouble = Buffer.from(ProtobufLogsSerializer.serializeRequest(records)).includes(double);
console.log("otlp-transformer", JSON.parse(require("node:fs").readFileSync("node_modules/@opentelemetry/otlp-transformer/package.json", "utf8")).version, "on Node", process.version);
console.log("OTLP/JSON of 1e21:", sent, "- within int64:", Math.abs(JSON.parse(sent).intValue) < 2 ** 63);
console.log("OTLP/protobuf of 1e21 is a double:", isDouble);
process.exit(sent === '{"intValue":1e+21}' && isDouble ? 0 : 1);
JS
node run.cjs
