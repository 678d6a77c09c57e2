/** Samplers that users write on top of those of the OpenTelemetry SDK (telemetry.md I5, I10). */
import {
  SamplingDecision,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  type SamplingResult,
} from "@opentelemetry/sdk-trace";
import { expect, it } from "vitest";
import { tracing } from "../../middlewares/index.ts";
import { recordSpans } from "../harness.ts";
import { hostWorker, orchestratorRequest, runEpisode, startEvents } from "../worker/requests.ts";

/** Leaves out what is noisy; it describes itself as the class that it extends does. */
const leavesOutNoise = (): Sampler => {
  const sampler = new AlwaysOnSampler();
  return Object.assign(sampler, {
    shouldSample: (...args: Parameters<Sampler["shouldSample"]>): SamplingResult =>
      args[2].includes("noise")
        ? { decision: SamplingDecision.NOT_RECORD }
        : { decision: SamplingDecision.RECORD_AND_SAMPLED },
  });
};

/** Wraps another sampler and hands on its description. */
const wrapped = (inner: Sampler): Sampler => ({
  shouldSample: (...args) =>
    args[2].includes("noise") ? { decision: SamplingDecision.NOT_RECORD } : inner.shouldSample(...args),
  toString: () => inner.toString(),
});

it.each<[string, Sampler]>([
  ["extends AlwaysOnSampler", leavesOutNoise()],
  ["wraps AlwaysOnSampler", wrapped(new AlwaysOnSampler())],
  ["wraps ParentBasedSampler", wrapped(new ParentBasedSampler({ root: new AlwaysOnSampler() }))],
])("I5 asks a sampler that %s, and obeys it", async (_, sampler) => {
  const spans = recordSpans({ sampler });
  const worker = hostWorker({ middlewares: () => [tracing()] });
  for (const name of ["noise", "order"]) {
    worker.addNamedOrchestrator(name, () => 1);
    await runEpisode(
      worker,
      orchestratorRequest(startEvents({ name, instanceId: name, executionId: name }), [], { instanceId: name }),
    );
  }
  expect(spans.finished.map((span) => span.name)).toEqual(["orchestration:order"]);
});
