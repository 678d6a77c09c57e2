import type { TaskFailure } from "../pipeline/index.ts";

/**
 * On an orchestration: the type of the error that failed it, as the SDK records it, where `error.type` is that of its
 * root cause (telemetry.md S11).
 */
export const ATTR_RECORDED_ERROR_TYPE = "durabletask.error.type";

// What the SDK calls a cause that is no error: a string, say.
const noError = "UnknownError";

/** The last error in the chain of causes: `failure` itself if none caused it. */
export function rootCause(failure: TaskFailure): TaskFailure {
  return causesOf(failure).findLast(({ type }) => type !== noError) ?? failure;
}

/** The message, and a line for each cause: `fetch failed`, `Caused by: Error: connect ECONNREFUSED`. */
export function messageWithCauses(failure: TaskFailure): string {
  return [failure.message, ...causesOf(failure).map(({ type, message }) => `Caused by: ${type}: ${message}`)].join("\n");
}

/** The stack trace, and those of its causes as far as they are known; `undefined` for a failure that has neither. */
export function stackWithCauses(failure: TaskFailure): string | undefined {
  if (failure.cause === undefined) return failure.stack;
  return [stackOf(failure), ...causesOf(failure).map((cause) => `Caused by: ${stackOf(cause)}`)].join("\n");
}

function causesOf({ cause }: TaskFailure): readonly TaskFailure[] {
  const causes: TaskFailure[] = [];
  for (let next = cause; next !== undefined; next = next.cause) causes.push(next);
  return causes;
}

function stackOf({ type, message, stack }: TaskFailure): string {
  return stack ?? `${type}: ${message}`;
}
