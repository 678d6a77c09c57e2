import { alternate, ratio, type Variant } from "../alternate.ts";
import { besideBare } from "../figures.ts";
import type { Group } from "../group.ts";
import { startProgram } from "../programs/program.ts";
import type { HubQuestion } from "../programs/task-hub.ts";
import type { WorkerVariant } from "../programs/worker.ts";
import { median, spread } from "../spread.ts";

const steps = 10;
/** In microseconds: a batch is some orchestrations, so that messages to the worker are a small part of it. */
const batchTime = 100_000;
const warmUp = 300;

/**
 * Whole orchestrations over gRPC: the CPU time of the worker's process. Task hub and client are in another process, and each
 * worker has one of its own; the batches of the workers alternate.
 */
export const grpc: Group = {
  targets: ["grpcDefault", "grpcNoop"],
  weight: 7,
  measure: async ({ seconds }) => {
    await using programs = new AsyncDisposableStack();
    const worker = async (variant: WorkerVariant): Promise<Variant> => {
      const hub = programs.use(await startProgram<HubQuestion, unknown>("task-hub", []));
      const address = String(await hub.ask("address"));
      const process = programs.use(await startProgram<"cpuTime", number>("worker", [address, variant]));
      // Until its code is compiled as in a worker that has run for a while: the baseline has more batches than the others.
      await hub.ask({ orchestrations: warmUp, steps });
      return {
        cpuTime: async (count) => {
          await hub.ask({ orchestrations: Math.ceil(count / 4), steps });
          const before = await process.ask("cpuTime");
          await hub.ask({ orchestrations: count, steps });
          return (await process.ask("cpuTime")) - before;
        },
      };
    };
    const bare = await worker("bare");
    const sdk = await worker("sdk");
    const { again, noop } = await alternate(
      bare,
      { again: bare, noop: await worker("noop"), sdk },
      seconds / 2,
      batchTime,
    );
    const { defaults } = await alternate(sdk, { defaults: await worker("defaults") }, seconds / 2, batchTime);
    return {
      grpcDefault: {
        value: spread(defaults.map(ratio)),
        note: `the SDK with its own tracing takes ${median(defaults.map(({ baseline }) => baseline / steps)).toFixed(0)} µs for a step`,
      },
      grpcNoop: besideBare(noop, again),
    };
  },
};
