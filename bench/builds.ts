import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Root from "durable-telemetry";

/** A build of this package, as far as the benchmark uses it. */
export interface Build {
  /** Adds the default pipeline to a worker. */
  readonly attachDefault: (worker: object) => void;
  /** Adds a pipeline of four middlewares that do nothing, and no built-in one. */
  readonly attachNoop: (worker: object) => void;
}

const noop = (name: string): Root.MiddlewareObject => ({
  name,
  orchestration: async (ctx, next) => {
    await next(ctx);
  },
  activity: async (ctx, next) => {
    await next(ctx);
  },
});
const noops = ["a", "b", "c", "d"].map(noop);

/** The build in the checkout `directory`, or that of this checkout. */
export async function buildIn(directory?: string): Promise<Build> {
  const entry = directory === undefined ? "durable-telemetry" : pathToFileURL(resolve(directory, "dist/index.mjs")).href;
  const { withDurableTelemetry } = (await import(entry)) as typeof Root;
  return {
    attachDefault: (worker) => void withDurableTelemetry(worker),
    attachNoop: (worker) => void withDurableTelemetry(worker, { middlewares: () => noops, startupCheck: false }),
  };
}
