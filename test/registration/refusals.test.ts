import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { describe, expect, it } from "vitest";
import { withDurableTelemetry, type DurableTelemetryOptions } from "../../src/index.ts";
import { adapterFor } from "../../src/worker/attach.ts";
import { durableTaskSdk } from "../../src/worker/sdk-version.ts";
import { inMemoryHub, named } from "./in-memory.ts";
import { customOnly } from "../custom-only.ts";

const logger = new NoOpLogger();
const bareWorker = (): TaskHubGrpcWorker => new TaskHubGrpcWorker({ logger });

/** Calls as JavaScript does, which no type checker stops. */
const decorate = (...args: unknown[]): object => Reflect.apply(withDurableTelemetry, undefined, args);
const call = (object: object, method: string, args: readonly unknown[]): unknown =>
  Reflect.apply(Reflect.get(object, method), object, args);
const namesOf = (worker: object): unknown => Reflect.get(worker, "middlewares");

/** Everything that can be seen of an object from outside. */
function shape(object: object): unknown {
  return { own: Object.getOwnPropertyDescriptors(object), prototype: Object.getPrototypeOf(object) as unknown };
}

/** Expects that `act` throws, and that `worker` is exactly as it was and can still be decorated. */
function refused(worker: TaskHubGrpcWorker, act: () => unknown): unknown {
  const registry: object = Reflect.get(worker, "_registry");
  const before = [shape(worker), shape(registry)];
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect([shape(worker), shape(registry)]).toEqual(before);
  expect(Reflect.ownKeys(worker)).toEqual(Reflect.ownKeys(bareWorker()));
  expect(withDurableTelemetry(worker, { ...customOnly, use: [named("works")] }).middlewares).toEqual(["works"]);
  return thrown;
}

describe("Options that are refused", () => {
  it.each<[string, unknown, RegExp]>([
    ["null for options", null, /^withDurableTelemetry: the options must be an object\.$/],
    ["an array for options", [], /the options must be an object/],
    ["a string for options", "tracing", /the options must be an object/],
    [
      "an unknown name",
      { tracings: true },
      /^withDurableTelemetry: unknown option "tracings"; the options are .*tracing, .*use, middlewares, awaitGuard/,
    ],
    ["a name of Object.prototype", { toString: 1 }, /unknown option "toString"; the options are /],
    ["an own __proto__", JSON.parse('{"__proto__": {}}'), /unknown option "__proto__"; the options are /],
    [
      "a string for tracing",
      { tracing: "on" },
      /^withDurableTelemetry: option "tracing" must be an object with tracing options, true or false\.$/,
    ],
    ["null for tracing", { tracing: null }, /option "tracing" must be an object/],
    ["an array for tracing", { tracing: [] }, /option "tracing" must be an object/],
    ["a function for tracing", { tracing: () => ({}) }, /option "tracing" must be an object/],
    ["an unknown option of tracing", { tracing: { tagz: [] } }, /tracing: unknown option "tagz"; the options are /],
    ["a wrong type in tracing", { tracing: { tags: "tenant" } }, /tracing: option "tags" must be an array of strings/],
    ["a lone middleware for use", { use: named("a") }, /option "use" must be an array/],
    ["null for awaitGuard", { awaitGuard: null }, /^withDurableTelemetry: option "awaitGuard" must be an object\.$/],
    ["a mode for awaitGuard", { awaitGuard: "off" }, /option "awaitGuard" must be an object/],
    [
      "an unknown mode",
      { awaitGuard: { middleware: "ignore" } },
      /^withDurableTelemetry: awaitGuard: option "middleware" must be "fail" or "warn" or "off"\.$/,
    ],
    [
      "a boolean for a mode",
      { awaitGuard: { orchestrator: true } },
      /awaitGuard: option "orchestrator" must be "fail" or "warn" or "off"/,
    ],
    [
      "an unknown kind of code",
      { awaitGuard: { activity: "off" } },
      /awaitGuard: unknown option "activity"; the options are middleware, orchestrator\.$/,
    ],
    ["a list for middlewares", { middlewares: [] }, /option "middlewares" must be a function/],
  ])(
    "R6 %s gives a TypeError that names the key and what is allowed, and leaves the worker as it was",
    (_, options, message) => {
      const worker = bareWorker();
      const error = refused(worker, () => decorate(worker, options));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toMatch(new RegExp(message.source.replace(/^\^/, "^TypeError: ")));
    },
  );

  it.each<[string, unknown[], RegExp]>([
    [
      "undefined",
      [undefined],
      /must be a function or an object \{ name, orchestration\?, activity\?, workItem\? \}, not undefined/,
    ],
    ["null", [null], /must be a function or an object \{ name, orchestration\?, activity\?, workItem\? \}, not null/],
    ["a string", ["tracing"], /must be a function or an object .*, not string/],
    ["an array", [[named("a")]], /needs a name|must be a function or an object/],
    ["an object without a name", [{ activity: () => undefined }], /needs a name: a non-empty string/],
    ["an empty name", [{ name: "", activity: () => undefined }], /needs a name: a non-empty string/],
    ["a symbol for a name", [{ name: Symbol("a"), activity: () => undefined }], /needs a name: a non-empty string/],
    [
      "an object without a function",
      [{ name: "idle" }],
      /"idle" has neither an orchestration nor an activity nor a workItem function/,
    ],
    [
      "a member that is no function",
      [{ name: "odd", activity: "later" }],
      /"odd": activity must be a function, not string/,
    ],
    [
      "a null member",
      [{ name: "odd", orchestration: null, activity: () => undefined }],
      /"odd": orchestration must be a function/,
    ],
    [
      "a class in place of an instance",
      [
        class Audit {
          readonly name = "audit";
        },
      ],
      /"Audit" is a class; add an instance of it: new Audit\(\)/,
    ],
    ["a plain generator", [function* plain() {}], /"plain" is a plain generator; .*async function\*/],
  ])(
    "R7 %s in `use`, in what `middlewares` returns, or for worker.use is refused with the way out",
    (_, list, message) => {
      for (const options of [{ use: list }, { use: [named("good"), ...list] }, { middlewares: () => list }]) {
        const worker = bareWorker();
        const error = refused(worker, () => decorate(worker, options));
        expect(error).toBeInstanceOf(TypeError);
        expect(String(error)).toMatch(message);
        expect(String(error)).toContain("use" in options ? '"use"' : '"middlewares"');
      }
      const { worker } = inMemoryHub({ use: [named("good")] });
      expect(() => call(worker, "use", list)).toThrow(message);
      expect(worker.middlewares).toEqual(["good"]);
    },
  );

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["one middleware", named("a")],
    ["a promise of a list", Promise.resolve([])],
    ["an iterable", new Set([named("a")])],
    ["an object like an array", { length: 0 }],
  ])("R6 `middlewares` that returns %s gives a TypeError that names the key", (_, returned) => {
    const worker = bareWorker();
    const error = refused(worker, () => decorate(worker, { ...customOnly, middlewares: () => returned }));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toMatch(/option "middlewares" must return an array of middleware/);
  });

  it("R6 what `middlewares` throws reaches the caller, and the worker is as it was", () => {
    const worker = bareWorker();
    const mine = new Error("mine");
    const middlewares = (): never => {
      throw mine;
    };
    expect(refused(worker, () => withDurableTelemetry(worker, { middlewares }))).toBe(mine);
  });

  it("R6 an option that is undefined stands for one that is not given", () => {
    const options = { tracing: undefined, use: undefined, middlewares: undefined, awaitGuard: undefined };
    expect(namesOf(decorate(bareWorker(), options))).toEqual(["tracing", "metrics", "logging"]);
    expect(namesOf(decorate(bareWorker(), { awaitGuard: { middleware: undefined } }))).toEqual([
      "tracing",
      "metrics",
      "logging",
    ]);
  });
});

describe("Names and positions that are refused", () => {
  it.each<[string, DurableTelemetryOptions, RegExp]>([
    [
      "two of one name in `use`",
      { use: [named("a"), named("a")] },
      /There is already a middleware "a" \(tracing, metrics, logging, a\); give this one another name/,
    ],
    [
      "a built-in's name",
      { use: [named("tracing")] },
      /There is already a middleware "tracing" \(tracing, metrics, logging\)/,
    ],
    [
      "two of one name from `middlewares`",
      { middlewares: () => [named("a"), named("b"), named("a")] },
      /already a middleware "a" \(a, b\)/,
    ],
  ])("R5 %s is refused with the names there are, and leaves the worker as it was", (_, options, message) => {
    const worker = bareWorker();
    expect(String(refused(worker, () => withDurableTelemetry(worker, options)))).toMatch(message);
  });

  it.each<[string, unknown, RegExp]>([
    ["an unknown name before", { before: "c" }, /^There is no middleware "c"; there are: a, b\.$/],
    ["an unknown name after", { after: "" }, /^There is no middleware ""; there are: a, b\.$/],
    ["a number for a name", { after: 0 }, /^There is no middleware "0"; there are: a, b\.$/],
    ["itself", { after: "new" }, /^There is no middleware "new"; there are: a, b\.$/],
    ["both", { before: "a", after: "b" }, /^use: give "before" or "after", not both\.$/],
    ["an unknown key", { inside: "a" }, /^use: unknown option "inside"; a position has "before" or "after"\.$/],
    ["a bare name", "a", /^use: the position must be an object such as \{ before: "tracing" \}\.$/],
    ["null", null, /^use: the position must be an object/],
  ])("R5 a position with %s is refused, and the list stays as it was", (_, position, message) => {
    const { worker } = inMemoryHub({ use: [named("a"), named("b")] });
    for (const add of ["use", "useActivityMiddleware", "useOrchestrationMiddleware"]) {
      const pass = Object.defineProperty(async () => undefined, "name", { value: "new" });
      expect(() => call(worker, add, [pass, position])).toThrow(message);
    }
    expect(worker.middlewares).toEqual(["a", "b"]);
  });

  it("R5 a name that is taken is refused by worker.use too", () => {
    const { worker } = inMemoryHub({ use: [named("a"), named("b")] });
    expect(() => worker.use(named("b"), { before: "a" })).toThrow(
      'There is already a middleware "b" (a, b); give this one another name.',
    );
    expect(worker.middlewares).toEqual(["a", "b"]);
  });

  it("R5 with no middleware there yet, an unknown name says so", () => {
    expect(() => inMemoryHub().worker.use(named("a"), { before: "b" })).toThrow(
      'There is no middleware "b"; there are: none yet.',
    );
  });

  it.each(["useOrchestrationMiddleware", "useActivityMiddleware"] as const)(
    "R7 %s takes functions; an object, which says itself what it runs around, is for use",
    (add) => {
      const { worker } = inMemoryHub();
      expect(() => call(worker, add, [named("both")])).toThrow(
        new TypeError(`${add}: the middleware must be a function; add an object with use.`),
      );
      expect(worker.middlewares).toEqual([]);
    },
  );

  it("R7 a durable middleware runs around orchestrations only: useActivityMiddleware refuses it", () => {
    const { worker } = inMemoryHub();
    const policy = async function* policy(): AsyncGenerator<never> {};
    expect(() => call(worker, "useActivityMiddleware", [policy])).toThrow(
      /"policy" is a generator: only orchestration middleware/,
    );
  });
});

describe("Workers that are refused", () => {
  it.each<[string, unknown, RegExp]>([
    ["null", null, /not null\.$/],
    ["undefined", undefined, /not undefined\.$/],
    ["a string", "localhost:4001", /not string\.$/],
    ["the class", TaskHubGrpcWorker, /not function\.$/],
    ["an empty object", {}, /not an object\.$/],
    ["an object without a prototype", Object.create(null), /not an object\.$/],
    ["an array", [], /not a Array\.$|not an Array\.$/],
    ["a client", new TaskHubGrpcClient({ logger }), /not a TaskHubGrpcClient\.$/],
    ["a promise of a worker", Promise.resolve(bareWorker()), /not a Promise\.$/],
    ["something with a build that is no function", { build: true }, /not an object\.$/],
  ])("R1 %s is refused: the error says what a worker is, and what was given", (_, worker, found) => {
    expect(() => decorate(worker)).toThrow(TypeError);
    expect(() => decorate(worker)).toThrow(found);
    expect(() => decorate(worker)).toThrow(
      /^withDurableTelemetry: worker must be a Durable Task worker \(WorkflowRuntime, TaskHubGrpcWorker, TestOrchestrationWorker, a subclass, or a builder with build\(\)\)/,
    );
  });

  it("R1 a worker is decorated once; the second call names the way to add more, and changes nothing", () => {
    const worker = withDurableTelemetry(bareWorker(), { ...customOnly, use: [named("a")] });
    const before = shape(worker);
    expect(() => withDurableTelemetry(worker, { use: [named("b")] })).toThrow(
      "withDurableTelemetry: this TaskHubGrpcWorker has durable telemetry already; call it once, and add middleware with worker.use(...).",
    );
    expect(shape(worker)).toEqual(before);
    expect(worker.middlewares).toEqual(["a"]);
  });

  it("R1 a worker that another copy of the package has decorated is refused too", () => {
    const worker = bareWorker();
    Object.defineProperty(worker, Symbol.for("durable-telemetry.attached"), { value: true });
    expect(() => withDurableTelemetry(worker)).toThrow(/has durable telemetry already/);
  });

  it("R4 a worker that runs is refused, and says when to call", () => {
    const worker = bareWorker();
    Reflect.set(worker, "_isRunning", true);
    const before = shape(worker);
    expect(() => withDurableTelemetry(worker)).toThrow(
      "withDurableTelemetry: the worker is running; call withDurableTelemetry before worker.start().",
    );
    expect(shape(worker)).toEqual(before);
    Reflect.set(worker, "_isRunning", false);
    expect(withDurableTelemetry(worker).middlewares).toEqual(["tracing", "metrics", "logging"]);
  });

  it.each<[string, (worker: object) => object]>([
    ["frozen", Object.freeze],
    ["sealed", Object.seal],
    ["closed to new members", Object.preventExtensions],
  ])("R1 a worker that is %s is refused with an error that says so, and is as it was", (_, close) => {
    const worker = close(bareWorker());
    const before = shape(worker);
    expect(() => withDurableTelemetry(worker)).toThrow(
      /^withDurableTelemetry: this TaskHubGrpcWorker can't be decorated: .*(frozen|sealed)/,
    );
    expect(shape(worker)).toEqual(before);
  });

  it("R1 a worker without the members that the engine needs gives one error with all of them, the range and the version found", () => {
    class Other {
      readonly _registry = { getOrchestrator: (): undefined => undefined };
      _executeOrchestratorInternal(): void {}
      start(): void {}
    }
    const worker = new Other();
    const before = shape(worker);
    expect(() => withDurableTelemetry(worker)).toThrow(
      "withDurableTelemetry: this TaskHubGrpcWorker lacks _executeActivityInternal, stop, _registry.getActivity, which the middleware " +
        "engine needs: found @microsoft/durabletask-js of an unknown version, supported is >=0.4.0 <1. Install a version in the range.",
    );
    expect(shape(worker)).toEqual(before);
    for (const registry of [undefined, null, "registry"]) {
      expect(() => withDurableTelemetry({ _registry: registry })).toThrow(
        /lacks .*_registry\.getOrchestrator, _registry\.getActivity/,
      );
    }
  });

  it("R1 the same holds for the in-memory worker", () => {
    const worker = { backend: {}, registry: {}, start: () => undefined };
    expect(() => withDurableTelemetry(worker)).toThrow(
      /^withDurableTelemetry: this TestOrchestrationWorker lacks processOrchestration, processActivity, stop, registry\.getOrchestrator, registry\.getActivity, backend\.completeOrchestration, backend\.completeActivity, .* found @microsoft\/durabletask-js of an unknown version, supported is >=0\.4\.0 <1/,
    );
  });

  it.each(["0.3.9", "0.0.1", "1.0.0", "2.0.0-beta.1", "10.4.0", "nightly"])(
    "R1 SDK version %s is out of range",
    (version) => {
      const worker = bareWorker();
      expect(String(refused(worker, () => adapterFor(worker, () => ({ sdk: durableTaskSdk, version }))))).toBe(
        `Error: withDurableTelemetry: the Durable Task SDK is out of range: found @microsoft/durabletask-js ${version}, ` +
          "supported is >=0.4.0 <1. Install a version in the range.",
      );
    },
  );

  it.each(["0.4.0", "0.4.12", "0.5.0-alpha.2", "0.10.0"])("R1 SDK version %s is in range", (version) => {
    expect(adapterFor(bareWorker(), () => ({ sdk: durableTaskSdk, version })).kind).toBe("TaskHubGrpcWorker");
  });
});
