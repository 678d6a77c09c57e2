/** What a real worker sends over OTLP, at the defaults, to a receiver in another process, when its values are hard to send. */
import { beforeAll, describe, expect, it } from "vitest";
import { runProgram, type ProgramResult } from "../otlp/program.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";

const limit = 32 * 1024;
const mark = /\.\.\. \[\d+ characters cut\]$/;

describe("A worker whose values are hard to send", () => {
  let receiver: OtlpReceiver;
  let result: ProgramResult;
  beforeAll(async () => {
    receiver = await startReceiver();
    result = await runProgram("../../reliability/fixtures/values-worker", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
    });
    return () => receiver.close();
  });
  const spans = (name: string, kind: string) =>
    receiver.spans.filter((span) => span.name === name && span.kind === kind);
  const textOf = ({ body }: { readonly body: unknown }): string => (typeof body === "string" ? body : "");
  const record = (body: string) => receiver.logs.find((each) => each.body === body);

  it("K5 loses nothing, and says nothing", () => {
    expect(result.stderr).toBe("");
    expect(spans("orchestration:order", "SERVER")).toHaveLength(1);
    for (const name of ["logs", "huge", "fetches"])
      for (const kind of ["CLIENT", "SERVER"]) expect(spans(`activity:${name}`, kind)).toHaveLength(1);
    // An orchestration and 24 activities, and 5,000 lines that one of them writes.
    expect(receiver.logs.filter(({ eventName }) => eventName.startsWith("durabletask."))).toHaveLength(2 + 24 * 2);
    expect(new Set(receiver.logs.map(textOf).filter((body) => /^line \d+$/.test(body))).size).toBe(5000);
  });

  it("K4 an activity's failure of 1.5 MB costs no neighbour its span: it is cut, with a mark, in the status, the exception and the log, and no request is large", () => {
    expect(spans("activity:neighbour", "CLIENT")).toHaveLength(20);
    expect(spans("activity:neighbour", "SERVER")).toHaveLength(20);
    for (const kind of ["CLIENT", "SERVER"]) {
      const [huge] = spans("activity:huge", kind);
      const message = huge?.status.message ?? "";
      expect(message).toMatch(mark);
      expect(message.length).toBeGreaterThan(limit / 2);
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(limit);
    }
    const failed = receiver.logs.find(
      ({ eventName, attributes }) =>
        eventName === "durabletask.activity.failed" && attributes["durabletask.task.name"] === "huge",
    );
    expect(failed?.attributes["exception.message"]).toMatch(mark);
    expect(failed?.attributes["exception.type"]).toBe("RangeError");
    expect(failed && textOf(failed).length).toBeLessThanOrEqual(limit);
    expect(Math.max(...receiver.requests.map(({ body }) => body.length))).toBeLessThan(2 ** 20);
  });

  it("L4 attributes of a line arrive in a useful form, whatever their type", () => {
    expect(record("a line")?.attributes).toMatchObject({
      at: "1970-01-01T00:00:00.000Z",
      url: "https://example.com/",
      map: { a: ["1"] },
      money: { currency: "EUR", amount: "12" },
      floats: [0.5],
      cycle: { id: 1, self: "[Circular]" },
      kept: true,
    });
    const error = record("no quote")?.attributes ?? {};
    expect(error).toMatchObject({ "exception.type": "TypeError", "exception.message": "fetch failed" });
    expect(error["exception.stacktrace"]).toContain("Caused by: Error: connect ECONNREFUSED");
  });

  it("S11 causes are in the status, the exception event and the log, and an orchestration's error.type is its root cause's", () => {
    const [orchestration] = spans("orchestration:order", "SERVER");
    expect(orchestration?.status.message).toContain("connect ECONNREFUSED");
    expect(orchestration?.attributes["error.type"]).toBe("ConnectionError");
    const [server] = spans("activity:fetches", "SERVER");
    expect(server?.status.message).toBe("fetch failed; caused by ConnectionError: connect ECONNREFUSED");
    expect(server?.attributes["error.type"]).toBe("TypeError");
    const [exception] = server?.events.filter(({ name }) => name === "exception") ?? [];
    expect(JSON.stringify(exception?.attributes)).toContain("connect ECONNREFUSED");
    const failed = receiver.logs.find(({ eventName }) => eventName === "durabletask.orchestration.finished");
    expect(failed?.attributes["error.type"]).toBe("ConnectionError");
    expect(failed && textOf(failed)).toContain("connect ECONNREFUSED");
  });
});

describe("K4 a queue", () => {
  it.each(["traces", "logs"] as const)(
    "of %s is bounded in bytes too: of 900 large ones it keeps 32 MiB, what matters most among them, and counts the rest",
    async (signal) => {
      await using receiver = await startReceiver();
      // A busy machine takes its time to send 32 MiB.
      const env = {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT: "60000",
        OTEL_EXPORTER_OTLP_TIMEOUT: "60000",
      };
      const { stderr } = await runProgram("burst", { env, input: { signal, spans: 900, isLarge: true } });
      const arrived = receiver.spans.length + receiver.logs.length;
      const [, dropped] =
        /^durable-telemetry: dropped (\d+) (?:spans|log records): more than maxQueueSize \(32768\), or 32 MiB, waited for the collector\n$/.exec(
          stderr,
        ) ?? [];
      expect(arrived + Number(dropped)).toBe(901);
      // Two values of 32 KiB each.
      expect(arrived).toBeGreaterThan(400);
      expect(arrived).toBeLessThan(600);
      expect([...receiver.spans.map(({ name }) => name), ...receiver.logs.map(({ body }) => body)]).toContain(
        signal === "traces" ? "parent" : "history event",
      );
    },
  );
});

it.each([
  ["http/protobuf", "hunter2hunter2"],
  ["http/json", "hunter2 hunter2"],
  ["grpc", "hunter2 hunter2"],
])("An endpoint that is no URL is not shown, as it may be a key: over %s, %j", async (protocol, endpoint) => {
  const { stdout, stderr } = await runProgram("emit-signals", {
    env: { OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
    input: { options: { shutdownTimeout: 200 } },
  });
  expect(stderr).toContain('OTEL_EXPORTER_OTLP_ENDPOINT="[redacted]" is ignored');
  expect(stdout + stderr).not.toContain("hunter2");
});
