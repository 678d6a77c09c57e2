import { diag, DiagLogLevel } from "@opentelemetry/api";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { runInWorkItem, type Episode } from "../../src/pipeline/index.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
import { defaultValueLimit } from "../../src/telemetry/value-limits.ts";

const line = (times: string): string =>
  `durable-telemetry: a string was cut at 32768 bytes; OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT sets that limit${times}.`;

describe("K5 a string that is cut", () => {
  it("is logged at once, through diag and the worker's logger, and once a minute with the number of such strings", () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    const none = (): void => undefined;
    const logged: string[] = [];
    diag.setLogger(
      { error: (text) => void logged.push(text), warn: none, info: none, debug: none, verbose: none },
      { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
    );
    onTestFinished(() => {
      vi.useRealTimers();
      diag.disable();
    });
    const warn = vi.fn<(message: string) => void>();
    const item = { logger: { warn } } as unknown as Episode;
    runInWorkItem(item, () => {
      for (let times = 0; times < 5; times += 1)
        expect(recordedString("x".repeat(40_000), defaultValueLimit)).toMatch(/^x+\.\.\. \[\d+ characters cut\]$/);
      expect(recordedString("short", defaultValueLimit)).toBe("short");
    });
    expect([logged, warn.mock.calls]).toEqual([[line("")], [[line("")]]]);
    vi.advanceTimersByTime(60_000);
    expect(logged.slice(1)).toEqual([line(" (4 more within a minute)")]);
    vi.advanceTimersByTime(60_000);
    expect(logged).toHaveLength(2);
  });
});
