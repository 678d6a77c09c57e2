import { alternate, beyond, paired, type Variant } from "../alternate.ts";
import { besideBare, beyondNoop } from "../figures.ts";
import { floorOf } from "../floor.ts";
import type { Group } from "../group.ts";
import { inMemoryWorkflow } from "../in-memory.ts";
import { notSampled, sampled, useProviders, type Providers } from "../providers.ts";
import { median, spread } from "../spread.ts";

const steps = 10;

/** Whole orchestrations of ten steps on the SDK's in-memory worker: what a step costs without network and encoding. */
export const inMemory: Group = {
  targets: ["floor", "base", "inMemoryNoop", "unsampledInMemory", "noProviderInMemory"],
  weight: 6,
  measure: async ({ current, base, seconds }) => {
    const bare = inMemoryWorkflow(steps);
    const defaults = inMemoryWorkflow(steps, current.attachDefault);
    const floor = await floorOf(() => defaults.run(1), sampled);
    const variant = (workflow: Pick<typeof bare, "run"> | typeof floor, providers?: Providers): Variant => ({
      prepare: () => useProviders(providers),
      run: (count) => workflow.run(count),
    });
    const samples = await alternate(
      variant(bare),
      {
        again: variant(bare),
        floor: variant(floor, sampled),
        defaults: variant(defaults, sampled),
        base: base && variant(inMemoryWorkflow(steps, base.attachDefault), sampled),
        noop: variant(inMemoryWorkflow(steps, current.attachNoop)),
        unsampled: variant(defaults, notSampled),
        noProvider: variant(defaults),
      },
      seconds,
    );
    const perStep = (times: readonly number[]): string => `${(median(times) / steps).toFixed(1)} µs`;
    const own = perStep(samples.defaults.map(beyond));
    const bareStep = perStep(samples.defaults.map(({ baseline }) => baseline));
    return {
      floor: {
        value: spread(paired(samples.defaults, samples.floor, (one, calls) => beyond(one) / calls.cpu)),
        note:
          `${own} / ${perStep(samples.floor.map(({ cpu }) => cpu))} for ` +
          `${floor.spans / steps} spans, ${floor.logRecords / steps} log records, ${floor.measurements / steps} measurements; the bare step ${bareStep}`,
      },
      base: {
        value: base && spread(paired(samples.defaults, samples.base, (one, other) => beyond(one) / beyond(other))),
        note: base === undefined ? own : `${own} / ${perStep(samples.base.map(beyond))}`,
      },
      inMemoryNoop: besideBare(samples.noop, samples.again),
      unsampledInMemory: beyondNoop(samples.unsampled, samples.noop),
      noProviderInMemory: beyondNoop(samples.noProvider, samples.noop),
    };
  },
};
