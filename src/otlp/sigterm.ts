/**
 * Calls `shutdown` when the process gets SIGTERM and ends the process then, as SIGTERM does without a listener.
 *
 * Where the program has listeners of its own, it is the program that decides when to end; `shutdown` is then called
 * when nothing is left to do, so that the spans of its last work are not lost.
 *
 * @returns what takes the listener back.
 */
export function onSigterm(shutdown: () => Promise<void>): () => void {
  const onSignal = (): void => {
    if (process.listenerCount("SIGTERM") > 1) {
      process.off("beforeExit", onIdle).once("beforeExit", onIdle);
      return;
    }
    void shutdown().finally(() => {
      // `shutdown` took the listener back, so this signal does what it always does.
      process.kill(process.pid, "SIGTERM");
    });
  };
  const onIdle = (): void => void shutdown();

  // First in line: a `once` listener of the program is still there to be counted.
  process.prependListener("SIGTERM", onSignal);
  return () => {
    process.off("SIGTERM", onSignal);
    process.off("beforeExit", onIdle);
  };
}
