import { createServer } from "node:http";
import { trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { atSignal } from "../../src/otlp/at-signal.ts";
import { Ending } from "../../src/otlp/ending.ts";
import { FailureReport } from "../../src/otlp/failure-report.ts";
import { createSignalExport } from "../../src/otlp/signal-export.ts";

describe("K3 Ending: all waits take its time altogether", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const never = new Promise<void>(() => {});
  const telemetry = (flushed: Promise<void>) => ({
    forceFlush: vi.fn(() => flushed),
    shutdown: vi.fn<(timeout: number) => Promise<void>>(async () => {}),
    hurry: vi.fn<(timeout: number) => void>(),
    relax: vi.fn<() => void>(),
  });

  it("what one has used up the next one lacks; shutdown always has a tenth", async () => {
    const hung = telemetry(never);
    const ending = new Ending(hung, 1000);
    const both = Promise.all([ending.deliver(), ending.deliver()]);
    await vi.advanceTimersByTimeAsync(1000);
    await both;
    // What is exported from now on holds the process too.
    expect(hung.hurry).toHaveBeenLastCalledWith(100);
    await ending.deliver();
    expect(hung.forceFlush).toHaveBeenCalledTimes(2);
    await ending.shutdown();
    expect(hung.shutdown).toHaveBeenCalledWith(100);
    expect(hung.hurry).toHaveBeenLastCalledWith(100);
  });

  it("a wait that starts during another one ends with it", async () => {
    const hung = telemetry(never);
    const ending = new Ending(hung, 1000);
    const ended = vi.fn<() => void>();
    void ending.deliver().then(ended);
    await vi.advanceTimersByTimeAsync(600);
    void ending.deliver().then(ended);
    expect(hung.hurry).toHaveBeenLastCalledWith(400);
    await vi.advanceTimersByTimeAsync(399);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledTimes(2);
  });

  it("waits at the same time cost as much as the longest of them", async () => {
    const slow = telemetry(Promise.resolve());
    for (const time of [300, 600]) slow.forceFlush.mockReturnValueOnce(new Promise((resolve) => void setTimeout(resolve, time)));
    const ending = new Ending(slow, 1000);
    const both = Promise.all([ending.deliver(), ending.deliver()]);
    await vi.advanceTimersByTimeAsync(600);
    await both;
    await ending.shutdown();
    expect(slow.shutdown).toHaveBeenCalledWith(400);
  });

  it("waits that are short leave the rest to the next ones", async () => {
    const healthy = telemetry(Promise.resolve());
    const ending = new Ending(healthy, 1000);
    for (let stop = 0; stop < 20; stop += 1) await ending.deliver();
    expect(healthy.forceFlush).toHaveBeenCalledTimes(20);
    await ending.shutdown();
    expect(healthy.shutdown).toHaveBeenCalledWith(1000);
  });

  it("a wait before the minute is over puts that off", async () => {
    const healthy = telemetry(Promise.resolve());
    const ending = new Ending(healthy, 1000);
    await Promise.all([ending.deliver(), ending.deliver()]);
    await vi.advanceTimersByTimeAsync(59_000);
    await ending.deliver();
    await vi.advanceTimersByTimeAsync(59_999);
    expect(healthy.relax).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(healthy.relax).toHaveBeenCalledTimes(1);
  });

  it("after a minute without a wait the process goes on, and the time is there again", async () => {
    const hung = telemetry(never);
    const ending = new Ending(hung, 1000);
    const first = ending.deliver();
    await vi.advanceTimersByTimeAsync(1000);
    await first;
    await vi.advanceTimersByTimeAsync(59_999);
    expect(hung.relax).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(hung.relax).toHaveBeenCalledTimes(1);
    await ending.shutdown();
    expect(hung.shutdown).toHaveBeenCalledWith(1000);
  });
});

describe("K3 SignalExport", () => {
  const create = (flush: () => Promise<void>) => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    onTestFinished(() => warn.mockRestore());
    const exporter = { hurry: vi.fn(), hurryLast: vi.fn(), relax: vi.fn(), abandon: vi.fn() };
    const report = new FailureReport("spans");
    return { exporter, report, warn, way: createSignalExport({ report, exporter, flushes: [flush] }) };
  };
  const never = new Promise<void>(() => {});

  it("leaves a tenth of the time to tell why an export failed", async () => {
    const { exporter, way } = create(async () => {});
    way.hurry(1000);
    expect(exporter.hurry).toHaveBeenCalledWith(900);
    way.relax();
    expect(exporter.relax).toHaveBeenCalledTimes(1);
    await way.flushLast(500);
    expect(exporter.hurryLast).toHaveBeenCalledWith(450);
  });

  it("delivers the rest where one flush throws", async () => {
    const { way } = create(() => {
      throw new Error("broken");
    });
    await way.forceFlush();
    await way.flushLast(500);
  });

  it("says what is lost when the time is over, unless a failure in that time says more", () => {
    const { exporter, report, warn, way } = create(() => never);
    report.exportFailed("there", new Error("before"));
    for (const failure of [new TypeError("meanwhile"), undefined]) {
      warn.mockClear();
      void way.flushLast(500);
      if (failure !== undefined) report.exportFailed("there", failure);
      way.endShutdown();
      expect(warn.mock.calls).toEqual([
        [expect.stringContaining(failure === undefined ? "stopped waiting after 500 ms; spans that were not delivered by then are lost" : "(meanwhile)")],
      ]);
    }
    expect(exporter.abandon).toHaveBeenCalledTimes(2);
  });
});

describe("K3 atSignal", () => {
  // No signal that a test runner listens to.
  const signal = "SIGWINCH";
  const ending = () => ({ deliver: vi.fn(async () => {}), shutdown: vi.fn(async () => {}) });

  it("takes a listener of the program into account that was there before and listens once", () => {
    const [theirs, ours] = [vi.fn<() => void>(), ending()];
    process.once(signal, theirs);
    atSignal(signal, ours);
    process.emit(signal, signal);
    expect(ours.deliver).toHaveBeenCalledTimes(1);
    expect(ours.shutdown).not.toHaveBeenCalled();
    expect(theirs).toHaveBeenCalledTimes(1);
    expect(process.listenerCount(signal)).toBe(0);
  });

  it("does nothing once it is taken back", () => {
    const ours = ending();
    const takeBack = atSignal(signal, ours);
    expect(process.listenerCount(signal)).toBe(1);
    takeBack();
    expect(process.listenerCount(signal)).toBe(0);
  });
});

describe("K3 at shutdown", () => {
  it("an export that waits for its next attempt is sent all the same", async () => {
    const statuses: number[] = [];
    const { promise: refused, resolve } = Promise.withResolvers<void>();
    const server = createServer((request, response) => {
      const status = statuses.length === 0 ? 503 : 200;
      statuses.push(status);
      request.resume().on("end", () => response.writeHead(status).end("{}", resolve));
    });
    const { promise: listening, resolve: onListening } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", onListening);
    await listening;
    const address = server.address();
    const endpoint = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    const telemetry = setupOtlp({ endpoint, metrics: false, logs: false, shutdownTimeout: 10_000 });
    trace.getTracer("test").startSpan("span").end();
    void telemetry.forceFlush();
    await refused;
    await telemetry.shutdown();
    server.close();
    expect(statuses).toEqual([503, 200]);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });
});
