import type { EventEmitter } from "node:events";
import { ROOT_CONTEXT, type Context } from "@opentelemetry/api";
import { events } from "../on-demand.ts";
import { suppressTracingKey } from "../suppress-tracing.ts";
import { activeContext, runIn } from "../telemetry/active-context.ts";

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
        const caller = activeContext();
        // As where an episode's response is sent.
        if (isSuppressed(caller)) return Reflect.apply(value, target, args);
        let hasCallback = false;
        const bound = args.map((each) => {
          if (typeof each !== "function") return each;
          hasCallback = true;
          return bindTo(caller, each);
        });
        const call: unknown = runIn(suppressed(caller), () => Reflect.apply(value, target, bound));
        // A stream's listeners are added afterwards.
        if (!hasCallback && call instanceof events().EventEmitter) listenIn(caller, call);
        return call;
      };
    },
  });
}

function isSuppressed(caller: Context): boolean {
  try {
    return caller.getValue(suppressTracingKey) === true;
  } catch {
    return false;
  }
}

const quiet: Context = ROOT_CONTEXT.setValue(suppressTracingKey, true);

function suppressed(caller: Context): Context {
  if (caller === ROOT_CONTEXT) return quiet;
  try {
    return caller.setValue(suppressTracingKey, true);
  } catch {
    return quiet;
  }
}

// Not by `context.bind`: a foreign context manager's is not always up to an event emitter. New Relic's (newrelic 14.5)
// returns a function for whatever it is given, and the worker would listen to that for ever.
function bindTo(caller: Context, target: object): (...args: unknown[]) => unknown {
  return function (this: unknown, ...args) {
    return runIn(caller, () => Reflect.apply(target as () => unknown, this, args));
  };
}

// Has the listeners of `emitter` run in `caller`.
function listenIn(caller: Context, emitter: EventEmitter): void {
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (...event) => runIn(caller, () => emit(...event));
}
