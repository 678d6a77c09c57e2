import { ROOT_CONTEXT, type Context, type ContextManager } from "@opentelemetry/api";
import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter } from "node:events";

type Listener = (...args: unknown[]) => unknown;

/** Has the context follow asynchronous calls. */
export class AsyncContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  readonly #boundEmitters = new WeakSet<EventEmitter>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(context, () => Reflect.apply(fn, thisArg, args));
  }

  bind<T>(context: Context, target: T): T {
    if (target instanceof EventEmitter) this.#bindEmitter(context, target);
    return typeof target === "function" ? (this.#bindFunction(context, target as unknown as Listener) as T) : target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }

  /** Since API 1.10: makes `context` the active one from here on, until `dispose`. */
  attach(context: Context): { dispose(): void } {
    const before = this.active();
    this.#storage.enterWith(context);
    return { dispose: () => this.#storage.enterWith(before) };
  }

  #bindFunction(context: Context, target: Listener): Listener {
    const storage = this.#storage;
    const bound = function (this: unknown, ...args: unknown[]): unknown {
      return storage.run(context, () => Reflect.apply(target, this, args));
    };
    return Object.defineProperty(bound, "length", { value: target.length });
  }

  /** Has the listeners that are added from now on called in the context. */
  #bindEmitter(context: Context, emitter: EventEmitter): void {
    if (this.#boundEmitters.has(emitter)) return;
    this.#boundEmitters.add(emitter);
    // A listener has the one that it stands for as `listener`, and an emitter finds it by that when it is to be removed.
    const bound = (listener: Listener): Listener => Object.assign(this.#bindFunction(context, listener), { listener });
    const on = emitter.on.bind(emitter);
    const prepend = emitter.prependListener.bind(emitter);
    const adding = (add: typeof on) => (event: string | symbol, listener: Listener) => add(event, bound(listener));
    // Not with `emitter.once`, which adds a listener of its own by `on`.
    const addingOnce = (add: typeof on) => (event: string | symbol, listener: Listener) => {
      const once = bound((...args) => {
        emitter.removeListener(event, once);
        return Reflect.apply(listener, emitter, args);
      });
      return add(event, Object.assign(once, { listener }));
    };
    Object.assign(emitter, {
      on: adding(on),
      addListener: adding(on),
      prependListener: adding(prepend),
      once: addingOnce(on),
      prependOnceListener: addingOnce(prepend),
    });
  }
}
