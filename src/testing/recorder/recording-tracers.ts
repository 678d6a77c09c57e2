import {
  context as contextApi,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  SamplingDecision,
  SpanKind,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
  type TracerOptions,
  type TracerProvider,
} from "@opentelemetry/api";
import { randomBytes } from "node:crypto";
import { takeSpanId, takeTraceId } from "../../telemetry/chosen-ids.ts";
import { suppressTracingKey } from "../../suppress-tracing.ts";
import { copyAttributes } from "./attributes.ts";
import type { InstrumentationScope, IdGenerator, SpanProcessor, Sampler } from "./recorded-span.ts";
import { RecordingSpan } from "./recording-span.ts";

/** How spans are created. */
interface SpanMaking {
  readonly sampler: Sampler;
  readonly idGenerator: IdGenerator;
  readonly observers: readonly SpanProcessor[];
}

/** The tracers of one recorder. */
export class RecordingTracers implements TracerProvider {
  readonly #making: SpanMaking;
  readonly #tracers = new Map<string, Tracer>();

  constructor({
    sampler = parentBased,
    idGenerator = chosenOrRandom,
    observers,
  }: Pick<SpanMaking, "observers"> & { readonly [K in keyof SpanMaking]?: SpanMaking[K] | undefined }) {
    this.#making = { sampler, idGenerator, observers };
  }

  getTracer(name: string, version?: string, options?: TracerOptions): Tracer {
    const scope = scopeOf(name, version, options);
    const key = JSON.stringify(scope);
    let tracer = this.#tracers.get(key);
    if (tracer === undefined) {
      tracer = new RecordingTracer(scope, this.#making);
      this.#tracers.set(key, tracer);
    }
    return tracer;
  }
}

/** The scope that a tracer or a logger belongs to. */
export function scopeOf(
  name: string,
  version: string | undefined,
  options: { schemaUrl?: string | undefined } | undefined,
): InstrumentationScope {
  const schemaUrl = options?.schemaUrl;
  return { name, ...(version === undefined ? {} : { version }), ...(schemaUrl === undefined ? {} : { schemaUrl }) };
}

class RecordingTracer implements Tracer {
  // Named as the SDKs' tracers have them: tracing asks the sampler before it starts a span, and whether IDs can be chosen.
  readonly _sampler: Sampler;
  readonly _idGenerator: IdGenerator;
  readonly #scope: InstrumentationScope;
  readonly #observers: readonly SpanProcessor[];

  constructor(scope: InstrumentationScope, { sampler, idGenerator, observers }: SpanMaking) {
    this._sampler = sampler;
    this._idGenerator = idGenerator;
    this.#scope = scope;
    this.#observers = observers;
  }

  startSpan(name: string, options: SpanOptions = {}, active: Context = contextApi.active()): Span {
    const context = options.root === true ? trace.deleteSpan(active) : active;
    if (context.getValue(suppressTracingKey) === true) return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    const above = trace.getSpanContext(context);
    const parent = above !== undefined && isSpanContextValid(above) ? above : undefined;
    const spanId = this._idGenerator.generateSpanId();
    const traceId = parent?.traceId ?? this._idGenerator.generateTraceId();
    const kind = options.kind ?? SpanKind.INTERNAL;
    const attributes = copyAttributes(options.attributes);
    const links = (options.links ?? []).map((link) => ({ ...link, attributes: copyAttributes(link.attributes) }));
    const sampled = this._sampler.shouldSample(context, traceId, name, kind, attributes, links);
    const traceState = sampled.traceState ?? parent?.traceState;
    const spanContext: SpanContext = {
      traceId,
      spanId,
      traceFlags: sampled.decision === recordedAndSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      ...(traceState === undefined ? {} : { traceState }),
    };
    if (sampled.decision === leftOut) return trace.wrapSpanContext(spanContext);
    return new RecordingSpan(
      {
        name,
        kind,
        spanContext,
        parentSpanContext: parent,
        attributes: { ...attributes, ...copyAttributes(sampled.attributes) },
        links,
        startTime: options.startTime,
        instrumentationScope: this.#scope,
        context,
      },
      this.#observers,
    );
  }

  startActiveSpan<F extends (span: Span) => unknown>(
    ...args:
      | [name: string, fn: F]
      | [name: string, options: SpanOptions, fn: F]
      | [name: string, options: SpanOptions, context: Context, fn: F]
  ): ReturnType<F> {
    const fn = args.at(-1) as F;
    const [name, options, parent = contextApi.active()] = args.slice(0, -1) as [
      name: string,
      options?: SpanOptions,
      context?: Context,
    ];
    const span = this.startSpan(name, options, parent);
    return contextApi.with(trace.setSpan(parent, span), () => fn(span) as ReturnType<F>);
  }
}

// The SDKs have an enumeration of their own, with the same numbers.
const leftOut: number = SamplingDecision.NOT_RECORD;
const recordedAndSampled: number = SamplingDecision.RECORD_AND_SAMPLED;

// What the SDKs have by default.
const parentBased: Sampler = {
  shouldSample(context) {
    const parent = trace.getSpanContext(context);
    const isParentLeftOut =
      parent !== undefined && isSpanContextValid(parent) && (parent.traceFlags & TraceFlags.SAMPLED) === 0;
    return { decision: isParentLeftOut ? leftOut : recordedAndSampled };
  },
};

// As DurableIdGenerator, whose module needs an SDK (telemetry.md I6).
const chosenOrRandom: IdGenerator = {
  generateTraceId: () => takeTraceId() ?? randomBytes(16).toString("hex"),
  generateSpanId: () => takeSpanId() ?? randomBytes(8).toString("hex"),
};
