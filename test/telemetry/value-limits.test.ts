import { diag, DiagLogLevel } from "@opentelemetry/api";
import { afterEach, describe, expect, test, vi } from "vitest";
import { cut, defaultValueLimit, readValueLimit, type ValueLimit } from "../../src/telemetry/value-limits.ts";

afterEach(() => diag.disable());

const characters = (size: number): ValueLimit => ({ size, unit: "characters" });
const bytes = (size: number): ValueLimit => ({ size, unit: "bytes" });

describe("cutting at a limit (telemetry.md K4)", () => {
  test("a string within the limit stays the same, in ASCII and beyond", () => {
    const ascii = "x".repeat(32 * 1024);
    const threeBytes = "本".repeat(10_922);
    expect(cut(ascii, defaultValueLimit)).toBe(ascii);
    expect(cut(threeBytes, defaultValueLimit)).toBe(threeBytes);
    expect(cut("本".repeat(100), characters(100))).toBe("本".repeat(100));
    expect(cut("", bytes(1))).toBe("");
  });

  test("a longer one is cut at 32 KiB by default, with a mark that says how much is missing", () => {
    const kept = cut("x".repeat(1_500_000), defaultValueLimit);
    expect(Buffer.byteLength(kept)).toBe(32 * 1024);
    const missing = Number(/^x+\.\.\. \[(\d+) characters cut\]$/.exec(kept)?.[1]);
    expect(missing + kept.indexOf(".")).toBe(1_500_000);
  });

  test.each([
    ["one byte over, in three-byte characters", `${"本".repeat(10_922)}xyz`],
    ["emoji", "👩‍🚀".repeat(50_000)],
    ["lone surrogates", "\ud800".repeat(50_000)],
  ])("no limit in bytes is exceeded by %s", (_, value) => {
    for (const size of [32 * 1024, 100, 101, 102, 103, 40]) {
      const kept = cut(value, bytes(size));
      expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(size);
      expect(Buffer.byteLength(kept)).toBeGreaterThan(size - 8);
    }
  });

  test("a surrogate pair is never split, wherever the limit falls", () => {
    for (const unit of ["bytes", "characters"] as const) {
      for (let size = 1; size < 60; size += 1) {
        const kept = cut("😀".repeat(100), { size, unit });
        expect(kept.isWellFormed()).toBe(true);
        expect(kept).toMatch(/^(😀)*(\.\.\. \[\d+ characters cut\])?$/u);
        expect(unit === "bytes" ? Buffer.byteLength(kept) : kept.length).toBeLessThanOrEqual(size);
      }
    }
  });

  test("a limit that leaves no room for the mark leaves the beginning alone", () => {
    expect(cut("abcdefghij", characters(4))).toBe("abcd");
    expect(cut("abcdefghij", bytes(4))).toBe("abcd");
  });
});

describe("the limits of the environment", () => {
  test("without any, both signals have the default", () => {
    expect(readValueLimit("span", {})).toEqual({ size: 32_768, unit: "bytes" });
    expect(readValueLimit("log", { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: " " })).toEqual({ size: 32_768, unit: "bytes" });
  });

  test("the signal's own variable wins over the common one; both count characters", () => {
    const environment = { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "100", OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "50000" };
    expect(readValueLimit("span", environment)).toEqual(characters(50_000));
    expect(readValueLimit("log", environment)).toEqual(characters(100));
    expect(readValueLimit("log", { ...environment, OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT: "7" })).toEqual(
      characters(7),
    );
  });

  test.each(["0", "-1", "many", "NaN"])("%s is ignored, and reported", (value) => {
    const warn = vi.fn<(message: string) => void>();
    const none = (): void => undefined;
    diag.setLogger(
      { warn, error: none, info: none, debug: none, verbose: none },
      { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true },
    );
    const environment = { OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: value, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "9" };
    expect(readValueLimit("span", environment)).toEqual(characters(9));
    expect(warn).toHaveBeenCalledWith(
      "durable-telemetry: OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT is ignored: it must be a positive number.",
    );
  });
});
