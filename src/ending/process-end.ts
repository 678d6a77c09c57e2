import { nextTick } from "node:process";
import { BroadcastChannel, isMainThread, threadId, type Worker } from "node:worker_threads";
import { settledWithin } from "./deadline.ts";

/** What a process that ends waits for. Nothing of it rejects. */
export interface Ending {
  /** How long that may take, in milliseconds. */
  readonly timeout: number;
  /** Delivers what there is, and goes on. */
  deliver(): Promise<void>;
  /** Delivers for the last time. */
  shutdown(): Promise<void>;
}

/**
 * Has telemetry delivered when the process gets one of the signals, that of its worker threads included, and then does
 * what it would have done without: where the program listens to the signal, the program decides when to end, and
 * telemetry stays on. Else it is shut down, and the process ends by the same signal then, or when the signal comes again.
 *
 * @returns what takes it back.
 */
export function deliverAtSignals(signals: readonly NodeJS.Signals[], ending: Ending): () => void {
  const threads = new Threads(ending);
  const listeners = !isMainThread ? [] : signals.map((signal) => {
    const onSignal = (): void => {
      // From here on the signal is the program's again: its listeners, which are called next, may count them.
      process.off(signal, onSignal);
      const others = threads.deliver();
      if (process.listenerCount(signal) > 0) void ending.deliver();
      else void Promise.all([others, ending.shutdown()]).then(() => process.kill(process.pid, signal));
    };
    // First in line: a `once` listener of the program is still there to be counted.
    process.prependListener(signal, onSignal);
    return () => void process.off(signal, onSignal);
  });
  return () => {
    threads.leave();
    for (const takeBack of listeners) takeBack();
  };
}

type Message = { readonly of: number; readonly says: "here" | "delivered" } | { readonly of: 0; readonly says: "who" | "deliver" };

/** The threads of a process. Signals reach the main thread alone, which has the others deliver. */
class Threads {
  readonly #channel = new BroadcastChannel("durable-telemetry.threads");
  readonly #ending: Ending;
  /** Of the main thread: the threads that have telemetry, and what to call when one has delivered. */
  readonly #others = new Map<number, (() => void) | undefined>();

  constructor(ending: Ending) {
    this.#ending = ending;
    this.#channel.addEventListener("message", (event) => void this.#hear((event as unknown as { readonly data: Message }).data));
    this.#channel.unref();
    if (isMainThread) {
      process.on("worker", this.#watch);
      this.#say({ of: 0, says: "who" });
    } else this.#say({ of: threadId, says: "here" });
  }

  /** Waits until the other threads have delivered, or have ended, or keep silent for too long. */
  async deliver(): Promise<void> {
    const delivered = [...this.#others.keys()].map(
      (id) => new Promise<void>((resolve) => void this.#others.set(id, resolve)),
    );
    this.#say({ of: 0, says: "deliver" });
    await settledWithin(this.#ending.timeout, Promise.all(delivered));
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

  async #hear({ of, says }: Message): Promise<void> {
    if (isMainThread && says === "here") this.#others.set(of, undefined);
    else if (isMainThread && says === "delivered") this.#others.get(of)?.();
    else if (!isMainThread && says === "who") this.#say({ of: threadId, says: "here" });
    else if (!isMainThread && says === "deliver") {
      await this.#ending.deliver();
      this.#say({ of: threadId, says: "delivered" });
    }
  }

  #say(message: Message): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has no origin
    this.#channel.postMessage(message);
  }
}

/**
 * Calls `fn` when the process has nothing left to do. What listeners to `beforeExit` start, the program's and others', is
 * waited for, and the end of what `fn` starts is no further `beforeExit` to them: the event comes as often as without.
 *
 * @returns what takes it back.
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
    // By then all listeners were called, and what they do in microtasks is done.
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
