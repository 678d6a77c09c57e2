/** The rules of the contract that a middleware can break; the numbers are those of `docs/contract.md`. */
export type ContractRule = "O1" | "O9" | "A1" | "A2";

/**
 * A middleware broke the contract: a missing, second or unawaited `next`, another context, a result set at the wrong
 * time. It fails the orchestration or activity, and no middleware can suppress it (contract.md O1, O5, A1, A2).
 */
export class MiddlewareContractError extends Error {
  override readonly name = "MiddlewareContractError";
  /** Stable code of this error. */
  readonly code = "DURABLE_TELEMETRY_MIDDLEWARE_CONTRACT";
  /** The faulty middleware. */
  readonly middleware: string;
  /** The rule it broke. */
  readonly rule: ContractRule;

  constructor(middleware: string, rule: ContractRule, problem: string) {
    super(`Middleware "${middleware}" broke rule ${rule}: ${problem}`);
    this.middleware = middleware;
    this.rule = rule;
  }
}

/**
 * Orchestration middleware or an orchestrator waited for something that is not durable: a timer, I/O, another
 * process (contract.md D2). Replay can't repeat such a wait.
 */
export class NonDurableAwaitError extends Error {
  override readonly name = "NonDurableAwaitError";
  /** Stable code of this error. */
  readonly code = "DURABLE_TELEMETRY_NON_DURABLE_AWAIT";
  /** The faulty middleware, or `undefined` for the orchestrator itself. */
  readonly middleware: string | undefined;

  constructor(middleware: string | undefined, orchestration: string) {
    const who = middleware === undefined ? `Orchestrator "${orchestration}"` : `Middleware "${middleware}"`;
    const remedy =
      middleware === undefined
        ? "Use a durable task instead: yield ctx.callActivity(...), ctx.createTimer(...) or ctx.waitForExternalEvent(...)."
        : "Make it a durable middleware instead: an async generator that yields ctx.orchestrationContext.callActivity(...) " +
          "or .createTimer(...), then yield* next(ctx).";
    super(`${who} awaits something that is not durable (a timer, I/O): replay can't repeat that. ${remedy}`);
    this.middleware = middleware;
  }
}

/**
 * Joins failures into the one error that fails a task: the same error twice is one failure, several different ones
 * become an `AggregateError` whose message holds all messages (contract.md O4).
 */
export function joinFailures(failures: readonly unknown[]): unknown {
  const parts = [
    ...new Set(failures.flatMap((failure) => (isA(failure, JoinedFailures) ? failure.errors : [failure]))),
  ];
  return parts.length === 1 ? parts[0] : new JoinedFailures(parts);
}

/** The broken rules among the failures that `error` holds; nothing recovers from them (contract.md O5, A5). */
export function brokenRules(error: unknown): MiddlewareContractError[] {
  const failures: readonly unknown[] = isA(error, JoinedFailures) ? error.errors : [error];
  return failures.filter((failure) => isA(failure, MiddlewareContractError));
}

// What is thrown need not be an error, nor have a string: a proxy that has been revoked has neither.
function messageOf(failure: unknown): string {
  try {
    return String(failure instanceof Error ? failure.message : failure);
  } catch {
    return "a value that can't be converted to a string";
  }
}

// Distinguishes our own AggregateErrors from users', which stay whole.
class JoinedFailures extends AggregateError {
  constructor(errors: readonly unknown[]) {
    super(errors, errors.map(messageOf).join("; "));
  }
}

// `instanceof` throws for a proxy that has been revoked.
function isA<T>(value: unknown, kind: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof kind;
  } catch {
    return false;
  }
}
