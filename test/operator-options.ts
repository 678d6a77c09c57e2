import type { DurableTelemetryOptions } from "../src/index.ts";

/** All that an operator can turn on. It changes no action of an orchestration that has neither of the tags. */
export const operatorOptions: DurableTelemetryOptions = {
  propagate: { tags: ["tenant"], baggage: ["tenant.id"] },
  tracing: { episodes: true, running: true, customStatus: true, tags: ["tenant"] },
  metrics: { tags: ["tenant"] },
  logging: { customStatus: true, tags: ["tenant"], waiting: { tasks: true } },
};
