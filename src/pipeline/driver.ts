import type { DurableSteps } from "./middleware.ts";

/** How the SDK resumes a generator. */
export type ResumeMethod = "next" | "throw";

/** A generator's step. The SDK only checks whether `done` is truthy, because a hand-written iterator may lack it. */
export interface Step {
  readonly done: unknown;
  readonly value: unknown;
}

/** Gets the steps of a generator. */
export interface Driven {
  /** Processes a step. @returns whether the code waits for a resume. */
  onStep(step: unknown, driver: Driver): boolean;
  onFailure(error: unknown): void;
}

/**
 * Drives the generator that an orchestrator or a durable middleware returned, from its start to its end, as the SDK does.
 * The code runs in the async context in which `run` was called, at each step: an `await` restores it, at no cost. So what
 * a middleware puts around `next` (an `AsyncLocalStorage` store, an OpenTelemetry context) is there after each `yield`.
 */
export class Driver {
  // The SDK's name: it is part of the message of a TypeError, and so of the actions (contract.md D3).
  readonly _generator: DurableSteps;
  readonly #driven: Driven;
  #method: ResumeMethod = "next";
  #value: unknown;
  #wake: (() => void) | undefined;

  constructor(generator: DurableSteps, driven: Driven) {
    this._generator = generator;
    this.#driven = driven;
  }

  async run(): Promise<void> {
    try {
      // The SDK passes no argument at the start. `await` takes a promise by the language's own `then`, as the SDK does.
      let step: unknown = await this._generator.next();
      while (this.#driven.onStep(step, this)) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        step = await (this.#method === "next" ? this._generator.next(this.#value) : this._generator.throw(this.#value));
      }
    } catch (error) {
      this.#driven.onFailure(error);
    }
  }

  resume(method: ResumeMethod, value: unknown): void {
    this.#method = method;
    this.#value = value;
    this.#wake?.();
  }
}

/** The rule by which the SDK takes what an orchestrator returned for a generator. */
export function isSteps(value: unknown): value is DurableSteps {
  return typeof (value as Partial<DurableSteps> | null | undefined)?.[Symbol.asyncIterator] === "function";
}

/** A copy of a step; `undefined` if a hand-written iterator returned no object, or one whose getter throws. */
export function readStep(step: unknown): Step | undefined {
  try {
    const { done, value } = step as Step;
    return { done, value };
  } catch {
    return undefined;
  }
}
