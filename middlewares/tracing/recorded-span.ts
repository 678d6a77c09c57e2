import {
  isSpanContextValid,
  type Attributes,
  type AttributeValue,
  type Link,
  type SpanContext,
} from "@opentelemetry/api";
import type { OrchestrationSpanHandle } from "../../src/telemetry/handles.ts";
import { userAttributes } from "./attributes.ts";
import { isolated } from "./faults.ts";

/** An event with its durable time. */
export interface RecordedEvent {
  readonly name: string;
  readonly attributes: Attributes;
  readonly time: Date;
}

/** Returns the durable time. */
interface DurableClock {
  readonly durableNow: Date;
}

/** Records what code adds to an orchestration's span during one episode. */
export class RecordedSpan implements OrchestrationSpanHandle {
  readonly #spanContext: SpanContext;
  readonly #clock: DurableClock;
  attributes: Attributes | undefined;
  events: RecordedEvent[] | undefined;
  links: Link[] | undefined;

  constructor(spanContext: SpanContext, clock: DurableClock) {
    this.#spanContext = spanContext;
    this.#clock = clock;
  }

  spanContext(): SpanContext {
    return this.#spanContext;
  }

  setAttribute(key: string, value: AttributeValue): this {
    return this.setAttributes({ [key]: value });
  }

  setAttributes(attributes: Attributes): this {
    this.attributes = { ...this.attributes, ...userAttributes(attributes) };
    return this;
  }

  addEvent(name: string, attributes: Attributes = {}): this {
    (this.events ??= []).push({ name, attributes: userAttributes(attributes), time: this.#clock.durableNow });
    return this;
  }

  addLink(link: Link): this {
    // A link that throws while the span is created would lose the span.
    isolated.run("a link is left out", () => {
      if (!isSpanContextValid(link.context)) throw new TypeError("it has no valid span context");
      (this.links ??= []).push({ context: link.context, attributes: userAttributes(link.attributes) });
    });
    return this;
  }
}
