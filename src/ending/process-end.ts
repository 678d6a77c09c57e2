import { nextTick } from "node:process";
import { BroadcastChannel, isMainThread, threadId, type Worker } from "node:worker_threads";
import { settledWithin } from "./deadline.ts";

/** What a process waits for before it ends. No member rejects. */
export interface Ending {
  /** The longest wait, in milliseconds. */
  readonly timeout: number;
  /** Exports all recorded telemetry, and continues. */
  flush(): Promise<void>;
  /** Exports all recorded telemetry, and stops. */
  shutdown(): Promise<void>;
}

/**
 * Exports telemetry when the process gets one of the signals, including that of its worker threads. If the program listens
 * to the signal too, the program decides when to end, and telemetry stays on. Otherwise telemetry is shut down, and then
 * the process ends by the same signal. A second signal ends it at once. Process 1 of a container, which signals don't end,
 * continues with telemetry.
 *
 * @returns removes the listeners.
 */
export function flushAtSignals(signals: readonly NodeJS.Signals[], ending: Ending): () => void {
  const threads = new Threads(ending);
  const listeners = !isMainThread
    ? []
    : signals.map((signal) => {
        const onSignal = (): void => {
          // Remove this listener first: the program's listeners are called next, and may count the listeners.
          process.off(signal, onSignal);
          const others = threads.flush();
          // No signal that nobody listens to ends process 1 of a container, so it continues as well.
          if (process.listenerCount(signal) > 0 || process.pid === 1) void ending.flush();
          else void Promise.all([others, ending.shutdown()]).then(() => process.kill(process.pid, signal));
        };
        // Runs first, while `once` listeners of the program still count.
        process.prependListener(signal, onSignal);
        return () => void process.off(signal, onSignal);
      });
  return () => {
    threads.leave();
    for (const takeBack of listeners) takeBack();
  };
}

type Message =
  | { readonly of: number; readonly kind: "here" | "flushed" }
  | { readonly of: 0; readonly kind: "who" | "flush" };

/** The threads of a process. Signals reach only the main thread, which asks the others to export. */
class Threads {
  readonly #channel = new BroadcastChannel("durable-telemetry.threads");
  readonly #ending: Ending;
  /** In the main thread: the threads that have telemetry, and what to call when one has exported it. */
  readonly #others = new Map<number, (() => void) | undefined>();

  constructor(ending: Ending) {
    this.#ending = ending;
    this.#channel.addEventListener(
      "message",
      (event) => void this.#onMessage((event as unknown as { readonly data: Message }).data),
    );
    this.#channel.unref();
    if (isMainThread) {
      process.on("worker", this.#watch);
      this.#post({ of: 0, kind: "who" });
    } else this.#post({ of: threadId, kind: "here" });
  }

  /** Waits until the other threads have exported or ended, for at most the timeout. */
  async flush(): Promise<void> {
    const flushed = [...this.#others.keys()].map(
      (id) => new Promise<void>((resolve) => void this.#others.set(id, resolve)),
    );
    this.#post({ of: 0, kind: "flush" });
    await settledWithin(this.#ending.timeout, Promise.all(flushed));
  }

  leave(): void {
    process.off("worker", this.#watch);
    this.#channel.close();
  }

  readonly #watch = (worker: Worker): void => {
    const { threadId: id } = worker;
    worker.once("exit", () => {
      this.#others.get(id)?.();
      this.#others.delete(id);
    });
  };

  async #onMessage({ of, kind }: Message): Promise<void> {
    if (isMainThread && kind === "here") this.#others.set(of, undefined);
    else if (isMainThread && kind === "flushed") this.#others.get(of)?.();
    else if (!isMainThread && kind === "who") this.#post({ of: threadId, kind: "here" });
    else if (!isMainThread && kind === "flush") {
      await this.#ending.flush();
      this.#post({ of: threadId, kind: "flushed" });
    }
  }

  #post(message: Message): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has no origin
    this.#channel.postMessage(message);
  }
}

/**
 * Calls `fn` when the process has nothing left to do. It first waits for the work that `beforeExit` listeners start. The end
 * of `fn`'s own work emits no further `beforeExit`, so listeners get the event as often as without this.
 *
 * @returns removes the listener.
 */
export function whenIdle(fn: () => Promise<void>): () => void {
  const onBeforeExit = (): void => {
    const before = process.getActiveResourcesInfo().length;
    const check = (): void => {
      if (process.getActiveResourcesInfo().length > before) return; // The event is emitted again after that.
      process.off("beforeExit", onBeforeExit);
      void fn().then(() => {
        if (process.getActiveResourcesInfo().length <= before) skipBeforeExit();
      });
    };
    // By then all listeners have been called, and their microtasks are done.
    nextTick(() => queueMicrotask(() => nextTick(check)));
  };
  process.prependListener("beforeExit", onBeforeExit);
  return () => void process.off("beforeExit", onBeforeExit);
}

function skipBeforeExit(): void {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its own `this`
  const { emit } = process;
  const isOwn = Object.hasOwn(process, "emit");
  const once = function (this: unknown, ...args: readonly unknown[]): boolean {
    if (args[0] !== "beforeExit") return Reflect.apply(emit, process, args);
    if (isOwn) process.emit = emit;
    else Reflect.deleteProperty(process, "emit");
    return false;
  };
  process.emit = once as typeof emit;
}
