import type { TestOrchestrationWorker } from "@microsoft/durabletask-js";
import { alternate, beyond, paired, work, type Variant } from "../alternate.ts";
import { besideBare, beyondNoop } from "../figures.ts";
import { floorOf } from "../floor.ts";
import type { Group } from "../group.ts";
import { inMemoryWorkflow, type InMemoryWorkflow } from "../in-memory.ts";
import { notSampled, notSampledAlone, sampled, useProviders, type Providers } from "../providers.ts";
import { median, spread } from "../spread.ts";

// Whole orchestrations of ten steps on the SDK's in-memory worker: what a step costs without network and encoding.
const steps = 10;
const workflow = (attach?: (worker: TestOrchestrationWorker) => void): InMemoryWorkflow =>
  inMemoryWorkflow(steps, attach);
const variant = (subject: { readonly run: (count: number) => unknown }, providers?: Providers): Variant =>
  work(subject.run, () => useProviders(providers));

/** The cost of recording: beside the raw OpenTelemetry calls, and beside another build. */
export const inMemory: Group = {
  targets: ["floor", "base", "operator", "inMemoryNoop"],
  weight: 6,
  measure: async ({ current, base, seconds }) => {
    const bare = variant(workflow());
    const defaults = workflow(current.attachDefault);
    const floor = await floorOf(() => defaults.run(1), sampled);
    const samples = await alternate(
      bare,
      {
        again: bare,
        floor: variant(floor, sampled),
        defaults: variant(defaults, sampled),
        base: base && variant(workflow(base.attachDefault), sampled),
        operator: variant(
          workflow((worker) => current.attachOperator(worker, true)),
          sampled,
        ),
        operatorNoTasks: variant(
          workflow((worker) => current.attachOperator(worker, false)),
          sampled,
        ),
        noop: variant(workflow(current.attachNoop)),
      },
      seconds,
    );
    const perStep = (times: readonly number[]): string => `${(median(times) / steps).toFixed(1)} µs`;
    const own = perStep(samples.defaults.map(beyond));
    const counts = `${floor.spans / steps} spans, ${floor.logRecords / steps} log records and ${floor.measurements / steps} measurements`;
    return {
      floor: {
        value: spread(paired(samples.defaults, samples.floor, (one, calls) => beyond(one) / calls.cpu)),
        note: `${own} / ${perStep(samples.floor.map(({ cpu }) => cpu))} for ${counts}; the bare step ${perStep(samples.defaults.map(({ baseline }) => baseline))}`,
      },
      base: {
        value: base && spread(paired(samples.defaults, samples.base, (one, other) => beyond(one) / beyond(other))),
        note: base === undefined ? own : `${own} / ${perStep(samples.base.map(beyond))}`,
      },
      operator: {
        value: spread(paired(samples.operator, samples.defaults, (one, other) => beyond(one) / beyond(other))),
        note: `without a log record of each wait for tasks x${median(paired(samples.operatorNoTasks, samples.defaults, (one, other) => beyond(one) / beyond(other))).toFixed(2)}`,
      },
      inMemoryNoop: besideBare(samples.noop, samples.again),
    };
  },
};

/** The cost where nothing is recorded. */
export const inMemoryUnrecorded: Group = {
  targets: ["unsampledInMemory", "noProviderInMemory"],
  weight: 2,
  measure: async ({ current, seconds }) => {
    const defaults = workflow(current.attachDefault);
    const samples = await alternate(
      variant(workflow()),
      {
        noop: variant(workflow(current.attachNoop)),
        unsampled: variant(defaults, notSampledAlone),
        unsampledLogged: variant(defaults, notSampled),
        noProvider: variant(defaults),
      },
      seconds,
    );
    return {
      unsampledInMemory: beyondNoop(samples.unsampled, samples.noop, {
        "with log records and measurements": samples.unsampledLogged,
      }),
      noProviderInMemory: beyondNoop(samples.noProvider, samples.noop),
    };
  },
};
