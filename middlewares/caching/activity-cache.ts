import type { ActivityMiddleware, ActivityMiddlewareContext, ActivityNext, MiddlewareObject } from "../../src/pipeline/index.ts";
import { MiddlewareFeatures } from "../../src/pipeline/index.ts";
import { Entries, type EntryKey, type Found } from "./entries.ts";
import { Flight, type Shared } from "./flight.ts";
import { Generations } from "./generations.ts";
import { GuardedStore } from "./guarded-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { settingsOf, type CacheRequest, type CachingOptions, type CachingSettings, type Policy } from "./options.ts";
import type { CacheOutcome } from "../../src/telemetry/handles.ts";
import { tell } from "./outcome.ts";
import { admits, keyOf } from "./request.ts";
import { resultOf, type StoredResult } from "./result.ts";
import type { Runtime } from "./runtime.ts";
import { canLock } from "./store.ts";
import { Turns, type Turn } from "./turns.ts";

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

/** The flow of a call: look up, wait for an identical call or run, keep. */
export class PipelineCache implements ActivityCache {
  readonly name = "caching";
  readonly #settings: CachingSettings;
  readonly #runtime: Runtime;
  readonly #generations: Generations;
  readonly #entries: Entries;
  readonly #turns: Turns | undefined;
  readonly #flights = new Map<string, Flight>();

  constructor(options: CachingOptions, runtime: Runtime) {
    const settings = settingsOf(options);
    const store = settings.store ?? new MemoryStore(settings);
    const guard = new GuardedStore(settings.timeout, runtime);
    this.#settings = settings;
    this.#runtime = runtime;
    this.#generations = new Generations(store, guard, settings.generationTtl);
    this.#entries = new Entries(store, guard, this.#generations, runtime);
    this.#turns = canLock(store) ? new Turns(store, guard, this.#entries, runtime) : undefined;
  }

  // What it resolves with, if anything, is the activity's own result.
  readonly activity = (ctx: Context, next: ActivityNext): PromiseLike<void> | undefined =>
    this.#answer(ctx, next) as PromiseLike<void> | undefined;

  #answer(ctx: Context, next: ActivityNext): Promise<unknown> | undefined {
    const policy = this.#settings.policies.get(ctx.name);
    if (policy === undefined) return next(ctx);
    const entry = keyOf(ctx, policy);
    if (typeof entry === "string") return pass(ctx, next, entry);
    const call = { ctx, next, policy, entry };
    const flight = this.#flightOf(entry);
    if (flight === undefined) return this.#begin(call);
    return entry.namespace === undefined ? this.#join(call, flight) : this.#joinCurrent(call, entry.namespace);
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
      throw new TypeError(`cache.delete: such a call of "${name}" has no entry; give the input, version, tags and features that the calls have.`);
    }
    const flight = this.#flights.get(entry.key);
    if (flight !== undefined) this.#invalidate(entry.key, flight);
    if (!(await this.#entries.delete(entry.key))) throw new Error(`cache.delete: the store failed, so the entry of "${name}" may still be there.`);
  }

  async deleteNamespace(namespace: string): Promise<void> {
    if (typeof namespace !== "string" || namespace === "") throw new TypeError("cache.deleteNamespace: namespace must be a non-empty string.");
    for (const [key, flight] of this.#flights) if (flight.namespace === namespace) this.#invalidate(key, flight);
    if (!(await this.#generations.renew(namespace))) {
      throw new Error(`cache.deleteNamespace: the store failed, so entries of "${namespace}" may still be there.`);
    }
  }

  /** The run that a call can wait for. */
  #flightOf({ key }: EntryKey): Flight | undefined {
    const flight = this.#flights.get(key);
    return flight?.isGood(this.#runtime.elapsed()) === true ? flight : undefined;
  }

  #begin(call: Call): Promise<void> | undefined {
    const found = this.#entries.find(call.entry, call.policy);
    // A store that answers at once costs no turn of the event loop.
    if (!(found instanceof Promise) && found.state === "fresh") return hit(call.ctx, found.read());
    return this.#lead(call, found);
  }

  /**
   * Waits for an identical call in this process. A failure is shared by those that waited for it, and by nobody later
   * (C5): each of them is an activity with a retry policy of its own, so what is broken is asked once, not by all of them
   * one after the other; and a retry is a later call.
   */
  async #join({ ctx, next }: Call, flight: Flight): Promise<void> {
    const shared = await flight.share(() => this.#runtime.elapsed());
    switch (shared.kind) {
      case "result":
        return hit(ctx, shared.read(), shared.outcome);
      case "failed":
        tell(ctx.features, "coalesced");
        throw shared.error;
      case "nothing":
        await pass(ctx, next, "bypass");
    }
  }

  /**
   * The same in a namespace, which any process may have invalidated since the run began. Where the store can't tell,
   * neither here nor at the run's look-up, the call waits: that result is not kept.
   */
  async #joinCurrent(call: Call, namespace: string): Promise<void> {
    const { entry } = call;
    // Twice, as a store that failed to say may say it now, and as the first that finds the run out of date starts another.
    // No more: of thousands that come at once each would look at the runs of all the others.
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      const generation = await this.#generations.current(namespace);
      const flight = this.#flightOf(entry);
      if (flight === undefined) break;
      if ((await flight.generation) === generation) return this.#join(call, flight);
      if (generation !== "" && this.#flights.get(entry.key) === flight) this.#invalidate(entry.key, flight);
    }
    await this.#begin(call);
  }

  /** Later calls start anew; those that wait already began before. */
  #invalidate(key: string, flight: Flight): void {
    flight.invalidate();
    this.#flights.delete(key);
  }

  async #lead(call: Call, looked: Found | Promise<Found>): Promise<void> {
    const { ctx, entry } = call;
    const flight = new Flight(entry.namespace);
    this.#flights.set(entry.key, flight);
    try {
      const first = await looked;
      flight.looked(first.generation);
      const { found, waited, release } = await this.#turn(call, first);
      flight.release = release;
      if (flight.invalidated) release();
      if (found.state === "fresh" || (found.state === "stale" && waited)) {
        const outcome = waited && found.state === "fresh" ? "coalesced" : "hit";
        flight.end({ kind: "result", outcome, read: found.read });
        hit(ctx, found.read(), outcome);
        return;
      }
      if (found.state === "stale") flight.serve({ kind: "result", outcome: "hit", read: found.read }, this.#runtime.elapsed() + found.left);
      await this.#run(call, found, flight);
    } finally {
      flight.release();
      if (this.#flights.get(entry.key) === flight) this.#flights.delete(entry.key);
      // Nobody waits for ever, should there be a fault in the cache itself.
      flight.looked("");
      flight.end({ kind: "nothing" });
    }
  }

  async #turn({ policy, entry }: Call, found: Found): Promise<Turn> {
    const absent = found.state === "none" || found.state === "stale";
    const { lockFor } = policy;
    if (absent && lockFor !== undefined && this.#turns !== undefined) return this.#turns.take(entry, found, lockFor, policy);
    return { found, waited: false, release: () => undefined };
  }

  async #run(call: Call, found: Found, flight: Flight): Promise<void> {
    const { ctx, next, policy } = call;
    const faulty = found.state === "fault";
    try {
      await next(ctx);
    } catch (error) {
      flight.end({ kind: "failed", error });
      tell(ctx.features, faulty ? "error" : "miss");
      throw error;
    }
    const result = resultOf(ctx.result);
    const shared: Shared = result === undefined ? { kind: "nothing" } : { kind: "result", outcome: "coalesced", read: result.read };
    // It may take its time to keep it.
    flight.end(shared, this.#runtime.elapsed() + policy.ttl);
    const outcome = await this.#keep(call, found, flight, result);
    tell(ctx.features, faulty ? "error" : outcome);
  }

  async #keep({ ctx, policy, entry }: Call, found: Found, flight: Flight, result: StoredResult | undefined): Promise<CacheOutcome> {
    if (result === undefined || result.size > this.#settings.maxValueSize) return "bypass";
    const admitted = admits(result.read, ctx, policy);
    if (admitted !== true) return admitted === false ? "miss" : "error";
    if (found.state === "fault" && found.down) return "error";
    if (flight.invalidated) return "miss";
    const ttl = Math.max(1, Math.round(policy.ttl * (1 - policy.jitter * this.#runtime.random())));
    const kept = await this.#entries.keep(entry, found.generation, result.json, { ttl, staleFor: policy.staleFor });
    return kept ? "miss" : "error";
  }
}

function hit(ctx: Context, value: unknown, outcome: CacheOutcome = "hit"): undefined {
  tell(ctx.features, outcome);
  ctx.setResult(value);
}

/** Goes past the cache. */
function pass(ctx: Context, next: ActivityNext, outcome: CacheOutcome): Promise<unknown> {
  tell(ctx.features, outcome);
  return next(ctx);
}
