/** What IDs the Durable Task Scheduler takes, so that a test finds one that it refuses. */
import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";

const longest = 100;

/** What is wrong with the ID of an orchestration instance, in words; `undefined` if nothing is. */
export function instanceIdProblem(id: string): string | undefined {
  if (id.startsWith("@")) return `The instance ID '${id}' starts with '@', which is reserved for entities.`;
  if (!/^[\x20-\x7e]*$/.test(id)) return `The instance ID '${id}' has a character that is not printable ASCII.`;
  return tooLong(`instance ID '${id}'`, id);
}

/** What is wrong with the length of an entity's ID, in words; `undefined` if nothing is. */
export function entityIdProblem(id: string): string | undefined {
  return tooLong(`entity ID '${id}', its name and its key together,`, id);
}

function tooLong(what: string, { length }: string): string | undefined {
  return length > longest
    ? `The ${what} is ${length} characters long; the Durable Task Scheduler takes at most ${longest}.`
    : undefined;
}

/** What is wrong with the IDs in an orchestrator's action. */
export function actionProblem(action: pb.OrchestratorAction): string | undefined {
  const child = action.getCreatesuborchestration();
  const message = action.getSendentitymessage();
  const entities = [
    message?.getEntityoperationcalled()?.getTargetinstanceid()?.getValue(),
    message?.getEntityoperationsignaled()?.getTargetinstanceid()?.getValue(),
    ...(message?.getEntitylockrequested()?.getLocksetList() ?? []),
  ];
  return instanceIdProblem(child?.getInstanceid() ?? "") ?? firstProblem(entities);
}

/** What is wrong with the IDs in an entity's actions. */
export function operationActionsProblem(actions: readonly pb.OperationAction[]): string | undefined {
  const started = actions.map((action) => instanceIdProblem(action.getStartneworchestration()?.getInstanceid() ?? ""));
  return (
    started.find((problem) => problem !== undefined) ??
    firstProblem(actions.map((action) => action.getSendsignal()?.getInstanceid()))
  );
}

function firstProblem(entities: readonly (string | undefined)[]): string | undefined {
  return entities.map((id) => entityIdProblem(id ?? "")).find((problem) => problem !== undefined);
}
