import { spawn } from "node:child_process";
import {
  closeSync,
  createWriteStream,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { SpanKind } from "@opentelemetry/api";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import type { RecordedSpan } from "../../src/testing/index.ts";
import { record, startShop } from "../testing/recorder-fixture.ts";
import { otlpLine, program, run, type Run } from "./program.ts";

const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-cli-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;
function file(content: string | Buffer): string {
  files += 1;
  const path = join(directory, `traces-${files}.json`);
  writeFileSync(path, content);
  return path;
}

/** Spans of an order by a real worker: its trace is whole. */
async function order(): Promise<readonly RecordedSpan[]> {
  const recorder = record();
  const shop = await startShop();
  await shop.run("order", [5, 7]);
  await recorder.waitForTrace("create_orchestration:order");
  return recorder.spans();
}

const isOrder = ({ name, kind }: RecordedSpan): boolean => kind === SpanKind.SERVER && name === "orchestration:order";

/** What `--json` says. */
interface Report {
  readonly spans: number;
  readonly traces: readonly {
    readonly traceId: string;
    readonly name: string;
    readonly instanceId?: string;
    readonly spans: number;
    readonly failed: number;
    readonly duration: number;
    readonly whole: boolean;
    readonly problems: readonly { readonly kind: string; readonly text: string }[];
    readonly criticalPath: readonly { readonly name: string; readonly time: number; readonly share: number }[];
    readonly waiting: readonly { readonly what: string; readonly instanceId: string | null; readonly text: string }[];
  }[];
  readonly problems: readonly { readonly file: string; readonly message: string }[];
}

async function report(args: readonly string[], input?: string): Promise<Report & Run> {
  const ended = await run(["trace", "--json", ...args], input === undefined ? {} : { input });
  return { ...(JSON.parse(ended.stdout) as Report), ...ended };
}

/** A span of OTLP JSON. */
function otlpSpan(id: number, parent: number, more: object = {}): object {
  const hex = (value: number): string => value.toString(16).padStart(16, "0");
  return {
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: hex(id),
    ...(parent > 0 && { parentSpanId: hex(parent) }),
    name: `span ${id}`,
    kind: 1,
    startTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(id)),
    endTimeUnixNano: "1700000001000000000",
    ...more,
  };
}

const service = (name: string): object => ({
  attributes: [{ key: "service.name", value: { stringValue: name } }],
});
const request = (...spans: readonly object[]): object => ({
  resourceSpans: [{ resource: service("shop"), scopeSpans: [{ scope: { name: "pg" }, spans }] }],
});

describe("durable-telemetry trace, on the spans of a real workflow", () => {
  it("S1 says that the trace is whole, and shows its waterfall and its critical path", async () => {
    const spans = await order();
    const { code, stdout, stderr } = await run(["trace", file(otlpLine(spans))]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [first, , heading = ""] = stdout.split("\n");
    expect(first).toBe(`${spans.length} spans in 1 trace · 1 whole · 1 with failures`);
    expect(heading).toMatch(new RegExp(`^Trace [0-9a-f]{32} · ${spans.length} spans · `));
    expect(stdout).toMatch(/^orchestration:order · [\w-]+ is whole\.$/m);
    for (const { name } of spans) expect(stdout).toContain(name);
    const [, path = ""] = /^Critical path, .*\n((?: {2}.*\n)*)/m.exec(stdout) ?? [];
    const shares = [...path.matchAll(/^ +([\d.]+) % /gm)].map(([, share]) => Number(share));
    expect(shares.length).toBeGreaterThan(3);
    expect(shares.reduce((sum, share) => sum + share)).toBeCloseTo(100, 0);
    expect(stdout).not.toContain("Waiting");
  });

  it("S1 says which spans keep it from being whole, and what has not finished, where the orchestration's span is not there", async () => {
    const spans = await order();
    const instanceId = spans.find(isOrder)?.attributes["durabletask.task.instance_id"];
    const { code, stdout } = await run(["trace", file(otlpLine(spans.filter((span) => !isOrder(span))))]);
    expect(code).toBe(1);
    expect(stdout).toContain("1 not whole · 1 waiting");
    expect(stdout).toMatch(
      /^ {2}orphan: activity:charge CLIENT [0-9a-f]{16}: its (?:remote )?parent [0-9a-f]{16} was not recorded$/m,
    );
    expect(stdout).toMatch(
      new RegExp(
        `^Waiting\\n {2}The orchestration ${String(instanceId)} has not finished, or its span is missing: \\d+ spans? below it`,
        "m",
      ),
    );
  });

  it("I4 finds a span that is there twice", async () => {
    const spans = await order();
    const { code, traces } = await report([file(otlpLine(spans) + otlpLine(spans.filter(isOrder)))]);
    expect(code).toBe(1);
    expect(traces[0]?.problems).toEqual([
      expect.objectContaining({
        kind: "duplicate",
        text: expect.stringContaining("another span has the same ID") as string,
      }),
    ]);
  });

  it("names an activity that was sent off, and whose run has no span", async () => {
    const spans = await order();
    const lost = ({ name, kind }: RecordedSpan): boolean => kind === SpanKind.SERVER && name === "activity:charge";
    const below = new Set(spans.filter(lost).map((span) => span.spanContext().spanId));
    const left = spans.filter((span) => !lost(span) && !below.has(span.parentSpanContext?.spanId ?? ""));
    const { code, traces } = await report([file(otlpLine(left))]);
    expect(code).toBe(0);
    expect(
      traces[0]?.waiting.map(({ what, text }) => [
        what,
        text.replace(/ of .* was/, " was").replace(/\+[\d.]+ \S+,/, "T,"),
      ]),
    ).toEqual([
      ["not run", "activity:charge client was sent off at T, and there is no span of its run"],
      ["not run", "activity:charge client was sent off at T, and there is no span of its run"],
    ]);
  });

  it("merges the spans of several files, as of two workers", async () => {
    const spans = await order();
    const parts = [spans.filter((_, index) => index % 2 === 0), spans.filter((_, index) => index % 2 === 1)];
    const { code, traces } = await report(parts.map((part) => file(otlpLine(part))));
    expect(code).toBe(0);
    expect(traces).toEqual([expect.objectContaining({ spans: spans.length, whole: true })]);
  });

  it("writes the page and the picture of all spans", async () => {
    const spans = await order();
    const [html, svg] = [join(directory, "order.html"), join(directory, "order.svg")];
    const { code } = await run(["trace", file(otlpLine(spans)), "--html", html, "--svg", svg]);
    expect(code).toBe(0);
    expect(readFileSync(html, "utf8").match(/role="row" aria-level/g)).toHaveLength(spans.length);
    // The details are there too.
    expect(readFileSync(html, "utf8")).toContain("durabletask.task.execution_id");
    expect(readFileSync(svg, "utf8").match(/class="row"/g)).toHaveLength(spans.length);
  });
});

describe("durable-telemetry trace reads", () => {
  const spans = [otlpSpan(1, 0), otlpSpan(2, 1)];
  const two = { spans: 2, code: 0, stderr: "" };

  it.each<[format: string, content: string]>([
    ["one document", JSON.stringify(request(...spans))],
    [
      "one document with line breaks, a byte order mark, and white space around it",
      `\uFEFF \r\n${JSON.stringify(request(...spans), null, 2)}\n\n`,
    ],
    ["lines of requests", spans.map((span) => `${JSON.stringify(request(span))}\n`).join("")],
    ["lines that Windows ends", spans.map((span) => `${JSON.stringify(request(span))}\r\n`).join("")],
    ["requests without anything between them", spans.map((span) => JSON.stringify(request(span))).join("")],
    ["an array of requests", JSON.stringify(spans.map((span) => request(span)))],
    ["what Jaeger's API (v3) answers", JSON.stringify({ result: request(...spans) })],
    [
      "a collector's file, with the requests of other signals in it",
      [
        { resourceMetrics: [{ scopeMetrics: [] }] },
        { resourceProfiles: [], dictionary: {} },
        request(...spans),
        { resourceLogs: [] },
        {},
      ]
        .map((each) => JSON.stringify(each))
        .join("\n"),
    ],
    [
      "the resource behind its spans",
      JSON.stringify({
        resourceSpans: [{ scopeSpans: [{ spans, scope: { name: "pg" } }], resource: service("shop") }],
      }),
    ],
  ])("OTLP JSON: %s", async (_format, content) => {
    expect(await report([file(content)])).toMatchObject(two);
    expect(await report(["-"], content)).toMatchObject(two);
    const html = join(directory, "format.html");
    await run(["trace", file(content), "--html", html]);
    expect(readFileSync(html, "utf8")).toContain("<span>shop</span>");
    expect(readFileSync(html, "utf8")).toContain(`["scope","pg"]`);
  });

  it("64-bit integers as numbers and as strings, exactly, and numbers that are out of their range", async () => {
    const attributes = `[
      {"key":"number","value":{"intValue":9007199254740993}},
      {"key":"string","value":{"intValue":"9007199254740995"}},
      {"key":"small","value":{"intValue":"7"}},
      {"key":"beyond","value":{"intValue":1e+21}},
      {"key":"double","value":{"doubleValue":"NaN"}},
      {"key":"doubles","value":{"arrayValue":{"values":[{"doubleValue":"-Infinity"},{"doubleValue":0.5}]}}},
      {"key":"empty","value":{}},
      {"key":"list","value":{"arrayValue":{"values":[{"boolValue":true},{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"b"}}]}}]}}}]`;
    const numbers = `"startTimeUnixNano":1700000000000000123,"endTimeUnixNano":1700000000000000456,"attributes":${attributes}`;
    const span = `{"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00F067AA0BA902B7","name":"x","kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR"},${numbers}}`;
    const html = join(directory, "numbers.html");
    const content = `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`;
    const { stdout } = await run(["trace", "-", "--html", html], { input: content });
    expect(stdout).toContain("Trace 4bf92f3577b34da6a3ce929d0e0e4736 · 1 span · 0.33 µs · 1 failed");
    expect(stdout).toMatch(/✗ x +server/);
    const [, data = "[]"] = /id="spans">(.*?)<\/script>/s.exec(readFileSync(html, "utf8")) ?? [];
    const [trace] = JSON.parse(data) as { spans: { attributes: [string, string][] }[] }[];
    expect(trace?.spans[0]?.attributes).toEqual([
      ["number", "9007199254740993"],
      ["string", "9007199254740995"],
      ["small", "7"],
      ["beyond", "1e+21"],
      ["double", "NaN"],
      ["doubles", `["-Infinity",0.5]`],
      ["empty", "null"],
      ["list", `[true,{"a":"b"}]`],
    ]);
  });

  it("Jaeger's JSON: kinds, failures, services and links are those of OpenTelemetry", async () => {
    const path = fileURLToPath(new URL("fixtures/jaeger.json", import.meta.url));
    const html = join(directory, "jaeger.html");
    const { code, stdout } = await run(["trace", path, "--html", html]);
    expect(code).toBe(0);
    const rows = [...stdout.matchAll(/^[✓✗] .*?(?= {2,}[\d+])/gm)].map(([row]) =>
      row.replaceAll(/ {2,}(?=[a-z]+$)/g, "  "),
    );
    expect(rows).toEqual([
      "✓ POST /refund  server",
      "✓ └─ create_orchestration:refund  producer",
      "✗    └─ orchestration:refund  server",
      "✓       ├─ activity:pack  client",
      "✓       │  └─ activity:pack  server",
      "✓       │     └─ print label  internal",
      "✗       └─ activity:refund  client",
      "✗          └─ activity:refund  server",
    ]);
    expect(stdout).toContain("↳ There is no such payment.");
    const page = readFileSync(html, "utf8");
    expect(page).toContain("<span>shop-web, order-worker</span>");
    expect(page).toContain(`["exception.type","RangeError"]`);
    expect(page).toContain(`["scope","durable-telemetry 0.1.0"]`);
  });

  it("Jaeger's IDs without their leading zeros, times that cross a second, and references to other traces", async () => {
    const span = { traceID: "1", operationName: "x", startTime: 1_700_000_000_999_999, duration: 3, processID: "p" };
    const references = [{ refType: "FOLLOWS_FROM", traceID: "2", spanID: "3" }];
    const child = { refType: "CHILD_OF", traceID: "1", spanID: "a" };
    const both = [
      { ...span, spanID: "a", references },
      { ...span, spanID: "b", references: [child], startTime: 1_700_000_001_000_000, duration: 1 },
    ];
    const { traces, code } = await report(
      ["-"],
      JSON.stringify({ data: [{ traceID: "1", spans: both, processes: {} }] }),
    );
    expect(code).toBe(0);
    expect(traces[0]).toMatchObject({ traceId: "1".padStart(32, "0"), duration: 0.003, whole: true });
  });

  it("Jaeger's FOLLOWS_FROM in the same trace as the parent of a span without CHILD_OF, as Jaeger does", async () => {
    const reference = (refType: string, spanID: string): object => ({ refType, traceID: "1", spanID });
    const span = (spanID: string, ...references: readonly object[]): object => ({
      traceID: "1",
      spanID,
      operationName: `span ${spanID}`,
      references,
      startTime: 1_700_000_000_000_000 + Number.parseInt(spanID, 16),
      duration: 9,
    });
    const followers = [
      span("a"),
      span("b", reference("FOLLOWS_FROM", "a")),
      span("c", reference("FOLLOWS_FROM", "a"), reference("CHILD_OF", "b")),
    ];
    const { code, stdout } = await run(["trace", "-"], {
      input: JSON.stringify({ data: [{ traceID: "1", spans: followers }] }),
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ span a .*\n✓ └─ span b .*\n✓ {4}└─ span c /m);
  });

  it("Jaeger's times in another unit than microseconds as a fault: no span is left out in silence", async () => {
    const span = { traceID: "1", spanID: "1", operationName: "x", startTime: 1_700_000_000_000_000, duration: 9 };
    const late = { ...span, spanID: "2", startTime: `${span.startTime}000` };
    const content = JSON.stringify({ data: [{ traceID: "1", spans: [span, late] }] });
    const { code, stdout, stderr } = await run(["trace", "-"], { input: content });
    expect(stdout).toContain("1 span in 1 trace · 1 whole");
    expect(stderr).toContain(`data[0].spans[1]: startTime must be in microseconds, not "1700000000000000000"`);
    expect(code).toBe(2);
  });
});

describe("durable-telemetry trace says what is wrong with an input, and where", () => {
  const good = `${JSON.stringify(request(otlpSpan(1, 0)))}\n`;

  it.each<[what: string, content: string | Buffer, message: string]>([
    ["that is empty", "", ": is empty"],
    ["of white space", " \n\n", ": is empty"],
    ["without spans", `{"resourceSpans":[]}`, ": has no spans"],
    [
      "of another format",
      `\n{"traceEvents":[],"b":1}`,
      `:2 (byte 24): is neither OTLP JSON ("resourceSpans") nor Jaeger's ("data"): a document has "traceEvents", "b"`,
    ],
    [
      "that is a number",
      "42 ",
      `:1 (byte 0): is neither OTLP JSON ("resourceSpans") nor Jaeger's ("data"): a document is no object`,
    ],
    ["of HTML", "\n\n  <html>", `:3 (byte 4): is not JSON: unexpected "<"`],
    [
      "that was compressed",
      gzipSync(good),
      ":1 (byte 0): is compressed with gzip: pipe it through `gunzip -c`, and read `-`",
    ],
    [
      "with a fault between tokens",
      `{"resourceSpans":[\n  {"a":1]}`,
      `:2 (byte 27): is not JSON: Unexpected RIGHT_BRACKET ("]")`,
    ],
    [
      "with a fault behind other bytes than ASCII",
      `{"ä€𝄞":1,\n"b" 2}`,
      `:2 (byte 20): is not JSON: Unexpected NUMBER (2)`,
    ],
    ["of UTF-16", Buffer.from(`\uFEFF${good}`, "utf16le"), ":1 (byte 0): is UTF-16: save it as UTF-8"],
    [
      "of UTF-16, big endian",
      Buffer.from(`\uFEFF${good}`, "utf16le").swap16(),
      ":1 (byte 0): is UTF-16: save it as UTF-8",
    ],
    [
      "with a string that is not UTF-8",
      Buffer.from(`{"a":1,\n"b":"ä"}`, "latin1"),
      ":2 (byte 11): has a string behind this that is not UTF-8",
    ],
    ["that was cut off", good.slice(0, -30), `:1 (byte ${good.length - 30}): ends in the middle of a JSON document`],
    ["that was cut off in a name", `{"resourceSp`, ":1 (byte 12): ends in the middle of a JSON document"],
  ])("%s", async (_what, content, message) => {
    const path = file(content);
    const { code, stderr, stdout } = await run(["trace", path]);
    expect({ code, stderr, stdout }).toEqual({ code: 2, stdout: "", stderr: `durable-telemetry: ${path}${message}\n` });
  });

  it.each<[member: object, message: string]>([
    [{ traceId: "xyz" }, `traceId must have 32 hex digits, not "xyz"`],
    [{ traceId: "S/kvNXezTaajzpKdDg5HNg==" }, `traceId must have 32 hex digits, not "S/kvNXezTaajzpKdDg5HNg=="`],
    [{ traceId: "" }, "traceId is missing"],
    [{ spanId: "0".repeat(16) }, "spanId is missing"],
    [{ parentSpanId: 7 }, "parentSpanId must have 16 hex digits, not 7"],
    [{ startTimeUnixNano: undefined }, "startTimeUnixNano is missing"],
    [{ startTimeUnixNano: "yesterday" }, `startTimeUnixNano must be a whole number, not "yesterday"`],
  ])("a span with %j, and goes on with the others", async (member, message) => {
    const broken = JSON.stringify(request({ ...otlpSpan(2, 1), ...member }));
    const path = file(`${good}${broken}\n${JSON.stringify(request(otlpSpan(3, 1)))}\n`);
    const { code, stderr, stdout } = await run(["trace", path]);
    // Where the span ends.
    const byte = good.length + broken.length - "]}]}]}".length - 1;
    expect(stderr).toBe(
      `durable-telemetry: ${path}:2 (byte ${byte}): resourceSpans[0].scopeSpans[0].spans[0]: ${message}\n`,
    );
    expect(stdout).toContain("2 spans in 1 trace · 1 whole");
    expect(code).toBe(2);
  });

  it("reports the spans before the fault, and counts the faults that it does not name", async () => {
    const cut = await run(["trace", file(`${good}${good.slice(0, 50)}`)]);
    expect(cut.stdout).toContain("1 span in 1 trace · 1 whole");
    expect(cut.stderr).toMatch(/:2 \(byte \d+\): ends in the middle of a JSON document\n$/);
    expect(cut.code).toBe(2);
    const many = await run(["trace", file(JSON.stringify(request(...Array.from({ length: 30 }, () => ({})))))]);
    expect(many.stderr.trimEnd().split("\n")).toHaveLength(11);
    expect(many.stderr).toContain("… and 20 more problems");
  });

  it("a file that is not there, and a directory", async () => {
    const none = join(directory, "none.json");
    expect(await report([none])).toMatchObject({ code: 2, spans: 0, traces: [], problems: [{ file: none }] });
    for (const path of [none, directory]) {
      const { code, stderr } = await run(["trace", path]);
      expect(stderr).toMatch(new RegExp(`^durable-telemetry: ${path}: can't be read: E\\w+`));
      expect(code).toBe(2);
    }
  });

  it("a file that can't be written", async () => {
    const target = join(directory, "none", "page.html");
    const { code, stderr, stdout } = await run(["trace", file(good), "--html", target]);
    expect(stdout).toContain("1 whole");
    expect(stderr).toMatch(/page\.html can't be written: ENOENT/);
    expect(code).toBe(2);
  });
});

describe("durable-telemetry trace, in the page", () => {
  const jaeger = (spanID: string, tags: readonly object[]): object => ({
    traceID: "1",
    spanID,
    operationName: spanID,
    startTime: 1_700_000_000_000_000,
    duration: 9,
    tags,
  });
  const tag = (key: string, value: unknown): object => ({
    key,
    type: typeof value === "string" ? "string" : "bool",
    value,
  });

  it.each<[format: string, document: object]>([
    [
      "OTLP",
      request(
        otlpSpan(1, 0),
        otlpSpan(2, 1, { status: { code: 1 } }),
        otlpSpan(3, 1, { status: { code: "STATUS_CODE_ERROR" } }),
      ),
    ],
    [
      "Jaeger",
      {
        data: [
          {
            spans: [
              jaeger("1", []),
              jaeger("2", [tag("otel.status_code", "OK")]),
              jaeger("3", [tag("otel.status_code", "ERROR"), tag("error", true)]),
            ],
          },
        ],
      },
    ],
  ])("tells a status that is ok from one that is unset: %s", async (_format, document) => {
    const html = join(directory, "status.html");
    await run(["trace", file(JSON.stringify(document)), "--html", html]);
    const statuses = [...readFileSync(html, "utf8").matchAll(/\["status","(\w+)"\]/g)].map(([, status]) => status);
    expect(statuses).toEqual(["unset", "ok", "error"]);
  });
});

describe("durable-telemetry trace has the exit code 2", () => {
  const path = file(`${JSON.stringify(request(otlpSpan(1, 0)))}\n[`);

  // What is always full is a device of Linux.
  it.runIf(existsSync("/dev/full"))("where the report can't be written, and says so", async () => {
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    const child = spawn(process.execPath, [program, "--help"], { stdio: ["ignore", full, "pipe"] });
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    await once(child, "close");
    expect(stderr).toMatch(/^durable-telemetry: The report can't be written: ENOSPC.*\n$/);
    expect(child.exitCode).toBe(2);
  });

  it("where nobody reads what is wrong with an input", async () => {
    const child = spawn(process.execPath, [program, "trace", path], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.destroy();
    await once(child, "close");
    expect(child.exitCode).toBe(2);
  });
});

describe("durable-telemetry trace, on what an order waits for", () => {
  const durable = (type: string, instance: string, parent?: string): object => ({
    attributes: [
      { key: "durabletask.type", value: { stringValue: type } },
      { key: "durabletask.task.instance_id", value: { stringValue: instance } },
      ...(parent === undefined ? [] : [{ key: "durabletask.parent.instance_id", value: { stringValue: parent } }]),
    ],
  });
  const waitingFor = async (...spans: readonly object[]): Promise<readonly string[]> => {
    const { traces } = await report([file(JSON.stringify(request(...spans)))]);
    return traces.flatMap(({ waiting }) => waiting.map(({ text }) => text));
  };
  // A web server called the client; its own span is in another file.
  const create = otlpSpan(1, 99, {
    name: "create_orchestration:order",
    kind: 4,
    ...durable("orchestration", "order-7"),
  });
  const orderRun = otlpSpan(2, 1, { name: "orchestration:order", kind: 2, ...durable("orchestration", "order-7") });
  const activityRun = (id: number, call: number): object =>
    otlpSpan(id, call, { name: `activity:${id}`, kind: 2, ...durable("activity", "order-7") });

  it("S1 says of no finished order that it waits because the caller of its client is not in the files", async () => {
    expect(await waitingFor(create, orderRun)).toEqual([]);
  });

  it("S1 says once that an order waits whose activities ran, and whose calls have no spans yet", async () => {
    expect(await waitingFor(create, activityRun(11, 21), activityRun(12, 22), activityRun(13, 23))).toEqual([
      expect.stringMatching(
        /^The orchestration order-7 has not finished, .*: 3 spans below it, the last is activity:11/,
      ),
    ]);
  });

  it("S1 says of no finished order that it waits because the span of a call was lost", async () => {
    expect(await waitingFor(create, orderRun, activityRun(11, 21))).toEqual([]);
  });

  it("S1 says that the order waits, and not that its sub-orchestration does, which finished", async () => {
    const path = file(
      JSON.stringify(
        request(
          otlpSpan(9, 0, { name: "POST /orders", kind: 2 }),
          otlpSpan(1, 9, {
            name: "create_orchestration:order",
            kind: 4,
            ...durable("orchestration", "order-11"),
          }),
          // The orchestration's own span, 2, comes when it finishes.
          otlpSpan(3, 2, { name: "orchestration:pay", kind: 3, ...durable("orchestration", "order-11-pay") }),
          otlpSpan(4, 3, {
            name: "orchestration:pay",
            kind: 2,
            ...durable("orchestration", "order-11-pay", "order-11"),
          }),
        ),
      ),
    );
    const { traces } = await report([path]);
    expect(
      traces.map(({ name, instanceId, waiting }) => [name, instanceId, waiting.map((each) => each.instanceId)]),
    ).toEqual([["create_orchestration:order", "order-11", ["order-11"]]]);
    expect(traces[0]?.waiting[0]?.text).toMatch(/^The orchestration order-11 has not finished/);
  });
});

describe("durable-telemetry trace, with options", () => {
  const traceOf = (index: number, ...spans: readonly object[]): object =>
    request(...spans.map((span) => ({ ...span, traceId: String(index).padStart(32, "0") })));

  it("shows as many traces in full as --limit says, those that are not whole first", async () => {
    const lines = Array.from({ length: 5 }, (_, index) => traceOf(index + 1, otlpSpan(1, index === 3 ? 9 : 0)));
    const path = file(lines.map((line) => JSON.stringify(line)).join("\n"));
    const { stdout, code } = await run(["trace", path, "--limit", "1"]);
    expect(stdout.match(/^Trace .*/gm)).toEqual([expect.stringMatching(/^Trace 0{31}4 · 1 span · .* · 1 orphan$/)]);
    expect(stdout).toMatch(/\n {2}0{31}1 · span 1 · 1\.00 s · whole\n/);
    expect(code).toBe(1);
  });

  it("reads only the trace of --trace, and says so where it is not there", async () => {
    const path = file([1, 2, 31].map((index) => JSON.stringify(traceOf(index, otlpSpan(1, 0)))).join("\n"));
    const { traces } = await report([path, "--trace", "2".padStart(32, "0")]);
    expect(traces.map(({ traceId }) => traceId)).toEqual(["2".padStart(32, "0")]);
    const missing = await run(["trace", path, "--trace", "ABC"]);
    expect(missing).toMatchObject({
      code: 2,
      stdout: "",
      stderr: `durable-telemetry: There is no trace abc in ${path}.\n`,
    });
  });

  it("S1 takes the child of a span of --remote-parent for no orphan", async () => {
    const path = file(JSON.stringify(request(otlpSpan(1, 0xabc, { flags: 0x301 }))));
    const { traces, code } = await report([path]);
    expect(code).toBe(1);
    expect(traces[0]?.problems[0]?.text).toContain("its remote parent 0000000000000abc was not recorded");
    expect((await report([path, "--remote-parent", "0000000000000ABC"])).code).toBe(0);
    // Without its leading zeros, as some programs write it.
    expect((await report([path, "--remote-parent", "abc"])).code).toBe(0);
  });

  it("S1 marks no child of a span of --remote-parent as an orphan, and says of no such span that it is missing", async () => {
    const attributes = [{ key: "durabletask.type", value: { stringValue: "activity" } }];
    const path = file(JSON.stringify(request(otlpSpan(1, 0xabc, { kind: 2, attributes }))));
    const html = join(directory, "remote.html");
    const { stdout } = await run(["trace", path, "--remote-parent", "abc", "--html", html]);
    for (const shown of [stdout, readFileSync(html, "utf8")]) {
      expect(shown).not.toMatch(/orphan|is not among these spans|has not finished/);
      expect(shown).toContain("remote parent");
    }
  });

  it("finds spans without an end, cycles, and several roots", async () => {
    const open = otlpSpan(1, 0, { endTimeUnixNano: "0" });
    const { traces } = await report(
      ["-"],
      JSON.stringify(request(open, otlpSpan(2, 0), otlpSpan(3, 4), otlpSpan(4, 3))),
    );
    expect(traces[0]?.problems.map(({ kind }) => kind).toSorted()).toEqual(["cycle", "open", "root"]);
    expect(traces[0]?.waiting).toEqual([
      expect.objectContaining({ what: "open", text: "span 1 internal has not ended since 0" }),
    ]);
  });

  it("attributes each moment of the critical path to one span", async () => {
    const at = (id: number, parent: number, start: number, end: number): object =>
      otlpSpan(id, parent, {
        startTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(start) * 1_000_000n),
        endTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt(end) * 1_000_000n),
      });
    // The caller (1) ends long before what it started (2), which waits for 4, not for 3.
    const spans = [at(1, 0, 0, 5), at(2, 1, 10, 100), at(3, 2, 20, 60), at(4, 2, 20, 80), at(5, 4, 30, 40)];
    const { traces } = await report(["-"], JSON.stringify(request(...spans)));
    expect(traces[0]?.criticalPath.map(({ name, time, share }) => [name, time, share])).toEqual([
      ["span 1", 10, 0.1],
      ["span 2", 30, 0.3],
      ["span 4", 50, 0.5],
      ["span 5", 10, 0.1],
    ]);
  });

  it("survives hostile strings: nothing that a terminal obeys is printed", async () => {
    const name = "\u001B]0;owned\u0007\u001B[31mred\u202E\n\n  orphan: fake";
    const span = otlpSpan(1, 9, { name, status: { code: 2, message: name } });
    const { stdout } = await run(["trace", file(JSON.stringify(request(span)))]);
    for (const control of ["\u001B", "\u0007", "\u202E", "\n  orphan: fake"]) expect(stdout).not.toContain(control);
  });

  it("survives hostile strings in what is wrong with an input, and cuts them", async () => {
    const hostile = `\u001B[31mred\u009B\u202E${"x".repeat(5_000)}`;
    const key = JSON.stringify(hostile);
    for (const content of [
      `{${key}:${JSON.stringify(request({ traceId: hostile }))}}`,
      `{${key}:1}`,
      `{"resourceSpans" ${key}}`,
      `{"resourceSpans":[\u009B]}`,
    ]) {
      const { stderr } = await run(["trace", file(content)]);
      expect(stderr.trimEnd()).not.toMatch(/[\p{Cc}\u202E]/u);
      expect(stderr.length).toBeLessThan(600);
    }
  });

  it("cuts names that are long, such as SQL statements, in every line of the report", async () => {
    const name = `SELECT ${"x".repeat(5_000)}`;
    const spans = [otlpSpan(1, 0, { name }), otlpSpan(2, 9, { name }), otlpSpan(3, 1, { name, endTimeUnixNano: "0" })];
    const { stdout } = await run(["trace", "-"], { input: JSON.stringify(request(...spans)) });
    for (const part of ["orphan: SELECT x", "open: SELECT x", "100.0 %    1.00 s  SELECT x", "Waiting"])
      expect(stdout).toContain(part);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThan(200);
  });

  it("leaves out of the page what a browser would take minutes for, and says so", async () => {
    const path = file(
      Array.from({ length: 2_000 }, (_, index) => JSON.stringify(traceOf(index + 1, otlpSpan(1, 0)))).join("\n"),
    );
    const html = join(directory, "many.html");
    const { code, stderr } = await run(["trace", path, "--html", html]);
    expect(code).toBe(0);
    expect(stderr).toBe(`durable-telemetry: ${html} leaves out 182 of 2000 traces: --trace chooses one.\n`);
    expect(readFileSync(html, "utf8").match(/<section /g)).toHaveLength(1_818);
  });

  it("draws in a page the first spans of a trace that has more than a page, with their parents, and says so", async () => {
    // Each is below the one after it in the file, and started after it.
    const spans = Array.from({ length: 20_003 }, (_, index) => otlpSpan(20_003 - index, 20_002 - index));
    const html = join(directory, "cut.html");
    const { code, stderr } = await run(["trace", file(JSON.stringify(request(...spans))), "--html", html]);
    expect(code).toBe(0);
    expect(stderr).toBe(
      `durable-telemetry: ${html} leaves out 3 of 20003 spans of 4bf92f3577b34da6a3ce929d0e0e4736.\n`,
    );
    const page = readFileSync(html, "utf8");
    expect(page).toContain("20000 spans");
    expect(page).not.toContain("orphan");
  });

  it("draws in a picture the traces that it names first", async () => {
    const lines = Array.from({ length: 300 }, (_, index) =>
      traceOf(index + 1, otlpSpan(1 + index, index === 299 ? 999 : 0)),
    );
    const svg = join(directory, "many.svg");
    const { stderr } = await run(["trace", file(lines.map((line) => JSON.stringify(line)).join("\n")), "--svg", svg]);
    expect(stderr).toBe(`durable-telemetry: ${svg} leaves out 100 of 300 traces: --trace chooses one.\n`);
    expect(readFileSync(svg, "utf8")).toContain("[orphan]");
  });

  it("colours only for a terminal, unless FORCE_COLOR says so, and never with NO_COLOR", async () => {
    const path = file(JSON.stringify(request(otlpSpan(1, 0))));
    const colored = async (env: Readonly<Record<string, string>>): Promise<boolean> =>
      (await run(["trace", path], { env })).stdout.includes("\u001B[");
    expect(await colored({})).toBe(false);
    expect(await colored({ FORCE_COLOR: "1" })).toBe(true);
    expect(await colored({ NO_COLOR: "1" })).toBe(false);
  });

  it("prints its help and its version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
    const help = await run(["trace", "--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toMatch(/^Usage: durable-telemetry trace FILE/);
    expect(Math.max(...help.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  it.each<[args: readonly string[], message: string]>([
    [[], "Name a command: trace."],
    [["traces"], `There is no command "traces". There is: trace.`],
    [["trace"], "Name a file with traces, or - for the standard input."],
    [["trace", "-", "-"], "The standard input can be read once."],
    [["trace", "x", "y", "--html", "./x"], "./x would be overwritten: name another file."],
    [["trace", "x", "--html", "y", "--svg", "y"], "y would be overwritten: name another file."],
    [["trace", "x", "--limit", "many"], `--limit must be a whole number, not "many".`],
    [["trace", "x", "--trace", "order-7"], `--trace must have hex digits, 32 at most, not "order-7".`],
    [
      ["trace", "x", "--remote-parent", "0".repeat(17)],
      `--remote-parent must have hex digits, 16 at most, not "${"0".repeat(17)}".`,
    ],
    [["trace", "x", "--htm", "y"], "There is no option --htm. There are: --html, --svg, --json, --trace, --limit,"],
  ])("refuses %j, and says why", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^durable-telemetry: .*\nTry: durable-telemetry --help\n$/s);
    expect(stderr).toContain(message);
  });
});

describe("durable-telemetry trace, on large files", () => {
  /** Writes a file of about `megabytes`, in one document or in lines. */
  async function large(megabytes: number, format: "document" | "lines"): Promise<string> {
    const path = join(directory, `large-${format}-${megabytes}.json`);
    const stream = createWriteStream(path);
    onTestFinished(() => rmSync(path, { force: true }));
    const write = async (text: string): Promise<void> => {
      if (!stream.write(text)) await once(stream, "drain");
    };
    const attributes = Array.from({ length: 20 }, (_, index) => ({
      key: `key ${index}`,
      value: { stringValue: "x".repeat(150) },
    }));
    if (format === "document") await write(`{"resourceSpans":[{"scopeSpans":[{"spans":[`);
    for (let index = 0, bytes = 0; bytes < megabytes * 1e6; index += 1) {
      const traceId = String(Math.floor(index / 50) + 1).padStart(32, "0");
      const span = { ...otlpSpan((index % 50) + 1, index % 50 === 0 ? 0 : 1, { attributes }), traceId };
      const text =
        format === "document" ? `${index > 0 ? "," : ""}${JSON.stringify(span)}` : `${JSON.stringify(request(span))}\n`;
      await write(text);
      bytes += text.length;
    }
    if (format === "document") await write("]}]}]}");
    await once(stream.end(), "close");
    return path;
  }

  it.each(["document", "lines"] as const)("takes little more memory for ten times the size: %s", async (format) => {
    // With a heap that would not hold the file: it is never in memory as a whole. How far the young generation grows depends on
    // how busy the machine is.
    const nodeOptions = ["--max-old-space-size=32", "--max-semi-space-size=2"];
    const read = (path: string): Promise<Run> => run(["trace", path, "--limit", "0"], { nodeOptions });
    const small = await read(await large(3, format));
    const big = await read(await large(30, format));
    expect(small).toMatchObject({ code: 0, stderr: "" });
    expect(big).toMatchObject({ code: 0, stderr: "" });
    expect(Number(/^\d+/.exec(big.stdout)?.[0])).toBeGreaterThan(7_000);
    expect(big.memory - small.memory).toBeLessThan(40);
    expect(big.memory).toBeLessThan(180);
  });
});
