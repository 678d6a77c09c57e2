import type { Attributes, AttributeValue, Link, Span, SpanContext } from "@opentelemetry/api";
import { sharedFeature, type MiddlewareFeature } from "../pipeline/index.ts";

/**
 * The span of an orchestration, before it is one (telemetry.md S7). The span itself is made when the orchestration
 * finishes; what is put here is kept until then. Episodes don't hand it on: replay runs the same code again and so
 * puts it here again.
 */
export interface OrchestrationSpanHandle {
  /** The identity of the span, the same in every episode. */
  spanContext(): SpanContext;
  /** Sets an attribute, in place of an earlier value. */
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
 * What the activity cache did for one execution of an activity (telemetry.md C7).
 *
 * - `hit`: the result comes from the store; the activity did not run.
 * - `miss`: the activity ran, and its result went to the store, unless `shouldCache` said no or the cache was invalidated meanwhile.
 * - `coalesced`: an identical call was under way, here or in another process; its outcome is this one's too.
 * - `bypass`: the activity ran, as its input has no canonical form, it has no namespace, or its result can't be kept.
 * - `error`: the activity ran, as the store or a function of the options failed.
 */
export type CacheOutcome = "hit" | "miss" | "coalesced" | "bypass" | "error";

/**
 * Feature key of the activity's cache outcome (contract.md F5). It is there when `next` has settled, for activities that
 * the cache is configured for; an activity that runs can't see it, as it is known afterwards.
 *
 * @example
 * worker.useActivityMiddleware(async (ctx, next) => {
 *   await next(ctx);
 *   if (ctx.features.get(ActivityCacheOutcome) === "hit") ctx.logger.debug("nothing was paid");
 * }, { before: "caching" });
 */
export const ActivityCacheOutcome: MiddlewareFeature<CacheOutcome> = sharedFeature("activity-cache-outcome");
