/** Why the task hub refused a request; the gRPC status of the same name. */
export type RefusalCode =
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "UNAVAILABLE"
  | "UNIMPLEMENTED";

/** @throws TaskHubRefusal INVALID_ARGUMENT, if there is a problem. */
export function refuseProblem(problem: string | undefined): void {
  if (problem !== undefined) throw new TaskHubRefusal("INVALID_ARGUMENT", problem);
}

/** A request that the task hub refuses. Nothing in the hub has changed when it is thrown. */
export class TaskHubRefusal extends Error {
  override readonly name = "TaskHubRefusal";
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    // It travels in a header, and an ID in it may be of any length.
    super(message.replaceAll(/'([^']{200})[^']+'/g, "'$1...'"));
    this.code = code;
  }
}
