import { deliverAtSignals, type Ending, whenIdle } from "../ending/process-end.ts";
import { exportedWorkers, watchWorkerFiles } from "./worker-classes.ts";

/**
 * Has telemetry delivered when nothing is left to do, at SIGTERM and SIGINT, and when a worker stops, since many
 * applications call `process.exit()` right after that. All that together keeps the process for as long as `ending`
 * says, at most.
 */
export function deliverAtTheEnd(ending: Ending): void {
  whenIdle(() => ending.shutdown());
  deliverAtSignals(["SIGTERM", "SIGINT"], ending);
  const patched = new WeakSet<object>();
  watchWorkerFiles((exports) => {
    for (const { prototype } of exportedWorkers(exports)) {
      if (!patched.has(prototype)) deliverAfterStop(prototype, ending);
      patched.add(prototype);
    }
  });
}

function deliverAfterStop(prototype: object, ending: Pick<Ending, "deliver">): void {
  const original = Object.getOwnPropertyDescriptor(prototype, "stop");
  const stop: unknown = original?.value;
  if (typeof stop !== "function") return;
  const value = async function (this: object, ...args: unknown[]): Promise<unknown> {
    const result: unknown = await Reflect.apply(stop, this, args);
    await ending.deliver();
    return result;
  };
  Object.defineProperties(value, { name: { value: stop.name }, length: { value: stop.length } });
  Object.defineProperty(prototype, "stop", { ...original, value });
}
