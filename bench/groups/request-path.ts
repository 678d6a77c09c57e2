import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { alternate, type Variant } from "../alternate.ts";
import { episodeRequest } from "../episode-request.ts";
import { besideBare, beyondNoop } from "../figures.ts";
import type { Figures, Group } from "../group.ts";
import { notSampled, sampled, useProviders, type Providers } from "../providers.ts";
import { registerWorkflow } from "../workflow.ts";

/** The worker's path from the bytes of a request to its response, which is not sent: one episode after some steps. */
export const requestPath: Group = {
  targets: ["requestNoop10", "requestNoop200", "requestDefault10", "requestDefault200", "requestDefault1000", "unsampledRequest", "noProviderRequest"],
  weight: 7,
  measure: async ({ current, seconds }) => {
    const variants = (steps: number): Record<"bare" | "noop" | "defaults", (providers?: Providers) => Variant> => {
      const request = episodeRequest(steps);
      return { bare: answering(request), noop: answering(request, current.attachNoop), defaults: answering(request, current.attachDefault) };
    };
    const figures: Figures[] = [];
    {
      const { bare, noop, defaults } = variants(10);
      const samples = await alternate(bare(), { again: bare(), noop: noop(), defaults: defaults(sampled), unsampled: defaults(notSampled), noProvider: defaults() }, seconds * 0.45);
      figures.push({
        requestNoop10: besideBare(samples.noop, samples.again),
        requestDefault10: besideBare(samples.defaults, samples.again),
        unsampledRequest: beyondNoop(samples.unsampled, samples.noop),
        noProviderRequest: beyondNoop(samples.noProvider, samples.noop),
      });
    }
    {
      const { bare, noop, defaults } = variants(200);
      const samples = await alternate(bare(), { again: bare(), noop: noop(), defaults: defaults(sampled) }, seconds * 0.3);
      figures.push({ requestNoop200: besideBare(samples.noop, samples.again), requestDefault200: besideBare(samples.defaults, samples.again) });
    }
    const { bare, defaults } = variants(1000);
    const samples = await alternate(bare(), { again: bare(), defaults: defaults(sampled) }, seconds * 0.25);
    figures.push({ requestDefault1000: besideBare(samples.defaults, samples.again) });
    return Object.assign({}, ...figures) as Figures;
  },
};

function answering(request: Uint8Array, attach: (worker: TaskHubGrpcWorker) => void = () => undefined): (providers?: Providers) => Variant {
  const worker = new TaskHubGrpcWorker({ logger: new NoOpLogger() });
  attach(worker);
  registerWorkflow(worker);
  return (providers) => ({
    prepare: () => useProviders(providers),
    run: async (count) => {
      for (let each = 0; each < count; each += 1) {
        await worker.processOrchestratorRequest(request);
        // Out of the microtask queue, as a worker is between work items.
        await new Promise(setImmediate);
      }
    },
  });
}
