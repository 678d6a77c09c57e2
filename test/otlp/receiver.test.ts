import { describe, expect, it } from "vitest";
import { decodeLogsRequest } from "./decode-logs.ts";
import { decodeMetricsRequest } from "./decode-metrics.ts";
import { decodeTraceRequest } from "./decode.ts";
import { startReceiver } from "./receiver.ts";

const span = {
  traceId: "0123456789abcdef0123456789abcdef",
  spanId: "0123456789abcdef",
  name: "span",
  kind: 2,
  startTimeUnixNano: "1700000000000000000",
  endTimeUnixNano: "1700000000000000001",
  attributes: [
    { key: "int", value: { intValue: "9007199254740993" } },
    {
      key: "list",
      value: { arrayValue: { values: [{ doubleValue: 1.5 }, { boolValue: true }, { stringValue: "" }] } },
    },
    { key: "map", value: { kvlistValue: { values: [{ key: "a", value: { bytesValue: "AQI=" } }] } } },
    { key: "nothing", value: {} },
  ],
  status: { code: 2, message: "no" },
};

const requestOf = (spans: unknown): string =>
  JSON.stringify({
    resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [{ scope: { name: "scope" }, spans }] }],
  });

const decodeJson = (json: string): unknown => decodeTraceRequest("application/json", new TextEncoder().encode(json));

describe("the strict decoder", () => {
  it("gives spans as they are", () => {
    expect(decodeJson(requestOf([span]))).toEqual([
      {
        ...span,
        parentSpanId: undefined,
        traceState: "",
        kind: "SERVER",
        startTimeUnixNano: 1_700_000_000_000_000_000n,
        endTimeUnixNano: 1_700_000_000_000_000_001n,
        attributes: {
          int: 9_007_199_254_740_993n,
          list: [1.5, true, ""],
          map: { a: Buffer.from([1, 2]) },
          nothing: undefined,
        },
        status: { code: "ERROR", message: "no" },
        events: [],
        links: [],
        resource: {},
        scope: { name: "scope", version: "" },
      },
    ]);
  });

  it.each<[problem: string, wrong: object, message: string]>([
    [
      "an unknown field",
      { colour: "red" },
      'request.resourceSpans[0].scopeSpans[0].spans[0] has the unknown field "colour"',
    ],
    ["a field in snake case", { parent_span_id: "0123456789abcdef" }, 'has the unknown field "parent_span_id"'],
    ["an ID that is not hex", { traceId: "AQIDBAUGBwgJCgsMDQ4PEA==" }, "traceId is no bytes"],
    ["an ID of a wrong length", { spanId: "0123" }, '"spanId" is no valid ID'],
    ["an ID that is all zero", { parentSpanId: "0000000000000000" }, '"parentSpanId" is no valid ID'],
    ["a kind by name", { kind: "SPAN_KIND_SERVER" }, "kind is no SpanKind"],
    ["an unspecified kind", { kind: 0 }, "SPAN_KIND_UNSPECIFIED is not allowed here"],
    ["a time that is no integer", { startTimeUnixNano: 1.5 }, "startTimeUnixNano is no fixed64"],
    ["an end before the start", { endTimeUnixNano: "1" }, "ends before it starts"],
    ["a null", { name: null }, "name is no string"],
    ["attributes as an object", { attributes: { a: 1 } }, "attributes must be an array"],
    [
      "a value of two types",
      { attributes: [{ key: "a", value: { intValue: "1", stringValue: "1" } }] },
      'has more than one of "value"',
    ],
    [
      "an attribute twice",
      { attributes: [span.attributes[0], span.attributes[0]] },
      'attribute "int" is empty or there twice',
    ],
  ])("refuses %s in JSON", (_problem, wrong, message) => {
    expect(() => decodeJson(requestOf([{ ...span, ...wrong }]))).toThrow(message);
  });

  it.each<[place: string, bytes: number[], message: string]>([
    ["the request", [0x98, 0x06, 0x01], "request has unknown fields"],
    ["a message in it", [0x0a, 0x03, 0x98, 0x06, 0x01], "request.resourceSpans.0 has unknown fields"],
  ])("refuses an unknown field of %s in protobuf", (_place, bytes, message) => {
    expect(() => decodeTraceRequest("application/x-protobuf", Uint8Array.from(bytes))).toThrow(message);
  });
});

const decodeMetric = (metric: object): unknown =>
  decodeMetricsRequest(
    "application/json",
    new TextEncoder().encode(
      JSON.stringify({
        resourceMetrics: [{ resource: {}, scopeMetrics: [{ scope: { name: "scope" }, metrics: [metric] }] }],
      }),
    ),
  );
const decodeLog = (record: object): unknown =>
  decodeLogsRequest(
    "application/json",
    new TextEncoder().encode(
      JSON.stringify({
        resourceLogs: [{ resource: {}, scopeLogs: [{ scope: { name: "scope" }, logRecords: [record] }] }],
      }),
    ),
  );
const point = { timeUnixNano: "1700000000000000000", asInt: "7" };
const sum = {
  name: "orders",
  unit: "{order}",
  sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints: [point] },
};
const log = {
  observedTimeUnixNano: "1",
  severityNumber: 9,
  body: { stringValue: "text" },
  eventName: "event",
  traceId: span.traceId,
  spanId: span.spanId,
};

describe("the strict decoder of metrics and log records", () => {
  it("gives them as they are", () => {
    const from = { resource: {}, scope: { name: "scope", version: "" } };
    const ids = { traceId: span.traceId, spanId: span.spanId };
    expect(decodeMetric(sum)).toEqual([
      {
        name: "orders",
        unit: "{order}",
        kind: "sum",
        temporality: "DELTA",
        points: [{ attributes: {}, value: 7, bounds: undefined }],
        ...from,
      },
    ]);
    expect(decodeLog(log)).toEqual([
      { eventName: "event", severity: "INFO", body: "text", attributes: {}, timeUnixNano: 0n, ...ids, ...from },
    ]);
  });

  it.each<[problem: string, decode: () => unknown, message: string]>([
    ["an unknown field of a metric", () => decodeMetric({ ...sum, colour: "red" }), 'has the unknown field "colour"'],
    [
      "a metric of two kinds",
      () => decodeMetric({ ...sum, gauge: { dataPoints: [point] } }),
      'has more than one of "data"',
    ],
    [
      "a sum without temporality",
      () => decodeMetric({ ...sum, sum: { dataPoints: [point] } }),
      "AGGREGATION_TEMPORALITY_UNSPECIFIED is not allowed here",
    ],
    [
      "a point without a time",
      () => decodeMetric({ ...sum, sum: { ...sum.sum, dataPoints: [{ asInt: "7" }] } }),
      "a data point has no time",
    ],
    ["a log record without a time", () => decodeLog({ ...log, observedTimeUnixNano: "0" }), "a log record has no time"],
    ["a span without a trace", () => decodeLog({ ...log, traceId: "" }), '"traceId" is no valid ID'],
    ["an unknown field of a log record", () => decodeLog({ ...log, colour: "red" }), 'has the unknown field "colour"'],
  ])("refuses %s", (_problem, decode, message) => {
    expect(decode).toThrow(message);
  });
});

async function post(url: string, body: string): Promise<number> {
  const response = await fetch(`${url}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  await response.arrayBuffer();
  return response.status;
}

describe("the receiver", () => {
  it("keeps what is sent to it apart from what is sent to another one", async () => {
    await using first = await startReceiver();
    await using second = await startReceiver();
    await Promise.all([
      post(first.url, requestOf([{ ...span, name: "1" }])),
      post(second.url, requestOf([{ ...span, name: "2" }])),
    ]);
    expect((await first.waitFor((spans) => spans.length > 0)).map(({ name }) => name)).toEqual(["1"]);
    expect((await second.waitFor((spans) => spans.length > 0)).map(({ name }) => name)).toEqual(["2"]);
  });

  it("waitFor says in the end what has arrived instead", async () => {
    await using receiver = await startReceiver();
    await expect(receiver.waitFor(() => false, 1)).rejects.toThrow("Waited 1 ms in vain; there are no spans");
    await post(receiver.url, requestOf([span]));
    await expect(receiver.waitFor(() => false, 1)).rejects.toThrow("there are 1 spans: span");
  });

  it("a request that breaks the protocol fails waitFor and close", async () => {
    const receiver = await startReceiver();
    const waiting = receiver.waitFor((spans) => spans.length > 0);
    const [status] = await Promise.all([
      post(receiver.url, requestOf([{ ...span, colour: "red" }])),
      expect(waiting).rejects.toThrow("A request broke the OTLP protocol"),
    ]);
    expect(status).toBe(200);
    await expect(receiver.close()).rejects.toThrow("A request broke the OTLP protocol");
  });
});
