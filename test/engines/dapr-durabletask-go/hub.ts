/** The engine of Dapr's sidecar as a program of its own on loopback. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A running engine. */
export interface Hub extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts the engine on a free port.
 *
 * @param otlp the URL of an OTLP/HTTP receiver for the engine's own spans; it makes none without.
 * @throws Error with what it printed, if it ends instead.
 */
export async function startHub(
  program: string,
  { otlp, port }: { readonly otlp?: string; readonly port?: number } = {},
): Promise<Hub> {
  const args = [
    ...(port === undefined ? [] : ["-port", String(port)]),
    ...(otlp === undefined ? [] : ["-otlp", new URL(otlp).host]),
  ];
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      output = `${output}${line}\n`.slice(-4000);
      const [, bound] = /^listening on .*:(\d+)$/.exec(line) ?? [];
      if (bound !== undefined) resolve(Number(bound));
    });
  }
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`The engine ended at its start (${signal ?? code}): ${output}`)),
  );
  return {
    port: await promise,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.stdin.end();
      await gone;
    },
  };
}
