/** Orchestrators and activities that return, yield and throw what nobody expects, as data. */
import type { OrchestrationContext, TOrchestrator } from "@microsoft/durabletask-js";
import * as fc from "fast-check";

function throwing(what: string): () => never {
  return () => {
    throw new RangeError(`${what} throws`);
  };
}

function getter(name: string, others: object = {}): object {
  return Object.defineProperty({ ...others }, name, { get: throwing(`the getter of ${name}`), enumerable: true });
}

function revoked(target: object = {}): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

function thenable(
  then: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void,
  others: object = {},
): object {
  // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
  return { ...others, kind: "thenable", then };
}

function quietRejection(): Promise<never> {
  const promise = Promise.reject(new RangeError("rejected"));
  promise.catch(() => undefined);
  return promise;
}

/** Values that an orchestrator or an activity can return, yield or throw; each call makes a new one. */
const values: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  "a number": () => 7,
  "not a number": () => Number.NaN,
  "a string": () => "text",
  "a symbol": () => Symbol("symbol"),
  "a bigint": () => 7n,
  "a function": () => () => 7,
  "an object": () => ({ is: "an object" }),
  "an error": () => new RangeError("an error", { cause: new Error("its cause") }),
  "an error without a message": () => getter("message", new Error("none")),
  "an error with a name that throws": () =>
    Object.defineProperty(new Error("named"), "name", { get: throwing("the name") }),
  "an aggregate": () => new AggregateError([new Error("one"), new Error("two")], "both"),
  "an object without a prototype": () => Object.create(null) as unknown,
  "a cycle": () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    return cycle;
  },
  "what looks like a task": () => ({ isComplete: true, isFailed: false, _result: 7 }),
  "a revoked proxy": () => revoked(),
  "a revoked proxy of a function": () => revoked(() => 7),
  "a proxy without a prototype": () => new Proxy({}, { getPrototypeOf: throwing("getPrototypeOf") }),
  "a proxy that has nothing": () =>
    new Proxy({}, { get: throwing("get"), has: throwing("has"), ownKeys: throwing("ownKeys") }),
  "a getter that throws": () => getter("value"),
  "a then getter that throws": () => getter("then"),
  "toJSON throws": () => ({ toJSON: throwing("toJSON") }),
  "toString throws": () => ({ toString: throwing("toString"), [Symbol.toPrimitive]: throwing("toPrimitive") }),
  "an iterator getter that throws": () => getter(Symbol.asyncIterator as unknown as string),
  "an iterator that is none": () => ({ [Symbol.asyncIterator]: 7 }),
  "an iterator without methods": () => ({ [Symbol.asyncIterator]: () => 7 }),
  "a function with an iterator": () =>
    Object.assign(() => 7, { [Symbol.asyncIterator]: () => 7, next: () => ({ done: true, value: 7 }) }),
  "a promise": () => Promise.resolve("promised"),
  "a rejection": quietRejection,
  "a thenable": () => thenable((resolve) => resolve("adopted")),
  "a thenable that rejects": () => thenable((_, reject) => reject(new RangeError("rejected"))),
  "a thenable that throws": () => thenable(throwing("then")),
  "a thenable that calls back twice": () =>
    thenable((resolve, reject) => {
      resolve("first");
      resolve("second");
      reject(new Error("third"));
      throw new Error("fourth");
    }),
  "a thenable that never calls back": () => thenable(() => undefined),
  "a thenable with a toJSON": () =>
    thenable((resolve) => resolve("adopted"), { toJSON: (key: string) => `as JSON, key "${key}"` }),
  "a thenable with a toJSON that throws": () =>
    thenable((resolve) => resolve("adopted"), { toJSON: throwing("toJSON") }),
  "a thenable that can't be serialized": () => thenable((resolve) => resolve("adopted"), { big: 7n }),
  "a function that is a thenable": () =>
    Object.assign(
      () => 7,
      thenable((resolve) => resolve("adopted")),
    ),
  "an array that is a thenable": () =>
    // oxlint-disable-next-line unicorn/no-thenable -- a thenable is the point
    Object.assign([1, 2], { then: (resolve: (value: unknown) => void) => resolve("adopted") }),
};

/** The name of one of the values. */
type ValueName = string;
const valueNames = Object.keys(values);
const make = (name: ValueName): unknown => values[name]?.();
const valueName = fc.constantFrom(...valueNames);

/** What one call of an iterator does; an iterator written by hand may return anything as a step. */
type Step =
  | { readonly does: "task" | "promise of a task" }
  | { readonly does: "step"; readonly done: ValueName; readonly value: ValueName }
  | { readonly does: "returns" | "resolves" | "throws" | "rejects"; readonly value: ValueName }
  | { readonly does: "getter"; readonly of: "done" | "value"; readonly done: boolean };

type How = "sync" | "async" | "thenable";

export type HostileOrchestrator =
  | { readonly form: "returns" | "throws"; readonly how: How; readonly value: ValueName }
  | {
      readonly form: "generator";
      readonly yields: readonly ValueName[];
      readonly catches: boolean;
      readonly ends: "returns" | "throws";
      readonly value: ValueName;
    }
  | {
      readonly form: "iterator";
      readonly how: How;
      readonly steps: readonly Step[];
      readonly lacks: "nothing" | "next" | "throw";
    };

export interface HostileActivity {
  readonly ends: "returns" | "throws";
  readonly how: How;
  readonly value: ValueName;
}

function inForm(how: How, run: () => unknown): unknown {
  if (how === "sync") return run();
  if (how === "async") return (async () => run())();
  return thenable((resolve, reject) => {
    try {
      resolve(run());
    } catch (error) {
      reject(error);
    }
  });
}

function throwValue(name: ValueName): never {
  throw make(name);
}

class HandWritten {
  readonly #ctx: OrchestrationContext;
  readonly #steps: readonly Step[];
  #calls = 0;
  next: unknown = (...args: unknown[]): unknown => this.#step(args.length);
  throw: unknown = (...args: unknown[]): unknown => this.#step(args.length);

  constructor(ctx: OrchestrationContext, { steps, lacks }: Extract<HostileOrchestrator, { form: "iterator" }>) {
    this.#ctx = ctx;
    this.#steps = steps;
    if (lacks !== "nothing") this[lacks] = undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #step(args: number): unknown {
    const step = this.#steps[this.#calls];
    this.#calls += 1;
    switch (step?.does) {
      case "task":
        return { done: false, value: this.#ctx.callActivity("work", args) };
      case "promise of a task":
        return Promise.resolve({ done: false, value: this.#ctx.callActivity("work", args) });
      case "step":
        return { done: make(step.done), value: make(step.value) };
      case "returns":
        return make(step.value);
      case "resolves":
        return Promise.resolve(make(step.value));
      case "throws":
        return throwValue(step.value);
      case "rejects":
        return (async () => throwValue(step.value))();
      case "getter":
        return getter(step.of, step.of === "done" ? { value: 7 } : { done: step.done });
      default:
        return { done: true, value: [this.#calls, args] };
    }
  }
}

/** The orchestrator that `hostile` describes. It adds what it sees of its call to `seen`. */
export function orchestratorOf(hostile: HostileOrchestrator, seen: unknown[]): TOrchestrator {
  return function (this: unknown, ctx: OrchestrationContext): unknown {
    seen.push(["this", this]);
    switch (hostile.form) {
      case "returns":
        return inForm(hostile.how, () => make(hostile.value));
      case "throws":
        return inForm(hostile.how, () => throwValue(hostile.value));
      case "iterator":
        return inForm(hostile.how, () => new HandWritten(ctx, hostile));
      default:
        return generate(ctx, hostile);
    }
  } as TOrchestrator;
}

async function* generate(
  ctx: OrchestrationContext,
  hostile: Extract<HostileOrchestrator, { form: "generator" }>,
): AsyncGenerator<unknown, unknown, unknown> {
  const results: unknown[] = [];
  for (const name of hostile.yields) {
    try {
      results.push(yield name === "task" ? ctx.callActivity("work", results.length) : make(name));
    } catch (error) {
      if (!hostile.catches) throw error;
      results.push("caught");
    }
  }
  if (hostile.ends === "throws") throwValue(hostile.value);
  return hostile.value === "undefined" ? results : make(hostile.value);
}

type ActivityFunction = () => unknown;

/** The activity that `hostile` describes. */
export function activityOf({ ends, how, value }: HostileActivity, seen: unknown[]): ActivityFunction {
  return function (this: unknown): unknown {
    seen.push(["this", this]);
    return inForm(how, () => (ends === "throws" ? throwValue(value) : make(value)));
  };
}

const how = fc.constantFrom<How>("sync", "async", "thenable");
const doneName = fc.constantFrom("undefined", "null", "a number", "an object", "a revoked proxy", "a string");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Step>({ does: "task" }, { does: "promise of a task" }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("step"), done: doneName, value: valueName }) },
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constantFrom("returns", "resolves", "throws", "rejects"), value: valueName }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant("getter"), of: fc.constantFrom("done", "value"), done: fc.boolean() }),
  },
);

export const hostileOrchestrators: fc.Arbitrary<HostileOrchestrator> = fc.oneof(
  fc.record({ form: fc.constantFrom("returns", "throws"), how, value: valueName }),
  fc.record({
    form: fc.constant("generator"),
    yields: fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant("task") }, { weight: 1, arbitrary: valueName }), {
      maxLength: 3,
    }),
    catches: fc.boolean(),
    ends: fc.constantFrom("returns", "throws"),
    value: valueName,
  }),
  fc.record({
    form: fc.constant("iterator"),
    how,
    steps: fc.array(step, { maxLength: 4 }),
    lacks: fc.constantFrom("nothing", "nothing", "nothing", "next", "throw"),
  }),
);

export const hostileActivities: readonly HostileActivity[] = (["returns", "throws"] as const).flatMap((ends) =>
  (["sync", "async", "thenable"] as const).flatMap((form) => valueNames.map((value) => ({ ends, how: form, value }))),
);

/** The orchestrators of one step: every value in every place. */
export const everyValueInEveryPlace: readonly HostileOrchestrator[] = valueNames.flatMap(
  (value): HostileOrchestrator[] => [
    ...(["returns", "throws"] as const).flatMap((form) =>
      (["sync", "async", "thenable"] as const).map((each) => ({ form, how: each, value })),
    ),
    { form: "generator", yields: [value], catches: false, ends: "returns", value: "undefined" },
    { form: "generator", yields: ["task", value], catches: true, ends: "throws", value },
    ...(["returns", "resolves", "throws", "rejects"] as const).flatMap((does): HostileOrchestrator[] => [
      { form: "iterator", how: "sync", steps: [{ does, value }], lacks: "nothing" },
      { form: "iterator", how: "sync", steps: [{ does: "task" }, { does, value }], lacks: "nothing" },
    ]),
    {
      form: "iterator",
      how: "sync",
      steps: [{ does: "task" }, { does: "step", done: value, value }],
      lacks: "nothing",
    },
  ],
);
