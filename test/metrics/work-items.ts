/** Single work items, as a backend hands them out, and its answer to the response. */
import type { TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import type {
  ActivityRequest,
  OrchestratorRequest,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";

/** What the backend says of the response: nothing, or an error of gRPC. */
export type Answer = (Error & { readonly code?: number }) | null;

/** An error with one of gRPC's codes. */
export function refusal(code: number): Answer {
  return Object.assign(new Error(`status ${code}`), { code });
}

interface Internals {
  _executeOrchestratorInternal(request: OrchestratorRequest, token: string, stub: unknown): Promise<void>;
  _executeActivityInternal(request: ActivityRequest, token: string, stub: unknown): Promise<void>;
}

// Each attempt to send gets the next answer.
const stubWith = (answers: readonly Answer[]): object => {
  const left = answers.values();
  const complete = (_: unknown, __: unknown, done: (error: Answer) => void): void => done(left.next().value ?? null);
  return { completeOrchestratorTask: complete, completeActivityTask: complete };
};

/** Runs one activity; the SDK has no public entry for that. */
export async function runActivity(
  worker: TaskHubGrpcWorker,
  name: string,
  ...answers: readonly Answer[]
): Promise<void> {
  const request = new pb.ActivityRequest()
    .setName(name)
    .setTaskid(1)
    .setOrchestrationinstance(new pb.OrchestrationInstance().setInstanceid("instance-1"));
  await (worker as unknown as Internals)._executeActivityInternal(request, "", stubWith(answers));
}

/** Runs one episode. */
export async function runEpisode(
  worker: TaskHubGrpcWorker,
  { past = [], fresh }: { readonly past?: readonly pb.HistoryEvent[]; readonly fresh: readonly pb.HistoryEvent[] },
  ...answers: readonly Answer[]
): Promise<void> {
  const request = new pb.OrchestratorRequest()
    .setInstanceid("instance-1")
    .setPasteventsList([...past])
    .setNeweventsList([...fresh]);
  await (worker as unknown as Internals)._executeOrchestratorInternal(request, "", stubWith(answers));
}
