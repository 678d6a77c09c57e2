import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Root from "durable-telemetry";
import type * as Middlewares from "durable-telemetry/middlewares";

/** A build of this package, as far as the benchmark uses it. */
export interface Build {
  readonly directory: string;
  /** What `import` takes for an entry of it. */
  readonly entry: string;
  /** Adds a pipeline of the default middlewares to a worker. */
  readonly attachDefault: (worker: object) => void;
  /** Adds the default pipeline with all that it can tell an operator; without a record of each wait for tasks, if not `tasks`. */
  readonly attachOperator: (worker: object, tasks: boolean) => void;
  /** Adds a pipeline of four middlewares that do nothing, and no other. */
  readonly attachNoop: (worker: object) => void;
  readonly withDurableTelemetry: typeof Root.withDurableTelemetry;
  readonly caching: typeof Middlewares.caching;
}

const noops = ["a", "b", "c", "d"].map((name): Root.MiddlewareObject => ({
  name,
  orchestration: async (ctx, next) => {
    await next(ctx);
  },
  activity: async (ctx, next) => {
    await next(ctx);
  },
}));

/** The build in `dist` of the checkout in `directory`; by default, of this checkout. */
export async function loadBuild(directory: string = resolve(import.meta.dirname, "..")): Promise<Build> {
  const entryOf = (name: string): string => pathToFileURL(resolve(directory, `dist/${name}.mjs`)).href;
  const { withDurableTelemetry } = (await import(entryOf("index"))) as typeof Root;
  const { caching } = (await import(entryOf("middlewares"))) as typeof Middlewares;
  return {
    directory,
    entry: entryOf("index"),
    attachDefault: (worker) => void withDurableTelemetry(worker),
    attachOperator: (worker, tasks) =>
      void withDurableTelemetry(worker, {
        propagate: { tags: ["tenant"], baggage: ["tenant.id"], origin: true },
        tracing: { tags: ["tenant"], running: true, customStatus: true },
        metrics: { tags: ["tenant"] },
        logging: { tags: ["tenant"], customStatus: true, waiting: { tasks } },
      }),
    attachNoop: (worker) => void withDurableTelemetry(worker, { middlewares: () => noops, startupCheck: false }),
    withDurableTelemetry,
    caching,
  };
}
