import { containedIn, type Contained } from "../contained.ts";

/** Contains the faults of `logging` (telemetry.md K1). */
export const contained: Contained = containedIn("logging");

/** Calls code of the user's that should return at once; should it be `async` all the same, a rejection is contained too. */
export function containedCall(what: string, call: () => unknown): void {
  contained(what, () => {
    const returned = call();
    if (!isPromiseLike(returned)) return;
    void returned.then(undefined, (error: unknown) =>
      contained(what, () => {
        throw error;
      }),
    );
  });
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
