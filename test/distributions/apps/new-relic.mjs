import newrelic from "newrelic";

// Shut down before it has connected, the agent would throw away what it has; a worker lives longer than that.
const connected = new Promise((resolve) => newrelic.agent.on("started", resolve));
globalThis.endTelemetry = async () => {
  await connected;
  await new Promise((resolve) => newrelic.shutdown({ collectPendingData: true, timeout: 10_000 }, resolve));
};
