import type { Ending } from "./ending.ts";

/**
 * Has telemetry delivered when the process gets `signal`, which then does what it would have done without.
 *
 * Where the program listens to it, the program decides when to end: delivery starts at once, beside it, and telemetry
 * stays on. Else it is shut down, and the process ends by the same signal then, or when the signal comes again.
 *
 * @returns what takes the listener back.
 */
export function atSignal(signal: NodeJS.Signals, ending: Pick<Ending, "deliver" | "shutdown">): () => void {
  const onSignal = (): void => {
    // From here on the signal is the program's again: its listeners, which are called next, may count them.
    process.off(signal, onSignal);
    if (process.listenerCount(signal) > 0) void ending.deliver();
    else void ending.shutdown().then(() => process.kill(process.pid, signal));
  };
  // First in line: a `once` listener of the program is still there to be counted.
  process.prependListener(signal, onSignal);
  return () => void process.off(signal, onSignal);
}
