/** The recorder has its own context manager and propagators; the SDK's say what they must do. */
import { EventEmitter } from "node:events";
import {
  createContextKey,
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
  trace,
  TraceFlags,
  type ContextManager,
  type TextMapPropagator,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  CompositePropagator,
  suppressTracing,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from "@opentelemetry/core";
import { describe, expect, it } from "vitest";
import { AsyncContextManager } from "../../src/testing/recorder/context-manager.ts";
import { w3cPropagator } from "../../src/testing/recorder/propagators.ts";

const key = createContextKey("who");
const named = (name: string): typeof ROOT_CONTEXT => ROOT_CONTEXT.setValue(key, name);

/** What a program sees of the context, step by step. */
async function contextsSeen(manager: ContextManager): Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  const look = (step: string): void => void seen.push([step, manager.active().getValue(key)]);
  look("at first");
  const result = manager.with(
    named("with"),
    function (this: { own: string }, ...args: number[]) {
      look(`${this.own} ${args.join()}`);
      return 7;
    },
    { own: "this" },
    1,
    2,
  );
  seen.push(result);
  expect(() => manager.with(named("failing"), () => JSON.parse("no JSON"))).toThrow(SyntaxError);
  look("after a failure");
  await manager.with(named("async"), async () => {
    await new Promise(setImmediate);
    look("later");
    manager.with(named("inner"), () => look("nested"));
    look("after nesting");
  });
  look("after all of it");

  const bound = manager.bind(named("bound"), function (this: unknown, a: number, b: number) {
    look(`bound to ${String(this)}`);
    return a + b;
  });
  seen.push(bound.length, Reflect.apply(bound, "me", [1, 2]), manager.bind(named("no function"), 5));

  const emitter = new EventEmitter();
  seen.push(manager.bind(named("emitter"), emitter) === emitter);
  manager.bind(named("again"), emitter);
  const listener = function (this: unknown, ...args: unknown[]): void {
    look(`received ${args.join()} ${this === emitter}`);
  };
  for (const add of ["on", "addListener", "prependListener", "once", "prependOnceListener"] as const) {
    const event = `by ${add}`;
    emitter[add](event, listener);
    seen.push(
      emitter.listenerCount(event),
      emitter.emit(event, 1),
      emitter.emit(event, 2),
      emitter.listenerCount(event),
    );
    emitter.removeListener(event, listener);
    seen.push(emitter.listenerCount(event));
    emitter[add](event, listener);
    emitter.off(event, listener);
    seen.push(emitter.emit(event, 3));
    emitter[add](event, listener);
    emitter.removeAllListeners(event);
    seen.push(emitter.emit(event, 4));
  }

  await manager.with(named("outer"), async () => {
    const token = manager.attach?.(named("attached"));
    look("attached");
    await Promise.resolve();
    look("attached, later");
    token?.dispose();
    look("let go");
  });
  look("at last");
  manager.disable();
  look("disabled");
  return seen;
}

describe("The context manager of a recorder", () => {
  it("has the context where the SDK's has it: in calls, later, in bound functions and in emitters", async () => {
    const expected = await contextsSeen(new AsyncLocalStorageContextManager().enable());
    expect(expected).toContainEqual(["later", "async"]);
    expect(expected).toContainEqual(["received 1 true", "emitter"]);
    expect(await contextsSeen(new AsyncContextManager().enable())).toEqual(expected);
  });
});

const sdk = new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] });

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
const headers: readonly (readonly [title: string, carrier: Record<string, string | string[]>])[] = [
  ["nothing", {}],
  ["a sampled parent", { traceparent: `${parent}-01` }],
  ["one that is not sampled, between spaces", { traceparent: ` ${parent}-00 ` }],
  ["a state", { traceparent: `${parent}-01`, tracestate: "a=1,b=2" }],
  ["a state in two headers", { traceparent: `${parent}-01`, tracestate: ["a=1", "b=2"] }],
  ["a state without a parent", { tracestate: "a=1" }],
  ["further fields in version 00", { traceparent: `${parent}-01-more` }],
  ["further fields in a later version", { traceparent: `cc${parent.slice(2)}-01-more` }],
  ["a later version", { traceparent: `cc${parent.slice(2)}-01` }],
  ["version ff", { traceparent: `ff${parent.slice(2)}-01` }],
  ["no trace ID", { traceparent: `00-${"0".repeat(32)}-b7ad6b7169203331-01` }],
  ["no span ID", { traceparent: `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01` }],
  ["upper case", { traceparent: `${parent.toUpperCase()}-01` }],
  ["no flags", { traceparent: parent }],
  ["two parents", { traceparent: [`${parent}-01`, `${parent}-00`] }],
  ["baggage", { baggage: "user=ada,plan=pro" }],
  [
    "baggage with spaces, escapes and properties",
    { baggage: " user = Ada%20L , plan=pro;until=2030;trial, =x, nothing=, broken=%zz ,alone" },
  ],
  ["baggage in two headers", { baggage: ["user=ada", "plan=pro"] }],
  ["both", { traceparent: `${parent}-01`, baggage: "user=ada" }],
];

describe("The propagators of a recorder", () => {
  const read = (propagator: TextMapPropagator, carrier: object): unknown => {
    const context = propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
    const { traceState, ...ids } = trace.getSpanContext(context) ?? {};
    const entries = propagation.getBaggage(context)?.getAllEntries();
    return {
      ids,
      state: traceState?.serialize(),
      baggage: entries?.map(([name, { value, metadata }]) => [name, value, metadata?.toString()]),
    };
  };

  it.each(headers)("take from headers what the SDK's take: %s", (_, carrier) => {
    expect(read(w3cPropagator, carrier)).toEqual(read(sdk, carrier));
  });

  it("put into headers what the SDK's put there", () => {
    const written = (propagator: TextMapPropagator, context: typeof ROOT_CONTEXT): unknown => {
      const carrier = {};
      propagator.inject(context, carrier, defaultTextMapSetter);
      return carrier;
    };
    const contexts = headers.map(([, carrier]) => sdk.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter));
    const invalid = trace.setSpanContext(ROOT_CONTEXT, { traceId: "", spanId: "", traceFlags: TraceFlags.SAMPLED });
    for (const context of [...contexts, ...contexts.map(suppressTracing), invalid]) {
      expect(written(w3cPropagator, context)).toEqual(written(sdk, context));
    }
    expect(contexts.some((context) => propagation.getBaggage(context) !== undefined)).toBe(true);
    expect(w3cPropagator.fields().toSorted()).toEqual(sdk.fields().toSorted());
  });
});
