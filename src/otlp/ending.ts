import { nextTick } from "node:process";
import { BroadcastChannel, isMainThread, threadId, type Worker } from "node:worker_threads";

/** How long nothing must have been waited for until it is clear that the process goes on, in milliseconds. */
const rest = 60_000;

// A tenth of the time is left to say what was lost, and why.
const forExports = 0.9;

/**
 * The time that telemetry has. Usually each export has its own timeout. While a process ends, which may take several
 * steps (a signal, workers that stop, an empty event loop), all waits for telemetry take `budget` milliseconds
 * altogether (telemetry.md K3), and no export takes longer than what is left of that.
 */
export class Deadline {
  readonly #budget: number;
  readonly #listeners = new Set<() => void>();
  #left: number;
  #waits = 0;
  #since = 0;
  #rest: NodeJS.Timeout | undefined;
  #most = Number.POSITIVE_INFINITY;
  #end = Number.POSITIVE_INFINITY;

  constructor(budget: number) {
    this.#budget = budget;
    this.#left = budget;
  }

  /** Whether the last wait has begun. */
  get isLast(): boolean {
    return this.#end !== Number.POSITIVE_INFINITY;
  }

  /** Waits for `work` for as long as is left of the budget. @returns whether it ended. Never rejects. */
  async spend(work: () => Promise<unknown>): Promise<boolean> {
    return this.#remaining() > 0 && this.#spend(work, false);
  }

  /** The same for the last time; some time there is always for that. */
  async spendLast(work: () => Promise<unknown>): Promise<boolean> {
    return this.#spend(work, true);
  }

  /** Runs `work`, whose signal aborts after `most` milliseconds, or sooner when a process that ends can't wait as long. */
  async run<T>(most: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    const end = performance.now() + most;
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => {
      clearTimeout(timer);
      const now = performance.now();
      const wait = Math.max(0, Math.min(end, now + this.#most, this.#end) - now);
      timer = setTimeout(() => abort.abort(), wait).unref();
    };
    this.#listeners.add(arm);
    arm();
    try {
      return await work(abort.signal);
    } finally {
      this.#listeners.delete(arm);
      clearTimeout(timer);
    }
  }

  /** Waits `milliseconds`; no longer than until the signal aborts, or until the time that there is changes. */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds).unref();
    this.#listeners.add(resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
    this.#listeners.delete(resolve);
  }

  async #spend(work: () => Promise<unknown>, isLast: boolean): Promise<boolean> {
    clearTimeout(this.#rest);
    if (this.#waits === 0) this.#since = performance.now();
    this.#waits += 1;
    const time = this.#time();
    if (isLast) this.#end = performance.now() + time * forExports;
    this.#limit(time * forExports);
    const isDone = await settledWithin(time, work());
    this.#left = this.#remaining();
    this.#since = performance.now();
    this.#waits -= 1;
    if (this.#waits > 0) return isDone;
    // What is exported from now on holds the process too.
    this.#limit(this.#time() * forExports);
    this.#rest = setTimeout(() => {
      this.#left = this.#budget;
      this.#limit(Number.POSITIVE_INFINITY);
    }, rest).unref();
    return isDone;
  }

  #limit(most: number): void {
    this.#most = most;
    for (const listener of this.#listeners) listener();
  }

  #time(): number {
    return Math.max(this.#remaining(), this.#budget / 10);
  }

  #remaining(): number {
    return this.#waits === 0 ? this.#left : Math.max(0, this.#left - (performance.now() - this.#since));
  }
}

/** Waits until `work` settles, `timeout` milliseconds at most. @returns whether it settled. Never rejects. */
export async function settledWithin(timeout: number, work: Promise<unknown>): Promise<boolean> {
  const { promise: deadline, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, timeout, false);
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

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
    this.#channel.onmessage = (event) => void this.#hear((event as { readonly data: Message }).data);
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
