import newrelic from "newrelic";
import { flush } from "./flush.mjs";

// Shut down before it has connected, the agent would throw away what it has; a worker lives longer than that.
const connected = new Promise((resolve) => newrelic.agent.on("started", resolve));
globalThis.endTelemetry = async () => {
  await connected;
  await flush();
  await new Promise((resolve) => newrelic.shutdown({ collectPendingData: true, timeout: 10_000 }, resolve));
  // Once metrics have been exported, it keeps the process for half a minute.
  process.exit();
};
