import { createServer } from "node:http";
import { trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Ending } from "../../src/otlp/ending.ts";

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
    await ending.deliver();
    expect(hung.forceFlush).toHaveBeenCalledTimes(2);
    await ending.shutdown();
    expect(hung.shutdown).toHaveBeenCalledWith(100);
    expect(hung.hurry).toHaveBeenLastCalledWith(100);
  });

  it("waits that are short leave the rest to the next ones", async () => {
    const healthy = telemetry(Promise.resolve());
    const ending = new Ending(healthy, 1000);
    for (let stop = 0; stop < 20; stop += 1) await ending.deliver();
    expect(healthy.forceFlush).toHaveBeenCalledTimes(20);
    await ending.shutdown();
    expect(healthy.shutdown).toHaveBeenCalledWith(1000);
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
