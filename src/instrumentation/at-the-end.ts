import { flushAtSignals, type Ending, whenIdle } from "../ending/process-end.ts";
import { exportedWorkers, watchWorkerFiles } from "./worker-classes.ts";

/**
 * Exports telemetry when the process has nothing left to do, at SIGTERM and SIGINT, and when a worker stops, because many
 * applications call `process.exit()` right after that. All these waits together take at most the timeout of `ending`.
 */
export function flushAtTheEnd(ending: Ending): void {
  whenIdle(() => ending.shutdown());
  flushAtSignals(["SIGTERM", "SIGINT"], ending);
  const patched = new WeakSet<object>();
  watchWorkerFiles((exports) => {
    for (const { prototype } of exportedWorkers(exports)) {
      if (!patched.has(prototype)) flushAfterStop(prototype, ending);
      patched.add(prototype);
    }
  });
}

function flushAfterStop(prototype: object, ending: Pick<Ending, "flush">): void {
  const original = Object.getOwnPropertyDescriptor(prototype, "stop");
  const stop: unknown = original?.value;
  if (typeof stop !== "function") return;
  const value = async function (this: object, ...args: unknown[]): Promise<unknown> {
    const result: unknown = await Reflect.apply(stop, this, args);
    await ending.flush();
    return result;
  };
  Object.defineProperties(value, { name: { value: stop.name }, length: { value: stop.length } });
  Object.defineProperty(prototype, "stop", { ...original, value });
}
