import type { TaskFailure } from "../pipeline/index.ts";

// What the SDK calls a cause that is no error: a string, say.
const noError = "UnknownError";

/** The last error in the chain of causes: `failure` itself if none caused it. */
export function rootCause(failure: TaskFailure): TaskFailure {
  return causesOf(failure).findLast(({ type }) => type !== noError) ?? failure;
}

/** The message, and those of its causes, in one line: `fetch failed; caused by Error: connect ECONNREFUSED`. */
export function messageWithCauses(failure: TaskFailure): string {
  return [failure.message, ...causesOf(failure).map(titleOf)].join("; caused by ");
}

/** The stack trace, and those of its causes as far as they are known; `undefined` for a failure that has neither. */
export function stackWithCauses(failure: TaskFailure): string | undefined {
  if (failure.cause === undefined) return failure.stack;
  return [failure, ...causesOf(failure)].map((each) => each.stack ?? titleOf(each)).join("\nCaused by: ");
}

/**
 * What the SDK records of an error, with its causes. Never throws, whatever members the error has.
 *
 * @param causes how many causes it may have; the SDK records ten.
 */
export function failureFrom(error: unknown, causes: number = 10): TaskFailure {
  try {
    if (!(error instanceof Error)) return { type: noError, message: String(error) };
    const { name, message, stack, cause }: Readonly<Record<"name" | "message" | "stack" | "cause", unknown>> = {
      name: error.name,
      message: error.message,
      stack: error.stack,
      cause: error.cause,
    };
    const hasCause = cause !== undefined && cause !== null && causes > 0;
    return {
      type: String(name),
      message: String(message),
      stack: typeof stack === "string" ? stack : undefined,
      ...(hasCause ? { cause: failureFrom(cause, causes - 1) } : {}),
    };
  } catch {
    return { type: noError, message: "what was thrown can't be read" };
  }
}

function causesOf({ cause }: TaskFailure): readonly TaskFailure[] {
  const causes: TaskFailure[] = [];
  for (let next = cause; next !== undefined; next = next.cause) causes.push(next);
  return causes;
}

// Some errors have their message in the stack trace alone, as those of Node.js that failed to connect.
function titleOf({ type, message, stack }: TaskFailure): string {
  if (message !== "" || stack === undefined) return `${type}: ${message}`;
  const end = stack.indexOf("\n");
  return end === -1 ? stack : stack.slice(0, end);
}
