import { ROOT_CONTEXT, trace, type Context, type Span } from "@opentelemetry/api";

/**
 * A context that contains only a span, like the result of `trace.setSpan(ROOT_CONTEXT, span)`. The API's own has a map and
 * three closures; a worker creates several contexts in each step.
 */
export class SpanOnlyContext implements Context {
  readonly #span: Span;

  constructor(span: Span) {
    this.#span = span;
  }

  getValue(key: symbol): unknown {
    return key === spanKey ? this.#span : undefined;
  }

  setValue(key: symbol, value: unknown): Context {
    return trace.setSpan(ROOT_CONTEXT, this.#span).setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return key === spanKey ? ROOT_CONTEXT : this;
  }
}

// The API does not export its key, but passes it to a context's methods.
const spanKey: symbol = keyOfSpan();

function keyOfSpan(): symbol {
  let found: symbol | undefined;
  const asked: Context = {
    getValue: () => undefined,
    setValue: (key) => {
      found = key;
      return asked;
    },
    deleteValue: () => asked,
  };
  trace.setSpan(asked, trace.wrapSpanContext({ traceId: "", spanId: "", traceFlags: 0 }));
  return found ?? Symbol.for("OpenTelemetry Context Key SPAN");
}
