/**
 * A worker over gRPC, in a process of its own. Its arguments are the address of a task hub and the variant; asked, it tells the
 * CPU time that its process has taken so far, in microseconds.
 */
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { collectYoung } from "../alternate.ts";
import { loadBuild } from "../builds.ts";
import { sampled, useProviders } from "../providers.ts";
import { registerWorkflow } from "../workflow.ts";
import { answerQuestions } from "./program.ts";

/** What a worker has: nothing, the SDK's own tracing, four no-op middlewares, or the default pipeline. */
export type WorkerVariant = "bare" | "sdk" | "noop" | "defaults";

const [hostAddress = "", variant = ""] = process.argv.slice(2);
const worker = new TaskHubGrpcWorker({ hostAddress, logger: new NoOpLogger() });
if (variant === "sdk" || variant === "defaults") useProviders(sampled);
if (variant === "noop" || variant === "defaults") {
  const { attachDefault, attachNoop } = await loadBuild();
  (variant === "noop" ? attachNoop : attachDefault)(worker);
}
registerWorkflow(worker);
await worker.start();

answerQuestions(() => {
  collectYoung();
  const { user, system } = process.cpuUsage();
  return user + system;
});
