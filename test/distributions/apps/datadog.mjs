import { setTimeout as after } from "node:timers/promises";
import tracer from "dd-trace";
import { flush } from "./flush.mjs";

tracer.init();
const provider = new tracer.TracerProvider();
provider.register();
globalThis.endTelemetry = async () => {
  await flush();
  // Its metrics can't be flushed, they go at their time; a worker lives longer than that.
  await after(3 * Number(process.env.OTEL_METRIC_EXPORT_INTERVAL));
};
