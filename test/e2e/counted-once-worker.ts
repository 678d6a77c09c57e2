/** Starts `fixtures/counted-worker.ts`. */
import { startProgram, type RunningProgram } from "../otlp/program.ts";
import type { OtlpReceiver } from "../otlp/receiver.ts";

export interface CountedWorkerOptions {
  /** What it holds once: the first run of the activity `held`, or the first episode of `child`. */
  readonly holds?: "activity" | "episode" | undefined;
  /** How often it exports, in milliseconds. By default only when it is asked to, and at its end. */
  readonly interval?: number;
  /** Whether it exports at all; by default it does. A process that does not starts in half the time. */
  readonly exports?: boolean;
  /** Has one work item after the other, so that all that happens has an order. */
  readonly oneByOne?: boolean;
  /**
   * It kills itself with SIGKILL in place of this entry of its ledger, counted from 1 at the first one of a work item of
   * the instance.
   */
  readonly dies?: { readonly instanceId: string; readonly entry: number };
}

export interface CountedWorkerInput extends CountedWorkerOptions {
  readonly hostAddress: string;
  /** The file of the runs of activities, of all processes. */
  readonly runs: string;
  /** A directory that who holds something makes: so only one process does. */
  readonly held: string;
  /** A directory for what one process has compiled, so that the others start sooner. */
  readonly compiled: string;
  /** The file of the process's own account. */
  readonly ledger: string;
}

/** A worker in a process of its own. */
export interface CountedWorker {
  /** The `service.instance.id` of what it delivers. */
  readonly id: string;
  readonly program: RunningProgram;
  readonly ledger: string;
}

export async function startCountedWorker(
  id: string,
  receiver: OtlpReceiver,
  input: CountedWorkerInput,
): Promise<CountedWorker> {
  // Longer than any test: it is the program that says when to export.
  const never = "600000";
  const program = startProgram("../../e2e/fixtures/counted-worker", {
    input,
    env: {
      NODE_COMPILE_CACHE: input.compiled,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_RESOURCE_ATTRIBUTES: `service.instance.id=${id}`,
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta",
      OTEL_METRIC_EXPORT_INTERVAL: never,
      // An export that is given up on a busy machine would be lost with the process still alive.
      OTEL_EXPORTER_OTLP_TIMEOUT: "60000",
      OTEL_LOGS_EXPORTER: "otlp",
      OTEL_BLRP_SCHEDULE_DELAY: never,
      OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: "2048",
    },
  });
  await program.printed("started\n");
  return { id, program, ledger: input.ledger };
}
