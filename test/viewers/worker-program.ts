/**
 * A worker of the operator's shop. Its arguments are the task hub's address, the card network's URL and, if an activity
 * hangs there until the worker is killed, `hang`. It ends well when its input ends.
 */
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { withDurableTelemetry } from "../../src/index.ts";
import { setupOtlp } from "../../src/otlp/index.ts";
import { register } from "./workflows.ts";

const [hostAddress = "", cardNetwork = "", hang] = process.argv.slice(2);
const telemetry = setupOtlp({ serviceName: "order-worker" });
const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress, logger: new NoOpLogger() }));
register(worker, { cardNetwork, hang: hang === undefined ? undefined : () => process.stdout.write("hangs\n") });
await worker.start();
process.stdout.write("started\n");
process.stdin.on("end", () => {
  void worker.stop().then(() => telemetry.shutdown());
});
process.stdin.resume();
