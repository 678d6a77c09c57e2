import type { Attributes, AttributeValue, Link, Span, SpanContext } from "@opentelemetry/api";
import { sharedFeature, type MiddlewareFeature } from "../pipeline/index.ts";

/**
 * The span of an orchestration before it exists (telemetry.md S7). The span is created when the orchestration finishes;
 * the handle keeps what you add until then. Nothing is stored between episodes: replay runs the same code and adds it
 * again.
 */
export interface OrchestrationSpanHandle {
  /** The identity of the span, the same in every episode. */
  spanContext(): SpanContext;
  /** Sets an attribute, replacing an earlier value. */
  setAttribute(key: string, value: AttributeValue): this;
  /** Sets several attributes. */
  setAttributes(attributes: Attributes): this;
  /** Adds an event at the current durable time. */
  addEvent(name: string, attributes?: Attributes): this;
  /** Adds a link. */
  addLink(link: Link): this;
}

/**
 * Feature key of the orchestration's span (contract.md F5), for middleware and orchestrators.
 *
 * @example currentFeatures()?.get(OrchestrationSpan)?.setAttribute("order.total", 42);
 */
export const OrchestrationSpan: MiddlewareFeature<OrchestrationSpanHandle> = sharedFeature("orchestration-span");

/**
 * Feature key of the activity's live span (contract.md F5), for middleware and activities.
 *
 * @example currentFeatures()?.get(ActivitySpan)?.addEvent("card.checked");
 */
export const ActivitySpan: MiddlewareFeature<Span> = sharedFeature("activity-span");

/**
 * The outcome of the activity cache for one execution of an activity (telemetry.md C7).
 *
 * - `hit`: the result comes from the store; the activity did not run.
 * - `miss`: the activity ran, and its result was stored, unless `shouldCache` rejected it or the cache was invalidated meanwhile.
 * - `coalesced`: an identical call was running, here or in another process; this call shares its result or failure.
 * - `bypass`: the activity ran, because its input has no canonical form, it has no namespace, or its result can't be stored.
 * - `error`: the activity ran, because the store or a function in the options failed.
 */
export type CacheOutcome = "hit" | "miss" | "coalesced" | "bypass" | "error";

/**
 * Feature key of the activity's cache outcome (contract.md F5). It is set when `next` has settled, for activities that the
 * cache is configured for. A running activity can't see it, because it is known only afterwards.
 *
 * @example
 * worker.useActivityMiddleware(async (ctx, next) => {
 *   await next(ctx);
 *   if (ctx.features.get(ActivityCacheOutcome) === "hit") ctx.logger.debug("from the cache");
 * }, { before: "caching" });
 */
export const ActivityCacheOutcome: MiddlewareFeature<CacheOutcome> = sharedFeature("activity-cache-outcome");
