import { EventEmitter } from "node:events";
import { context } from "@opentelemetry/api";
import { suppressTracingKey } from "../suppress-tracing.ts";

/**
 * The gRPC client of a worker, whose calls other instrumentation makes no spans of: they are how work comes and goes,
 * and would stand in no trace, or in one each. What the worker does with the answers is not part of a call: it runs in
 * the context of the caller.
 */
export function quietClient(client: object, member: string): object {
  const stub: unknown = Reflect.get(client, member);
  if (typeof stub !== "object" || stub === null) return client;
  return Object.create(client, { [member]: { value: quietStub(stub) } }) as object;
}

function quietStub(stub: object): object {
  return new Proxy(stub, {
    get: (target, member) => {
      const value: unknown = Reflect.get(target, member);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const caller = context.active();
        const bound = args.map((each) => (typeof each === "function" ? context.bind(caller, each) : each));
        const call: unknown = context.with(caller.setValue(suppressTracingKey, true), () => Reflect.apply(value, target, bound));
        return call instanceof EventEmitter ? context.bind(caller, call) : call;
      };
    },
  });
}
