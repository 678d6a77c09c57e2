import type {
  ActivityMiddleware,
  ActivityMiddlewareContext,
  ActivityNext,
  MiddlewareObject,
} from "../../src/pipeline/index.ts";
import { brokenRules } from "../../src/pipeline/errors.ts";
import { MiddlewareFeatures } from "../../src/pipeline/index.ts";
import { Entries, type EntryKey, type Found } from "./entries.ts";
import { SingleFlight, type Shared } from "./single-flight.ts";
import { NamespaceEpochs } from "./namespace-epochs.ts";
import { GuardedStore } from "./guarded-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { settingsOf, type CacheRequest, type CachingOptions, type CachingSettings, type Policy } from "./options.ts";
import type { CacheOutcome } from "../../src/telemetry/handles.ts";
import { reportOutcome } from "./outcome.ts";
import { admits, keyOf } from "./request.ts";
import { resultOf, type StoredResult } from "./result.ts";
import type { Runtime } from "./runtime.ts";
import { canLock } from "./store.ts";
import { Locks, type Locked } from "./locks.ts";

/** What `cache.delete` needs in addition to the name and the input, if entries depend on it. */
export type DeleteRequest = { readonly [Name in "version" | "tags" | "features"]?: CacheRequest[Name] | undefined };

/** The middleware that {@link caching} creates, and the handle to invalidate its entries. */
export interface ActivityCache extends MiddlewareObject {
  readonly name: "caching";
  readonly activity: ActivityMiddleware;
  /**
   * Deletes an entry: later calls run the activity, and the result of a call that runs in this process is not stored. The
   * result of a call that runs in another process can still be stored, see docs/caching.md.
   *
   * @param name the activity's name.
   * @param input the input, as the activity gets it.
   * @param request the version, tags and features of the calls, if the entry depends on them.
   * @throws TypeError for an activity that is not cached, or an input that has no entry; Error if the store failed: the
   *   entry may still exist then.
   * @example await cache.delete("getQuote", { symbol: "ACME" });
   */
  delete(name: string, input: unknown, request?: DeleteRequest): Promise<void>;
  /**
   * Turns all entries of a namespace into misses, in all processes that share the store, including those of running calls.
   * It costs one operation, however many entries there are.
   *
   * @throws TypeError for anything but a non-empty string; Error if the store failed.
   * @example await cache.deleteNamespace("tenant-7");
   */
  deleteNamespace(namespace: string): Promise<void>;
}

type Context = ActivityMiddlewareContext;

/** A call that can be cached. */
interface Call {
  readonly ctx: Context;
  readonly next: ActivityNext;
  readonly policy: Policy;
  readonly entry: EntryKey;
}

/** The flow of a call: look the entry up, follow an identical call or run the activity, store the result. */
export class PipelineCache implements ActivityCache {
  readonly name = "caching";
  readonly #settings: CachingSettings;
  readonly #runtime: Runtime;
  readonly #epochs: NamespaceEpochs;
  readonly #entries: Entries;
  readonly #locks: Locks | undefined;
  readonly #running = new Map<string, SingleFlight>();

  constructor(options: CachingOptions, runtime: Runtime) {
    const settings = settingsOf(options);
    const store = settings.store ?? new MemoryStore(settings);
    const guard = new GuardedStore(settings.timeout, runtime);
    this.#settings = settings;
    this.#runtime = runtime;
    this.#epochs = new NamespaceEpochs(store, guard, settings.epochTtl);
    this.#entries = new Entries(store, guard, this.#epochs, runtime);
    this.#locks = canLock(store) ? new Locks(store, guard, this.#entries, runtime) : undefined;
  }

  // A value that it resolves with is the activity's own result.
  readonly activity = (ctx: Context, next: ActivityNext): PromiseLike<void> | undefined =>
    this.#answer(ctx, next) as PromiseLike<void> | undefined;

  #answer(ctx: Context, next: ActivityNext): Promise<unknown> | undefined {
    const policy = this.#settings.policies.get(ctx.name);
    if (policy === undefined) return next(ctx);
    const entry = keyOf(ctx, policy);
    if (typeof entry === "string") return bypass(ctx, next, entry);
    const call = { ctx, next, policy, entry };
    const run = this.#runningFor(entry);
    if (run === undefined) return this.#lookUp(call);
    return entry.namespace === undefined ? this.#follow(call, run) : this.#followInNamespace(call, entry.namespace);
  }

  async delete(name: string, input: unknown, request: DeleteRequest = {}): Promise<void> {
    const policy = this.#settings.policies.get(name);
    if (policy === undefined) {
      const known = [...this.#settings.policies.keys()].join(", ");
      throw new TypeError(`cache.delete: the activity "${name}" is not cached; those that are: ${known || "none"}.`);
    }
    const { version, tags = {}, features = new MiddlewareFeatures() } = request;
    const entry = keyOf({ name, version, input, tags, features }, policy);
    if (typeof entry === "string") {
      throw new TypeError(
        `cache.delete: such a call of "${name}" has no entry; give the input, version, tags and features that the calls have.`,
      );
    }
    this.#invalidateRunning(entry.key);
    const isDeleted = await this.#entries.delete(entry.key);
    // One that started meanwhile may have found the entry before it was gone.
    this.#invalidateRunning(entry.key);
    if (!isDeleted) throw new Error(`cache.delete: the store failed, so the entry of "${name}" may still be there.`);
  }

  async deleteNamespace(namespace: string): Promise<void> {
    if (typeof namespace !== "string" || namespace === "")
      throw new TypeError("cache.deleteNamespace: namespace must be a non-empty string.");
    for (const [key, run] of this.#running) if (run.namespace === namespace) this.#invalidate(key, run);
    if (!(await this.#epochs.renew(namespace))) {
      throw new Error(`cache.deleteNamespace: the store failed, so entries of "${namespace}" may still be there.`);
    }
  }

  /** The running identical call that a call can follow. */
  #runningFor({ key }: EntryKey): SingleFlight | undefined {
    const run = this.#running.get(key);
    return run?.isValid(this.#runtime.elapsed()) === true ? run : undefined;
  }

  #lookUp(call: Call): Promise<void> | undefined {
    const found = this.#entries.find(call.entry, call.policy);
    // A synchronous store costs no promise.
    if (!(found instanceof Promise) && found.state === "fresh") return hit(call.ctx, found.read());
    return this.#runAsLeader(call, found);
  }

  /**
   * Waits for an identical call in this process. Its followers share a failure, later calls don't (C5): each follower is an
   * activity with its own retry policy, so a broken service is called once instead of once per follower, and a retry is a
   * later call.
   */
  async #follow(call: Call, run: SingleFlight, isFirst: boolean = true): Promise<void> {
    const { ctx, next, entry } = call;
    const shared = await run.follow(() => this.#runtime.elapsed());
    switch (shared.kind) {
      case "result":
        return hit(ctx, shared.read(), shared.outcome);
      case "failed":
        reportOutcome(ctx.features, "coalesced");
        throw shared.error;
      case "givenUp": {
        // Once: of thousands of calls that were given up each would wake up all the others.
        if (!isFirst) return void (await bypass(ctx, next, "bypass"));
        const inItsPlace = this.#runningFor(entry);
        return inItsPlace === undefined ? this.#lookUp(call) : this.#follow(call, inItsPlace, false);
      }
      case "nothing":
        await bypass(ctx, next, "bypass");
    }
  }

  /**
   * The same in a namespace, which any process may have invalidated since the run started. If the store knows the epoch
   * neither here nor at the run's look-up, the call waits: that result is not stored. If it has failed since, another call
   * runs, which all others follow.
   */
  async #followInNamespace(call: Call, namespace: string): Promise<void> {
    const { entry } = call;
    // A store that failed may have recovered at the second attempt, and the first call that finds the run of no use starts
    // another. No more: of thousands of concurrent calls each would look at the runs of all the others.
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const epoch = await this.#epochs.current(namespace);
      const run = this.#runningFor(entry);
      if (run === undefined) break;
      if ((await run.epoch) === epoch) return this.#follow(call, run);
      if ((epoch !== "" || attempt > 1) && this.#running.get(entry.key) === run) this.#invalidate(entry.key, run);
    }
    await this.#lookUp(call);
  }

  /** Later calls run the activity again. Calls that already wait started before the invalidation. */
  #invalidate(key: string, run: SingleFlight): void {
    run.invalidate();
    this.#running.delete(key);
  }

  #invalidateRunning(key: string): void {
    const run = this.#running.get(key);
    if (run !== undefined) this.#invalidate(key, run);
  }

  async #runAsLeader(call: Call, lookUp: Found | Promise<Found>): Promise<void> {
    const { ctx, entry } = call;
    const run = new SingleFlight(entry.namespace);
    // `delete` would not find the one whose place it takes.
    this.#invalidateRunning(entry.key);
    this.#running.set(entry.key, run);
    try {
      const first = await lookUp;
      run.setEpoch(first.epoch);
      const { found, waited, release } = await this.#lock(call, first);
      run.release = release;
      if (run.invalidated) release();
      if (found.state === "fresh" || (found.state === "stale" && waited)) {
        const outcome = waited && found.state === "fresh" ? "coalesced" : "hit";
        run.end({ kind: "result", outcome, read: found.read });
        hit(ctx, found.read(), outcome);
        return;
      }
      if (found.state === "stale")
        run.serve({ kind: "result", outcome: "hit", read: found.read }, this.#runtime.elapsed() + found.left);
      await this.#run(call, found, run);
    } finally {
      run.release();
      if (this.#running.get(entry.key) === run) this.#running.delete(entry.key);
      // A fault of the cache itself must not leave followers waiting.
      run.setEpoch("");
      run.end({ kind: "nothing" });
    }
  }

  async #lock({ policy, entry }: Call, found: Found): Promise<Locked> {
    const absent = found.state === "none" || found.state === "stale";
    const { lockFor } = policy;
    if (absent && lockFor !== undefined && this.#locks !== undefined)
      return this.#locks.acquire(entry, found, lockFor, policy);
    return { found, waited: false, release: () => undefined };
  }

  async #run(call: Call, found: Found, run: SingleFlight): Promise<void> {
    const { ctx, next, policy } = call;
    const faulty = found.state === "fault";
    try {
      await next(ctx);
    } catch (error) {
      // Its own `next` is refused only then.
      const isGivenUp = brokenRules(error).some(({ middleware }) => middleware === this.name);
      run.end(isGivenUp ? { kind: "givenUp" } : { kind: "failed", error });
      reportOutcome(ctx.features, faulty ? "error" : "miss");
      throw error;
    }
    const result = resultOf(ctx.result);
    const shared: Shared =
      result === undefined ? { kind: "nothing" } : { kind: "result", outcome: "coalesced", read: result.read };
    // Before it is stored: a write can be slow.
    run.end(shared, this.#runtime.elapsed() + policy.ttl);
    const outcome = await this.#keep(call, found, run, result);
    reportOutcome(ctx.features, faulty ? "error" : outcome);
  }

  async #keep(
    { ctx, policy, entry }: Call,
    found: Found,
    run: SingleFlight,
    result: StoredResult | undefined,
  ): Promise<CacheOutcome> {
    if (result === undefined || result.size > this.#settings.maxValueSize) return "bypass";
    const admitted = admits(result.read, ctx, policy);
    if (admitted !== true) return admitted === false ? "miss" : "error";
    if (found.state === "fault" && found.down) return "error";
    if (run.invalidated) return "miss";
    const ttl = Math.max(1, Math.round(policy.ttl * (1 - policy.jitter * this.#runtime.random())));
    const kept = await this.#entries.keep(entry, found.epoch, result.json, { ttl, staleFor: policy.staleFor });
    return kept ? "miss" : "error";
  }
}

function hit(ctx: Context, value: unknown, outcome: CacheOutcome = "hit"): undefined {
  reportOutcome(ctx.features, outcome);
  ctx.setResult(value);
}

/** Bypasses the cache. */
function bypass(ctx: Context, next: ActivityNext, outcome: CacheOutcome): Promise<unknown> {
  reportOutcome(ctx.features, outcome);
  return next(ctx);
}
