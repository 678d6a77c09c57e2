import { hasSubscribers } from "node:diagnostics_channel";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { ContainedExporter } from "../../src/otlp/contained-exporter.ts";

type Done = (result: ExportResult) => void;

/** An exporter that ends an export when the test says so. */
function createExporter() {
  const exports: { readonly items: string; readonly done: Done }[] = [];
  return {
    exports,
    export: (items: string, done: Done): void => void exports.push({ items, done }),
    forceFlush: vi.fn<() => Promise<void>>(async () => {}),
    shutdown: vi.fn<() => Promise<void>>(async () => {}),
  };
}

function contain() {
  const [usual, last] = [createExporter(), createExporter()];
  const onFailure = vi.fn<(error: unknown) => void>();
  const contained = new ContainedExporter<string>({ usual: { exporter: usual, timeout: 1000 }, last: { exporter: last, timeout: 100 }, onFailure });
  onTestFinished(() => contained.abandon());
  return { usual, last, onFailure, contained };
}

const success = { code: ExportResultCode.SUCCESS };
const timedOut = expect.objectContaining({ message: "Request timed out" });

describe("K1 ContainedExporter", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("ends an export that hangs when its time is over, once, as a success for the processor", async () => {
    const { usual, onFailure, contained } = contain();
    const done = vi.fn<Done>();
    contained.export("spans", done);
    await vi.advanceTimersByTimeAsync(2000);
    usual.exports[0]?.done({ code: ExportResultCode.FAILED, error: new Error("late") });
    expect(done.mock.calls).toEqual([[success]]);
    expect(onFailure.mock.calls).toEqual([[timedOut]]);
  });

  it("leaves the cause to an exporter that gives up in time itself, and no timer behind", async () => {
    const { usual, onFailure, contained } = contain();
    const done = vi.fn<Done>();
    const error = new Error("its own cause");
    contained.export("spans", done);
    await vi.advanceTimersByTimeAsync(1000);
    usual.exports[0]?.done({ code: ExportResultCode.FAILED, error });
    expect(done.mock.calls).toEqual([[success]]);
    expect(onFailure.mock.calls).toEqual([[error]]);
    contained.hurry(50);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not hold the process", () => {
    const setTimer = vi.spyOn(globalThis, "setTimeout");
    contain().contained.export("spans", vi.fn<Done>());
    const [timer] = setTimer.mock.results;
    setTimer.mockRestore();
    expect(timer?.value.hasRef()).toBe(false);
  });

  it("reports an exporter that throws", () => {
    const { usual, onFailure, contained } = contain();
    const done = vi.fn<Done>();
    vi.spyOn(usual, "export").mockImplementation(() => {
      throw new Error("broken exporter");
    });
    contained.export("spans", done);
    expect(done.mock.calls).toEqual([[success]]);
    expect(onFailure.mock.calls).toEqual([[expect.objectContaining({ message: "broken exporter" })]]);
  });

  it("hurry shortens the exports under way and sends the next ones through the last exporter, until relax", async () => {
    const { usual, last, onFailure, contained } = contain();
    contained.export("under way", vi.fn<Done>());
    contained.hurry(20);
    contained.export("next", vi.fn<Done>());
    await vi.advanceTimersByTimeAsync(22);
    expect(onFailure.mock.calls).toEqual([[timedOut], [timedOut]]);
    contained.hurry(5000);
    contained.export("no longer than the last exporter", vi.fn<Done>());
    await vi.advanceTimersByTimeAsync(106);
    expect(onFailure).toHaveBeenCalledTimes(3);
    contained.relax();
    contained.export("as usual", vi.fn<Done>());
    expect([usual, last].map(({ exports }) => exports.map(({ items }) => items))).toEqual([
      ["under way", "as usual"],
      ["next", "no longer than the last exporter"],
    ]);
    usual.exports[1]?.done(success);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("for the last time, an export that starts late has only what is left of the time", async () => {
    const { onFailure, contained } = contain();
    contained.hurryLast(100);
    await vi.advanceTimersByTimeAsync(80);
    contained.export("late", vi.fn<Done>());
    await vi.advanceTimersByTimeAsync(21);
    expect(onFailure.mock.calls).toEqual([[timedOut]]);
  });

  it("says nothing of exports that end because it was abandoned", () => {
    const { usual, onFailure, contained } = contain();
    const done = vi.fn<Done>();
    contained.export("spans", done);
    contained.abandon();
    usual.exports[0]?.done({ code: ExportResultCode.FAILED, error: new Error("telemetry was shut down") });
    expect(done.mock.calls).toEqual([[success]]);
    expect(onFailure).not.toHaveBeenCalled();
  });

  it("forceFlush and shutdown reach both exporters", async () => {
    const { usual, last, contained } = contain();
    await contained.forceFlush();
    await contained.shutdown();
    for (const { forceFlush, shutdown } of [usual, last]) {
      expect(forceFlush).toHaveBeenCalledTimes(1);
      expect(shutdown).toHaveBeenCalledTimes(1);
    }
  });

  it("abandon leaves no listener behind, once what was under way has ended", async () => {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const { last, contained } = contain();
    last.forceFlush.mockReturnValue(ended);
    contained.abandon();
    expect(hasSubscribers("http.client.request.created")).toBe(true);
    resolve();
    await vi.waitFor(() => expect(hasSubscribers("http.client.request.created")).toBe(false));
  });
});
