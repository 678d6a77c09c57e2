/** Jaeger's query API, as its own page uses it (`/api`), and as OTLP (`/api/v3`). */

/** A trace of `/api/traces`. */
export interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
}

export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  readonly processID: string;
  readonly references: readonly JaegerReference[];
  readonly tags: readonly KeyValue[];
  /** In microseconds, as the duration. */
  readonly startTime: number;
  readonly duration: number;
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly KeyValue[] }[];
  readonly warnings: readonly string[] | null;
}

export interface JaegerReference {
  readonly refType: "CHILD_OF" | "FOLLOWS_FROM";
  readonly traceID: string;
  readonly spanID: string;
}

interface KeyValue {
  readonly key: string;
  readonly value: unknown;
}

/** A span of `/api/v3/traces`, with the service that its resource names. */
export interface OtlpSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly attributes?: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
  readonly events?: readonly { readonly name: string }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
}

/** How often one service called another. */
export interface Dependency {
  readonly parent: string;
  readonly child: string;
  readonly callCount: number;
}

/** Asks one Jaeger. */
export class JaegerQuery {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** A trace, or `undefined` if Jaeger has no span of it. */
  async trace(traceId: string): Promise<JaegerTrace | undefined> {
    const response = await fetch(`${this.#url}/api/traces/${traceId}`);
    if (response.status === 404) return undefined;
    return (await data<JaegerTrace[]>(response))[0];
  }

  /**
   * All spans of a trace, in OTLP. Ask for traces that are complete: Jaeger 1.76 keeps the warnings that it adds to this answer
   * in its memory storage, and shows them for ever.
   */
  async otlp(traceId: string): Promise<readonly OtlpSpan[]> {
    const { resourceSpans } = (await body<{ result: TracesData }>(await fetch(`${this.#url}/api/v3/traces/${traceId}`)))
      .result;
    return resourceSpans.flatMap(({ resource, scopeSpans }) => {
      const name = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue ?? "";
      return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, service: name })));
    });
  }

  /** The traces in which a service has a span with a tag, as the search form finds them. */
  async find(service: string, tags: Readonly<Record<string, string>> = {}): Promise<readonly JaegerTrace[]> {
    const query = new URLSearchParams({ service, tags: JSON.stringify(tags), limit: "1000", lookback: "1h" });
    return data(await fetch(`${this.#url}/api/traces?${query.toString()}`));
  }

  async services(): Promise<readonly string[]> {
    return data(await fetch(`${this.#url}/api/services`));
  }

  /** The names and kinds of a service's spans. */
  async operations(service: string): Promise<readonly { readonly name: string; readonly spanKind: string }[]> {
    return data(await fetch(`${this.#url}/api/operations?service=${encodeURIComponent(service)}`));
  }

  /** What the page *System Architecture* draws. */
  async dependencies(): Promise<readonly Dependency[]> {
    return data(await fetch(`${this.#url}/api/dependencies?endTs=${Date.now()}&lookback=${60 * 60_000}`));
  }
}

interface TracesData {
  readonly resourceSpans: readonly {
    readonly resource: {
      readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

async function data<T>(response: Response): Promise<T> {
  return (await body<{ data: T | null }>(response)).data ?? ([] as T);
}

async function body<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`Jaeger answered ${response.status} to ${response.url}: ${await response.text()}`);
  return (await response.json()) as T;
}
