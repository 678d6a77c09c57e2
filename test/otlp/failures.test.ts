import { diag, logs, metrics, propagation, trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { describe, expect, it, vi } from "vitest";
import { LossReport } from "../../src/otlp/diagnostics.ts";
import { deadCollector, startHungCollector, startRefusingCollector } from "./collectors.ts";
import { runProgram, startProgram } from "./program.ts";
import { startReceiver } from "./receiver.ts";

const oneLine = (url: string, cause: string, items = "2 spans"): string =>
  `durable-telemetry: cannot export ${items} to ${url}/v1/traces (${cause}); workflows go on without it\n`;
const unconfirmed = (url: string, items = "2 spans"): string =>
  `durable-telemetry: cannot confirm that ${items} reached ${url}/v1/traces (Request timed out); workflows go on without it\n`;

interface Times {
  /** Milliseconds that `shutdown()` took. */
  readonly shutdown: number;
  /** Milliseconds from then to the end of the process. */
  readonly exit: number;
}

describe("K1 a collector in trouble", () => {
  it("a dead collector costs one line, and shutdown ends in time", async () => {
    const endpoint = deadCollector;
    const { stderr, stdout } = await runProgram("in-flight", {
      input: { options: { endpoint, shutdownTimeout: 1000 } },
    });
    const times: Times = JSON.parse(stdout);
    expect(stderr).toBe(oneLine(endpoint, "ECONNREFUSED"));
    expect(times.shutdown).toBeLessThan(3000);
    expect(times.exit).toBeLessThan(2000);
  });

  it("a hung collector costs one line, and shutdown ends in time", async () => {
    await using collector = await startHungCollector();
    const { stderr, stdout } = await runProgram("in-flight", {
      input: { options: { endpoint: collector.url, shutdownTimeout: 500 } },
    });
    const times: Times = JSON.parse(stdout);
    expect(stderr).toBe(unconfirmed(collector.url));
    expect(times.shutdown).toBeLessThan(3000);
    expect(times.exit).toBeLessThan(2000);
  });

  it("an export that hung before shutdown began does not hold the process", async () => {
    await using collector = await startHungCollector();
    await using program = startProgram("in-flight", {
      env: { OTEL_BSP_SCHEDULE_DELAY: "1", OTEL_EXPORTER_OTLP_TIMEOUT: "60000" },
      input: { options: { endpoint: collector.url, shutdownTimeout: 500 } },
    });
    await collector.connected;
    program.goOn();
    const { code, stdout, stderr } = await program.result;
    const times: Times = JSON.parse(stdout);
    expect(code).toBe(0);
    // One hung when shutdown began, and one came with it.
    expect(stderr).toBe(unconfirmed(collector.url, "1 span").repeat(2));
    expect(times.shutdown).toBeLessThan(3000);
    expect(times.exit).toBeLessThan(2000);
  });

  it.each([
    [401, "HTTP 401 Unauthorized"],
    [503, "HTTP 503 Service Unavailable"],
  ])("a collector that answers %i costs one line", async (status, cause) => {
    await using collector = await startRefusingCollector(status);
    const { stderr } = await runProgram("in-flight", {
      input: { options: { endpoint: collector.url, shutdownTimeout: 500 } },
    });
    expect(stderr).toBe(oneLine(collector.url, cause));
  });

  it("the line shows no header that a collector repeats", async () => {
    const key = "hunter2";
    await using collector = await startRefusingCollector(401, `bad key ${key}`);
    const options = { endpoint: collector.url, headers: { "x-key": `Bearer ${key}` }, shutdownTimeout: 500 };
    const { stderr } = await runProgram("in-flight", { input: { options } });
    expect(stderr).toBe(oneLine(collector.url, "HTTP 401 Unauthorized"));
  });

  it("the line shows no credentials", async () => {
    const url = new URL(deadCollector);
    const bare = url.origin;
    url.username = "user";
    url.password = "secret";
    url.search = "?key=secret";
    const { stderr } = await runProgram("in-flight", {
      input: { options: { endpoint: url.href, shutdownTimeout: 100 } },
    });
    expect(stderr).toBe(oneLine(bare, "ECONNREFUSED"));
  });

  it.each(["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"])(
    "%s bounds an export, and forceFlush with it; the program's diag logger gets the lines",
    async (name) => {
      await using collector = await startHungCollector();
      const { stdout, stderr } = await runProgram("diag-logger", {
        env: { [name]: "100" },
        input: { options: { endpoint: collector.url, shutdownTimeout: 500 } },
      });
      // The first at once, the others when telemetry ends.
      expect(JSON.parse(stdout)).toEqual(
        ["1 span", "3 spans"].map((items) => unconfirmed(collector.url, items).trim()),
      );
      expect(stderr).toBe("");
    },
  );

  it.each([
    [
      "a refused export",
      "5000",
      startRefusingCollector,
      (url: string) => oneLine(url, "HTTP 400 Bad Request", "1 span"),
    ],
    ["an export that hangs", "200", startHungCollector, (url: string) => unconfirmed(url, "1 span")],
  ])(
    "%s that the span processor started is one line for the diag logger, without a stack",
    async (_what, timeout, start, line) => {
      await using collector = await start(400);
      const { stdout } = await runProgram("diag-logger", {
        env: { OTEL_BSP_SCHEDULE_DELAY: "1", OTEL_EXPORTER_OTLP_TIMEOUT: timeout },
        input: { spans: 1, options: { endpoint: collector.url } },
      });
      expect(JSON.parse(stdout)).toEqual([line(collector.url).trim()]);
    },
  );

  it("a hung collector and a flood of spans and flushes leave memory bounded", async () => {
    await using collector = await startHungCollector();
    const { stdout } = await runProgram("flood", {
      env: { OTEL_BSP_MAX_QUEUE_SIZE: "100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "100" },
      input: { spans: 100_000, options: { endpoint: collector.url } },
      nodeArgs: ["--expose-gc"],
    });
    // The spans of the flood hold more than 100 MB; 30 requests of 100 spans and the queue hold a few.
    expect(JSON.parse(stdout).grownBy).toBeLessThan(30_000_000);
  });

  it("a set-up that fails throws, says nothing else, and leaves nothing of it", () => {
    const console = vi.spyOn(globalThis.console, "warn").mockReturnValue(undefined);
    const register = vi.spyOn(logs, "setGlobalLoggerProvider").mockImplementation(() => {
      throw new Error("broken registration");
    });
    expect(() => setupOtlp({ logLevel: "error" })).toThrow("broken registration");
    register.mockRestore();
    // `diag` would log a replacement if another logger were still set.
    const theirs = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn(), verbose: vi.fn() };
    diag.setLogger(theirs);
    diag.disable();
    expect(theirs.warn).not.toHaveBeenCalled();
    const lines = console.mock.calls;
    console.mockRestore();
    expect(lines).toEqual([]);
    expect(trace.getTracer("test").startSpan("span").isRecording()).toBe(false);
    expect("forceFlush" in metrics.getMeterProvider()).toBe(false);
    expect(propagation.fields()).toEqual([]);
  });

  it("a callback of a metric that never settles does not keep shutdown from ending, nor the spans from being exported; one line reports it", async () => {
    await using receiver = await startReceiver();
    const console = vi.spyOn(globalThis.console, "warn").mockReturnValue(undefined);
    const telemetry = setupOtlp({ endpoint: receiver.url, shutdownTimeout: 1000 });
    metrics
      .getMeter("test")
      .createObservableGauge("hung")
      .addCallback(() => new Promise(() => {}));
    trace.getTracer("test").startSpan("span").end();
    await telemetry.shutdown();
    const lines = console.mock.calls;
    console.mockRestore();
    await receiver.waitFor((spans) => spans.length === 1);
    expect(lines).toEqual([["durable-telemetry: not all metrics can be collected (a callback did not end in time)"]]);
  });
});

describe("a program that ends without a shutdown", () => {
  it("is not held by timers of the exporter", async () => {
    // The batch would wait for an hour.
    const { stderr } = await runProgram("wait-for-export", {
      env: { OTEL_BSP_SCHEDULE_DELAY: "3600000" },
      input: { options: { endpoint: deadCollector } },
    });
    expect(stderr).toBe("");
  });

  it("OTEL_BSP_SCHEDULE_DELAY: its spans are exported after that time", async () => {
    await using receiver = await startReceiver();
    await using program = startProgram("wait-for-export", {
      env: { OTEL_BSP_SCHEDULE_DELAY: "1" },
      input: { spans: 3, options: { endpoint: receiver.url } },
    });
    await receiver.waitFor((spans) => spans.length === 3);
    program.goOn();
    expect(await program.result).toMatchObject({ code: 0 });
  });
});

describe("LossReport", () => {
  it("K5 reports each cause once a minute, with the number of all that was lost to it", async () => {
    vi.useFakeTimers();
    const console = vi.spyOn(globalThis.console, "warn").mockReturnValue(undefined);
    const report = new LossReport();
    const lose = (cause: string, count: number): void =>
      report.lost(cause, count, (lost) => `${lost} lost to ${cause}`);
    const lines = (): readonly unknown[] =>
      console.mock.calls
        .splice(0)
        .flat()
        .map((line) => String(line).replace("durable-telemetry: ", ""));
    lose("a", 1);
    lose("a", 2);
    lose("b", 5);
    expect(lines()).toEqual(["1 lost to a", "5 lost to b"]);
    await vi.advanceTimersByTimeAsync(59_999);
    lose("a", 4);
    expect(lines()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(lines()).toEqual(["6 lost to a"]);
    lose("a", 7);
    report.flush();
    expect(lines()).toEqual(["7 lost to a"]);
    report.flush();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(lines()).toEqual([]);
    // Nothing is lost, but something is wrong.
    for (let i = 0; i < 3; i += 1) report.failed("c", "c failed");
    expect(lines()).toEqual(["c failed"]);
    vi.useRealTimers();
    console.mockRestore();
  });

  it("K4 keeps a bounded number of causes", () => {
    const console = vi.spyOn(globalThis.console, "warn").mockReturnValue(undefined);
    const report = new LossReport();
    for (let i = 0; i < 1000; i += 1) report.lost(`cause ${i}`, 1, (lost) => `${lost} lost to cause ${i}`);
    report.flush();
    const lines = console.mock.calls.flat().map(String);
    console.mockRestore();
    expect(lines.length).toBeLessThan(110);
    // All are counted.
    expect(lines.reduce((sum, line) => sum + Number(/(\d+) lost/.exec(line)?.[1]), 0)).toBe(1000);
  });
});
