import { describe, expect, it } from "vitest";
import { formatDuration } from "../../src/testing/waterfall/duration.ts";

const microsecond = 1_000n;
const millisecond = 1_000_000n;
const second = 1_000_000_000n;
const minute = 60n * second;
const hour = 60n * minute;

describe("formatDuration", () => {
  it.each([
    [0n, "0"],
    [1n, "0.00 µs"],
    [870n, "0.87 µs"],
    [312n * microsecond, "312 µs"],
    [4_210n * microsecond, "4.21 ms"],
    [31_240n * microsecond, "31.2 ms"],
    [312n * millisecond, "312 ms"],
    [3_420n * millisecond, "3.42 s"],
    [59_900n * millisecond, "59.9 s"],
    [125n * second, "2 m 05 s"],
    [3n * hour + 7n * minute + 29n * second, "3 h 07 m"],
    [51n * hour, "2 d 03 h"],
  ])("writes %i ns as %s", (nanoseconds, text) => {
    expect(formatDuration(nanoseconds)).toBe(text);
  });

  it.each([
    [999_600n, "1.00 ms"],
    [999_700n * microsecond, "1.00 s"],
    [9_996n * microsecond, "10.0 ms"],
    [59_990n * millisecond, "1 m 00 s"],
    [59n * minute + 59_800n * millisecond, "1 h 00 m"],
    [23n * hour + 59n * minute + 40n * second, "1 d 00 h"],
  ])("carries into the next unit what rounding makes a whole one: %i ns is %s", (nanoseconds, text) => {
    expect(formatDuration(nanoseconds)).toBe(text);
  });

  it("keeps the sign of a negative duration", () => {
    expect(formatDuration(-4_210n * microsecond)).toBe("-4.21 ms");
  });
});
