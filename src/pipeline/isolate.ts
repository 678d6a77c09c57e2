/**
 * Runs `callback`, a function that is not the engine's, so that its faults stay out of the work item (telemetry.md K1):
 * what it throws goes to `onFault`, and what a promise or thenable that it returns rejects with. Nothing waits for that.
 *
 * @param onFault must not throw.
 */
export function isolate(callback: () => unknown, onFault: (error: unknown) => void): void {
  try {
    const returned = callback();
    if (typeof returned === "object" && returned !== null) void settled(returned as PromiseLike<unknown>, onFault);
  } catch (error) {
    onFault(error);
  }
}

// `await` takes a promise by the language's own `then`, whatever the promise has in its place; and of another thenable
// the first answer only.
async function settled(returned: PromiseLike<unknown>, onFault: (error: unknown) => void): Promise<void> {
  try {
    await returned;
  } catch (error) {
    onFault(error);
  }
}
