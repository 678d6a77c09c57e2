import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { OtlpReceiver } from "../otlp/receiver.ts";

/** A worker in a process of its own. */
export interface WorkerProcess {
  readonly process: ChildProcessWithoutNullStreams;
  /** Resolves when the worker has printed `line`. */
  printed(line: string): Promise<void>;
}

/** Starts `worker-program.ts` on a hub. @param args what follows the address there. */
export function startWorker(address: string, receiver: OtlpReceiver, ...args: string[]): WorkerProcess {
  const program = fileURLToPath(new URL("worker-program.ts", import.meta.url));
  const child = spawn(process.execPath, [program, address, ...args], {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "10" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const closed = once(child, "close").then(() => true);
  return {
    process: child,
    async printed(line) {
      while (!output.includes(`${line}\n`)) {
        const ended = await Promise.race([once(child.stdout, "data").then(() => false), closed]);
        if (ended) throw new Error(`The worker ended without "${line}": ${output}`);
      }
    },
  };
}
