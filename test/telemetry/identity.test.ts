import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  activitySpanId,
  bitsOf,
  continuedIds,
  episodeSpanId,
  executionIds,
  taskSpanId,
} from "../../src/telemetry/identity.ts";

const spanIds = fc.stringMatching(/^[0-9a-f]{16}$/);
const taskIds = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

// Every process must derive the same IDs, those of other versions included: work in progress outlives an upgrade.
describe("I2 The IDs that follow from others are the same in every process", () => {
  it("as golden values", () => {
    const execution = { instanceId: "order-7", execution: "0123456789abcdef0123456789abcdef" };
    expect([executionIds(execution), continuedIds(execution)]).toMatchInlineSnapshot(`
      [
        {
          "spanId": "26e90163225e8c2e",
          "traceId": "cfa1ace270a11b47415c2d0b992a2b2d",
          "unsampledSpanId": "8e1dace6c3c93ddc",
        },
        {
          "spanId": "fa39e96d33231157",
          "traceId": "78c0812986e74814648a53a643f04429",
          "unsampledSpanId": "1b46a93ffaeff37c",
        },
      ]
    `);
    expect([0, 1, 2 ** 31 - 1, -1].map((id) => taskSpanId(bitsOf("00f067aa0ba902b7"), id))).toMatchInlineSnapshot(`
      [
        "9f27e1638af37ecc",
        "db96d4d6898876f6",
        "e2036a058c5e86a2",
        "62b8edf08c5e86a2",
      ]
    `);
    expect([0, 1, 100_000].map((events) => episodeSpanId(bitsOf("00f067aa0ba902b7"), events))).toMatchInlineSnapshot(`
      [
        "3d5f5b1d0a3dfae1",
        "79ce4e9008d2f30b",
        "0998b2d319691121",
      ]
    `);
    expect(["00f067aa0ba902b7", "0000000000000001", "ffffffffffffffff"].map(activitySpanId)).toMatchInlineSnapshot(`
      [
        "0c4753ed6638a501",
        "aeef9f4af9f0f69a",
        "b737d227f1da0fbf",
      ]
    `);
  });

  it("a task's is so many steps of 2^64 divided by the golden ratio from the orchestration's", () => {
    const byBigInt = (spanId: string, steps: bigint): string =>
      BigInt.asUintN(64, BigInt(`0x${spanId}`) + steps * 0x9e3779b97f4a7c15n)
        .toString(16)
        .padStart(16, "0");
    fc.assert(
      fc.property(spanIds, taskIds, fc.nat(2 ** 30), (spanId, taskId, events) => {
        expect(taskSpanId(bitsOf(spanId), taskId)).toBe(byBigInt(spanId, 2n * BigInt(taskId) + 1n));
        expect(episodeSpanId(bitsOf(spanId), events)).toBe(byBigInt(spanId, 2n * BigInt(events) + 2n));
      }),
      { numRuns: 1000 },
    );
  });

  it("an activity's differs from its client's, and from those of other activities", () => {
    fc.assert(
      fc.property(spanIds, taskIds, taskIds, (spanId, one, other) => {
        const [first, second] = [one, other].map((id) => taskSpanId(bitsOf(spanId), id)) as [string, string];
        expect(activitySpanId(first)).toMatch(/^[0-9a-f]{16}$/);
        expect(activitySpanId(first)).not.toBe(first);
        expect(activitySpanId(first) === activitySpanId(second)).toBe(one === other);
      }),
      { numRuns: 1000 },
    );
  });
});
