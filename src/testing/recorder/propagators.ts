import {
  baggageEntryMetadataFromString,
  createTraceState,
  isSpanContextValid,
  propagation,
  trace,
  type Baggage,
  type BaggageEntry,
  type SpanContext,
  type TextMapPropagator,
} from "@opentelemetry/api";
import { suppressTracingKey } from "../../suppress-tracing.ts";

/** Puts the span context and the baggage into headers, and takes them from there, as the W3C has specified it. */
export const w3cPropagator: TextMapPropagator = {
  inject(context, carrier, setter) {
    if (context.getValue(suppressTracingKey) === true) return;
    const set = (header: string, value: string | undefined): void =>
      value ? setter.set(carrier, header, value) : undefined;
    const spanContext = trace.getSpanContext(context);
    if (spanContext !== undefined && isSpanContextValid(spanContext)) {
      const { traceId, spanId, traceFlags, traceState } = spanContext;
      set("traceparent", `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`);
      set("tracestate", traceState?.serialize());
    }
    set("baggage", baggageText(propagation.getBaggage(context)));
  },

  extract(context, carrier, getter) {
    const valuesOf = (header: string): readonly string[] => [getter.get(carrier, header) ?? []].flat();
    const parent = spanContextIn(valuesOf("traceparent")[0] ?? "", valuesOf("tracestate").join(","));
    const baggage = baggageIn(valuesOf("baggage").join(","));
    const withParent = parent === undefined ? context : trace.setSpanContext(context, parent);
    return baggage.length === 0
      ? withParent
      : propagation.setBaggage(withParent, propagation.createBaggage(Object.fromEntries(baggage)));
  },

  fields: () => ["traceparent", "tracestate", "baggage"],
};

// A later version of the format may have more fields.
const traceparent =
  /^\s*(?:00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})|(?!00|ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-.*)?)\s*$/;

function spanContextIn(parent: string, state: string): SpanContext | undefined {
  const [traceId = "", spanId = "", flags = ""] = (traceparent.exec(parent) ?? [])
    .slice(1)
    .filter((part) => part !== undefined);
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  if (!isSpanContextValid(spanContext)) return undefined;
  return state === "" ? spanContext : { ...spanContext, traceState: createTraceState(state) };
}

function baggageText(baggage: Baggage | undefined): string {
  const entries = baggage?.getAllEntries() ?? [];
  return entries
    .map(
      ([key, { value, metadata }]) =>
        `${encodeURIComponent(key)}=${encodeURIComponent(value)}${metadata === undefined ? "" : `;${metadata.toString()}`}`,
    )
    .join(",");
}

function baggageIn(header: string): readonly [string, BaggageEntry][] {
  return header.split(",").flatMap((member): [string, BaggageEntry][] => {
    const [, key, value, metadata] = /^\s*([^=;\s]+)\s*=\s*([^;\s]+)\s*(?:;(.+))?$/.exec(member) ?? [];
    if (key === undefined || value === undefined) return [];
    try {
      const entry = {
        value: decodeURIComponent(value),
        ...(metadata === undefined ? {} : { metadata: baggageEntryMetadataFromString(metadata) }),
      };
      return [[decodeURIComponent(key), entry]];
    } catch {
      return []; // A malformed escape sequence.
    }
  });
}
