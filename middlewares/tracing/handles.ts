import { isSpanContextValid, type Attributes, type AttributeValue, type Link, type Span, type SpanContext } from "@opentelemetry/api";
import { sharedFeature, type MiddlewareFeature } from "../../src/pipeline/index.ts";
import { userAttributes } from "./attributes.ts";
import { isolated } from "./faults.ts";

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

/** An event with its durable time. */
export interface RecordedEvent {
  readonly name: string;
  readonly attributes: Attributes;
  readonly time: Date;
}

/** Keeps what is put on an orchestration's span during one episode. */
export class RecordedSpan implements OrchestrationSpanHandle {
  readonly #spanContext: SpanContext;
  readonly #now: () => Date;
  readonly attributes: Attributes = {};
  readonly events: RecordedEvent[] = [];
  readonly links: Link[] = [];

  constructor(spanContext: SpanContext, now: () => Date) {
    this.#spanContext = spanContext;
    this.#now = now;
  }

  spanContext(): SpanContext {
    return this.#spanContext;
  }

  setAttribute(key: string, value: AttributeValue): this {
    return this.setAttributes({ [key]: value });
  }

  setAttributes(attributes: Attributes): this {
    Object.assign(this.attributes, userAttributes(attributes));
    return this;
  }

  addEvent(name: string, attributes: Attributes = {}): this {
    this.events.push({ name, attributes: userAttributes(attributes), time: this.#now() });
    return this;
  }

  addLink(link: Link): this {
    // A link that breaks when the span is made would cost the span.
    isolated.run("a link is left out", () => {
      if (!isSpanContextValid(link.context)) throw new TypeError("it has no valid span context");
      this.links.push({ context: link.context, attributes: userAttributes(link.attributes) });
    });
    return this;
  }
}
