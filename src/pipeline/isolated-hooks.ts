import { isolate } from "./isolate.ts";
import type { Stage } from "./stage.ts";
import { runThrough, type Problem } from "./run-through.ts";
import { isThenable } from "./thenable.ts";
import type {
  Acknowledgement,
  ActivityResponse,
  EpisodeResponse,
  WorkItem,
  WorkItemHooks,
  WorkItemMiddleware,
} from "./work-item.ts";

const names: Readonly<Record<keyof WorkItemHooks, true>> = {
  scope: true,
  onStart: true,
  onResponse: true,
  onAcknowledged: true,
  onEnd: true,
  onCustomStatus: true,
};

/** The hooks that a middleware has for a work item, if it has any. What is wrong with them is counted and logged (contract.md W5). */
export function hooksFrom(middleware: Stage<WorkItemMiddleware>, item: WorkItem): IsolatedHooks | undefined {
  try {
    const own: unknown = middleware.run(item);
    if (own === undefined) return undefined;
    if (isThenable(own)) {
      // What it rejects with is nobody's to handle.
      isolate(() => own, ignore);
      throw new TypeError("it returned a promise; it must not be async");
    }
    if (typeof own !== "object" || own === null)
      throw new TypeError(`it returned ${own === null ? "null" : typeof own}; it must return hooks, or nothing`);
    checkNames(own);
    return new IsolatedHooks(middleware.name, own, item);
  } catch (error) {
    fault(middleware.name, "workItem", item, error);
    return undefined;
  }
}

function ignore(): void {}

// A hook that is spelled wrong would do nothing. Instances of classes have members of their own.
function checkNames(own: object): void {
  if (Object.getPrototypeOf(own) !== Object.prototype) return;
  for (const name in own) {
    if (!Object.hasOwn(names, name))
      throw new TypeError(`it returned an unknown hook "${name}"; the hooks are ${Object.keys(names).join(", ")}`);
  }
}

function fault(middleware: string, hook: string, item: WorkItem, error: unknown): void {
  item.fault(`${hook} of middleware "${middleware}" failed in ${item.kind} "${item.name}"`, error);
}

/** What one middleware does around one work item. Each member is read once, and a fault in one changes nothing (contract.md W5). */
export class IsolatedHooks {
  readonly #middleware: string;
  readonly #own: WorkItemHooks;
  readonly #item: WorkItem;
  readonly #scope: WorkItemHooks["scope"];
  readonly #onStart: WorkItemHooks["onStart"];
  readonly #onResponse: WorkItemHooks["onResponse"];
  readonly #onAcknowledged: WorkItemHooks["onAcknowledged"];
  readonly #onEnd: WorkItemHooks["onEnd"];
  readonly #onCustomStatus: WorkItemHooks["onCustomStatus"];

  /** Throws what a getter of `own` throws. */
  constructor(middleware: string, own: WorkItemHooks, item: WorkItem) {
    this.#middleware = middleware;
    this.#own = own;
    this.#item = item;
    this.#scope = own.scope;
    this.#onStart = own.onStart;
    // oxlint-disable-next-line typescript/unbound-method -- it is called with its own `this`
    this.#onResponse = own.onResponse;
    this.#onAcknowledged = own.onAcknowledged;
    this.#onEnd = own.onEnd;
    this.#onCustomStatus = own.onCustomStatus;
  }

  get hasScope(): boolean {
    return this.#scope !== undefined;
  }
  get hasEnd(): boolean {
    return this.#onEnd !== undefined;
  }
  get hasCustomStatus(): boolean {
    return this.#onCustomStatus !== undefined;
  }

  inScope<T>(execute: () => T): T {
    return runThrough(callScope, this, execute, onScopeProblem);
  }

  /** Calls the scope; for {@link runThrough}. */
  callScope(once: () => unknown): unknown {
    return this.#scope?.call(this.#own, once);
  }

  start(): void {
    if (this.#onStart !== undefined) this.#call("onStart", this.#onStart, undefined);
  }

  respond(response: EpisodeResponse | ActivityResponse): void {
    if (this.#onResponse !== undefined) this.#call("onResponse", this.#onResponse, response);
  }

  acknowledge(acknowledgement: Acknowledgement): void {
    if (this.#onAcknowledged !== undefined) this.#call("onAcknowledged", this.#onAcknowledged, acknowledgement);
  }

  end(): void {
    if (this.#onEnd !== undefined) this.#call("onEnd", this.#onEnd, undefined);
  }

  customStatusChanged(status: string | undefined): void {
    if (this.#onCustomStatus !== undefined) this.#call("onCustomStatus", this.#onCustomStatus, status);
  }

  fault(hook: keyof WorkItemHooks, error: unknown): void {
    fault(this.#middleware, hook, this.#item, error);
  }

  #call<T>(hook: keyof WorkItemHooks, run: (value: T) => unknown, value: T): void {
    try {
      const returned = run.call(this.#own, value);
      // It may be a promise that rejects.
      if (typeof returned === "object" && returned !== null)
        isolate(
          () => returned,
          (error) => this.fault(hook, error),
        );
    } catch (error) {
      this.fault(hook, error);
    }
  }
}

function callScope(hooks: IsolatedHooks, once: () => unknown): unknown {
  return hooks.callScope(once);
}

function onScopeProblem(hooks: IsolatedHooks, problem: Problem, error?: unknown): void {
  hooks.fault("scope", problem === "throws" || problem === "rejects" ? error : new TypeError(`it ${problem}`));
}
