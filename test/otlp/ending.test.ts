import { createServer } from "node:http";
import { trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Deadline } from "../../src/ending/deadline.ts";
import { flushAtSignals } from "../../src/ending/process-end.ts";

describe("K3 Deadline: all waits take its time altogether", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const never = (): Promise<void> => new Promise(() => {});
  const soon = async (): Promise<void> => {};

  /** How long an export that may take an hour gets, in milliseconds. */
  async function timeOf(deadline: Deadline): Promise<number> {
    const start = performance.now();
    const run = deadline.run(3_600_000, async (signal) => {
      const { promise, resolve } = Promise.withResolvers<number>();
      signal.addEventListener("abort", () => resolve(performance.now() - start));
      return promise;
    });
    await vi.advanceTimersByTimeAsync(3_600_000);
    return run;
  }

  it("usually an export has its own timeout", async () => {
    expect(await timeOf(new Deadline(1000))).toBe(3_600_000);
  });

  it("what one wait has used up the next one lacks; the last one always has a tenth", async () => {
    const deadline = new Deadline(1000);
    const waits = Promise.all([deadline.spend(never), deadline.spend(never)]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await waits).toEqual([false, false]);
    const work = vi.fn(soon);
    expect(await deadline.spend(work)).toBe(false);
    expect(work).not.toHaveBeenCalled();
    const last = deadline.spendLast(never);
    await vi.advanceTimersByTimeAsync(100);
    expect(await last).toBe(false);
  });

  it("a wait that starts during another one ends with it", async () => {
    const deadline = new Deadline(1000);
    const ended = vi.fn<() => void>();
    void deadline.spend(never).then(ended);
    await vi.advanceTimersByTimeAsync(600);
    void deadline.spend(never).then(ended);
    await vi.advanceTimersByTimeAsync(399);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledTimes(2);
  });

  it("a wait leaves a tenth of the time to say why an export failed, and shortens the exports under way", async () => {
    const deadline = new Deadline(1000);
    const aborted = vi.fn<() => void>();
    void deadline.run(
      60_000,
      (signal) => new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(aborted()))),
    );
    void deadline.spend(never);
    await vi.advanceTimersByTimeAsync(899);
    expect(aborted).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(aborted).toHaveBeenCalledTimes(1);
  });

  it("what is exported after a wait holds the process too: it has what is left", async () => {
    const deadline = new Deadline(1000);
    void deadline.spend(() => new Promise((resolve) => void setTimeout(resolve, 600)));
    await vi.advanceTimersByTimeAsync(600);
    const start = performance.now();
    const run = deadline.run(
      60_000,
      (signal) =>
        new Promise<number>((resolve) => signal.addEventListener("abort", () => resolve(performance.now() - start))),
    );
    await vi.advanceTimersByTimeAsync(1000);
    expect(await run).toBe(360);
  });

  it("waits that are short leave the rest to the next ones", async () => {
    const deadline = new Deadline(1000);
    for (let stop = 0; stop < 20; stop += 1) expect(await deadline.spend(soon)).toBe(true);
  });

  it("a minute after the last wait the process goes on, and the time is there again", async () => {
    const deadline = new Deadline(1000);
    const first = deadline.spend(never);
    await vi.advanceTimersByTimeAsync(1000);
    await first;
    await vi.advanceTimersByTimeAsync(59_999);
    expect(await deadline.spend(soon)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await deadline.spend(soon)).toBe(true);
  });

  it("for the last time, an export that starts late has only what is left; no timer is ever negative", async () => {
    const setTimer = vi.spyOn(globalThis, "setTimeout");
    const deadline = new Deadline(1000);
    const wait = deadline.spendLast(never);
    await vi.advanceTimersByTimeAsync(5000);
    await wait;
    expect(await timeOf(deadline)).toBe(0);
    expect(setTimer.mock.calls.map(([, delay]) => delay)).toSatisfy((delays: number[]) =>
      delays.every((delay) => delay >= 0 && delay < 2 ** 31),
    );
    setTimer.mockRestore();
  });

  it("a pause before the next attempt ends when the time that there is changes", async () => {
    const deadline = new Deadline(1000);
    const paused = vi.fn<() => void>();
    void deadline.pause(60_000, new AbortController().signal).then(paused);
    await vi.advanceTimersByTimeAsync(10);
    expect(paused).not.toHaveBeenCalled();
    void deadline.spendLast(soon);
    await vi.advanceTimersByTimeAsync(0);
    expect(paused).toHaveBeenCalledTimes(1);
  });
});

describe("K3 flushAtSignals", () => {
  // No signal that a test runner listens to.
  const signal = "SIGWINCH";
  const ending = () => ({ timeout: 1000, flush: vi.fn(async () => {}), shutdown: vi.fn(async () => {}) });

  it("takes a listener of the program into account that was there before and listens once", () => {
    const [theirs, ours] = [vi.fn<() => void>(), ending()];
    process.once(signal, theirs);
    const takeBack = flushAtSignals([signal], ours);
    process.emit(signal, signal);
    takeBack();
    expect(ours.flush).toHaveBeenCalledTimes(1);
    expect(ours.shutdown).not.toHaveBeenCalled();
    expect(theirs).toHaveBeenCalledTimes(1);
    expect(process.listenerCount(signal)).toBe(0);
  });

  it("leaves telemetry on in process 1 of a container, which no signal ends that nobody listens to", () => {
    const ours = ending();
    const kill = vi.spyOn(process, "kill").mockReturnValue(true);
    const pid = vi.spyOn(process, "pid", "get").mockReturnValue(1);
    const takeBack = flushAtSignals([signal], ours);
    process.emit(signal, signal);
    takeBack();
    pid.mockRestore();
    kill.mockRestore();
    expect(ours.flush).toHaveBeenCalledTimes(1);
    expect(ours.shutdown).not.toHaveBeenCalled();
  });

  it("does nothing once it is taken back", () => {
    const takeBack = flushAtSignals([signal], ending());
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
