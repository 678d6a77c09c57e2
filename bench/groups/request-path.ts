import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { alternate, work, type Variant } from "../alternate.ts";
import type { Build } from "../builds.ts";
import { episodeRequest } from "../episode-request.ts";
import { besideBare, beyondNoop } from "../figures.ts";
import type { Group } from "../group.ts";
import { notSampled, notSampledAlone, sampled, useProviders, type Providers } from "../providers.ts";
import type { TargetName } from "../targets.ts";
import { registerWorkflow } from "../workflow.ts";

/** A worker's path from the bytes of a request to its response, which is not sent: the episode after `steps` steps. */
export function requestPath(
  steps: number,
  targets: { readonly noop?: TargetName; readonly defaults: TargetName },
): Group {
  return {
    targets: Object.values(targets),
    weight: 2,
    measure: async ({ current, seconds }) => {
      const { bare, noop, defaults } = workers(steps, current);
      const variants = { again: bare(), noop: targets.noop && noop(), defaults: defaults(sampled) };
      // A long history leaves much garbage: a batch is some episodes of it, too, so that each has its share of the collections.
      const samples = await alternate(bare(), variants, seconds, Math.max(25_000, steps * 150));
      return {
        ...(targets.noop === undefined ? {} : { [targets.noop]: besideBare(samples.noop, samples.again) }),
        [targets.defaults]: besideBare(samples.defaults, samples.again),
      };
    },
  };
}

/** The same where nothing is recorded. */
export const requestPathUnrecorded: Group = {
  targets: ["unsampledRequest", "noProviderRequest"],
  weight: 2,
  measure: async ({ current, seconds }) => {
    const { bare, noop, defaults } = workers(10, current);
    const samples = await alternate(
      bare(),
      {
        noop: noop(),
        unsampled: defaults(notSampledAlone),
        unsampledLogged: defaults(notSampled),
        noProvider: defaults(),
      },
      seconds,
    );
    return {
      unsampledRequest: beyondNoop(samples.unsampled, samples.noop, {
        "with log records and measurements": samples.unsampledLogged,
      }),
      noProviderRequest: beyondNoop(samples.noProvider, samples.noop),
    };
  },
};

/** What is measured on a worker while the process has some providers, or none. */
type Measured = (providers?: Providers) => Variant;

function workers(
  steps: number,
  { attachDefault, attachNoop }: Build,
): Readonly<Record<"bare" | "noop" | "defaults", Measured>> {
  const request = episodeRequest(steps);
  const answering = (attach?: (worker: TaskHubGrpcWorker) => void): Measured => {
    const worker = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
    attach?.(worker);
    registerWorkflow(worker);
    const run = async (count: number): Promise<void> => {
      for (let each = 0; each < count; each += 1) {
        await worker.processOrchestratorRequest(request);
        // Out of the microtask queue, as a worker is between work items.
        await new Promise(setImmediate);
      }
    };
    return (providers) => work(run, () => useProviders(providers));
  };
  return { bare: answering(), noop: answering(attachNoop), defaults: answering(attachDefault) };
}
