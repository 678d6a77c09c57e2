import { describe, expect, it } from "vitest";
import { alternate, beyond, paired, ratio, type Variant } from "../../bench/alternate.ts";
import { spread } from "../../bench/spread.ts";
import { rowOf, textOf } from "../../bench/table.ts";

const target = { name: "a step", unit: "x", before: "x2", atMost: 1.5 } as const;

describe("The benchmark", () => {
  it("finds the ratio of two variants on a machine whose speed drifts", async () => {
    // Each measurement is 1 % slower than the one before.
    let slowness = 1;
    const taking = (microseconds: number): Variant => ({
      cpuTime: async (count) => microseconds * count * (slowness *= 1.01),
    });
    const samples = await alternate(
      taking(100),
      { same: taking(100), half: taking(50), more: taking(300), missing: undefined },
      0,
    );

    expect(spread(samples.same.map(ratio)).median).toBeCloseTo(1, 3);
    expect(spread(samples.half.map(ratio)).median).toBeCloseTo(0.5, 3);
    expect(spread(paired(samples.more, samples.half, (more, half) => beyond(more) / beyond(half))).median).toBeCloseTo(
      -4,
      0,
    );
    expect(samples.more).toHaveLength(7);
    expect(samples.missing).toEqual([]);
  });

  it("measures as many runs of each variant as take the time of a batch in the baseline", async () => {
    const counts: number[] = [];
    const counting: Variant = {
      cpuTime: async (count) => {
        counts.push(count);
        return 5 * count;
      },
    };
    const { twice } = await alternate({ cpuTime: async (count) => 10 * count }, { twice: counting }, 0, 1000);
    expect(counts.slice(-7)).toEqual(Array.from({ length: 7 }, () => 100));
    expect(twice[0]).toEqual({ cpu: 5, baseline: 10 });
  });

  it("gives a median with its quartiles", () => {
    expect(spread([5, 1, 4, 2, 3])).toEqual({ median: 3, lower: 2, upper: 4 });
    expect(spread([4, 1])).toEqual({ median: 2.5, lower: 1.75, upper: 3.25 });
  });

  it("says whether a median is within its target, and nothing of what was not measured", () => {
    const figure = (median: number) => ({ value: { median, lower: 1.25, upper: 2.5 } });
    expect(rowOf(target, figure(1.5)).verdict).toBe("ok");
    expect(rowOf(target, figure(1.51)).verdict).toBe("above");
    expect(rowOf(target, {}).verdict).toBe("not measured: give --base");
    expect(textOf(rowOf(target, figure(1.51)))).toMatch(/^a step +x2 +x1\.510 {2}x1\.250 to x2\.50 +x1\.500 {2}above$/);
    expect(textOf(rowOf(target, {}))).toMatch(/^a step +x2 +x1\.500 {2}not measured: give --base$/);
  });
});
