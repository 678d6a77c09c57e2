/** Starts `fixtures/sampled-worker.ts`, and reads what it has seen. */
import type { Hub } from "../harness.ts";
import { startProgram, type RunningProgram } from "../otlp/program.ts";
import type { OtlpReceiver } from "../otlp/receiver.ts";

/** What a process has seen of each instance: its executions, and how many of those were sampled. */
export type Decisions = Readonly<
  Record<string, { readonly episodes: number; readonly activities: number; readonly sampled: number }>
>;

/** @param id - The `service.instance.id` of its spans. */
export async function startSampledWorker(
  id: string,
  hub: Hub,
  receiver: OtlpReceiver,
  sampler: string,
  ratio: number,
): Promise<RunningProgram> {
  const program = startProgram("../../e2e/fixtures/sampled-worker", {
    input: { hostAddress: hub.sidecar.address },
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_RESOURCE_ATTRIBUTES: `service.instance.id=${id}`,
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: String(ratio),
      OTEL_BSP_SCHEDULE_DELAY: "100",
    },
  });
  await program.printed("started\n");
  return program;
}

/** Has the worker end, and returns what it has seen. */
export async function decisionsOf(program: RunningProgram): Promise<Decisions> {
  program.goOn();
  const { code, stdout, stderr } = await program.result;
  if (code !== 0 || stderr !== "") throw new Error(`The worker ended with ${code}: ${stderr}`);
  const decisions: Decisions = JSON.parse(stdout.replace("started\n", ""));
  return decisions;
}
