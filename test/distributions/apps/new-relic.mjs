import newrelic from "newrelic";
import { flush } from "./flush.mjs";

// Until it is connected the agent samples at most ten transactions, and a shutdown discards what it has. A worker lives
// longer than that, so the application starts when the agent is connected.
await new Promise((resolve) => newrelic.agent.on("started", resolve));
globalThis.endTelemetry = async () => {
  await flush();
  await new Promise((resolve) => newrelic.shutdown({ collectPendingData: true, timeout: 10_000 }, resolve));
  // Once metrics have been exported, it keeps the process for half a minute.
  process.exit();
};
