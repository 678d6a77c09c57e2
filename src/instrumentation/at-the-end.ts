import { settledWithin } from "../otlp/settled-within.ts";
import { exportedWorkers, watchWorkerFiles } from "./worker-classes.ts";

/** What can be delivered before a process ends. Neither rejects. */
export interface Deliverable {
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}

/** How long the delivery may keep a process or a worker that is to end, in milliseconds. */
const grace = 5000;

const signals = ["SIGTERM", "SIGINT"] as const;

/**
 * Has `telemetry` deliver what it has when nothing is left to do, at SIGTERM and SIGINT, and when a worker stops,
 * since many applications call `process.exit()` right after that.
 *
 * A signal then does what it would have done. Where the program listens to it, the program decides: delivery starts
 * at once, beside it. Else the process ends by the same signal once all is delivered, 5 seconds later at most, or
 * when the signal comes again.
 */
export function deliverAtTheEnd(telemetry: Deliverable): void {
  process.once("beforeExit", () => void telemetry.shutdown());
  for (const signal of signals) deliverAt(signal, telemetry);
  const patched = new WeakSet<object>();
  watchWorkerFiles((exports) => {
    for (const { prototype } of exportedWorkers(exports)) {
      if (!patched.has(prototype)) deliverAfterStop(prototype, telemetry);
      patched.add(prototype);
    }
  });
}

function deliverAt(signal: NodeJS.Signals, telemetry: Deliverable): void {
  const onSignal = (): void => {
    // From here on the signal is the program's again: its listeners, which are called next, may count them.
    process.off(signal, onSignal);
    const delivered = settledWithin(grace, telemetry.forceFlush());
    if (process.listenerCount(signal) === 0) void delivered.then(() => process.kill(process.pid, signal));
  };
  // First in line: a `once` listener of the program is still there to be counted.
  process.prependListener(signal, onSignal);
}

function deliverAfterStop(prototype: object, telemetry: Deliverable): void {
  const original = Object.getOwnPropertyDescriptor(prototype, "stop");
  const stop: unknown = original?.value;
  if (typeof stop !== "function") return;
  const value = async function (this: object, ...args: unknown[]): Promise<unknown> {
    const result: unknown = await Reflect.apply(stop, this, args);
    await settledWithin(grace, telemetry.forceFlush());
    return result;
  };
  Object.defineProperties(value, { name: { value: stop.name }, length: { value: stop.length } });
  Object.defineProperty(prototype, "stop", { ...original, value });
}
