/** Receivers in this process, one for each protocol that a distribution speaks. */
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { gunzipSync, inflateSync } from "node:zlib";
import { decodeRequest, itemsOf, type PlainMessage } from "../otlp/decode-message.ts";
import { decodeMetricsRequest } from "../otlp/decode-metrics.ts";
import { startReceiver } from "../otlp/receiver.ts";
import type { Received, Span } from "./account.ts";
import { createCertificate, type Certificate } from "./certificate.ts";

/** A receiver that a distribution sends to. */
export interface Backend extends AsyncDisposable {
  /** The variables that lead a distribution here. */
  readonly env: Readonly<Record<string, string>>;
  /** What has arrived so far. */
  received(): Received;
}

/** OTLP over HTTP, decoded strictly. */
export async function startOtlp(): Promise<Backend> {
  const receiver = await startReceiver();
  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_LOGS_EXPORTER: "otlp",
      OTEL_SERVICE_NAME: "lab",
    },
    received: () => ({
      // Logfire shows each span when it starts too, as another span.
      spans: receiver.spans
        .filter(({ attributes }) => attributes["logfire.span_type"] !== "pending_span")
        .map(({ name, traceId, spanId, parentSpanId, startTimeUnixNano, endTimeUnixNano }) => ({
          name,
          traceId,
          spanId,
          parentSpanId,
          duration: Number(endTimeUnixNano - startTimeUnixNano) / 1e6,
        })),
      logs: receiver.logs.map(({ body, eventName }) => `${eventName} ${JSON.stringify(body)}`),
      metrics: new Set(receiver.metrics.map(({ name }) => name)),
    }),
    [Symbol.asyncDispose]: () => receiver.close(),
  };
}

/** Datadog: OTLP too, but times are numbers in its JSON, and its log records have no time of observation, which the strict decoder refuses. */
export async function startDatadog(): Promise<Backend> {
  const spans: Span[] = [];
  const logs: string[] = [];
  const metrics = new Set<string>();
  const server = await startHttp(({ url, contentType, body }) => {
    if (url.pathname === "/v1/traces") spans.push(...datadogSpans(JSON.parse(body.toString()) as DatadogTraces));
    if (url.pathname === "/v1/logs")
      logs.push(...recordsOf(decodeRequest("logs", contentType, body)).map(({ item }) => JSON.stringify(item)));
    if (url.pathname === "/v1/metrics")
      for (const { name } of decodeMetricsRequest(contentType, body)) metrics.add(name);
    return {};
  });
  return {
    env: {
      DD_SERVICE: "lab",
      DD_TRACE_STARTUP_LOGS: "false",
      DD_INSTRUMENTATION_TELEMETRY_ENABLED: "false",
      DD_REMOTE_CONFIGURATION_ENABLED: "false",
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.port}`,
    },
    received: () => ({ spans, logs, metrics }),
    [Symbol.asyncDispose]: async () => server.close(),
  };
}

const recordsOf = (request: PlainMessage): ReturnType<typeof itemsOf> =>
  itemsOf(request, ["resourceLogs", "scopeLogs", "logRecords"]);

interface DatadogTraces {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly DatadogSpan[] }[] }[];
}

interface DatadogSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: number;
  readonly endTimeUnixNano: number;
}

function datadogSpans({ resourceSpans }: DatadogTraces): Span[] {
  return resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .map((span) => ({
      name: span.name,
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId === undefined || /^0*$/.test(span.parentSpanId) ? undefined : span.parentSpanId,
      duration: (span.endTimeUnixNano - span.startTimeUnixNano) / 1e6,
    }));
}

/** Application Insights: envelopes in JSON, over TLS. */
export async function startApplicationInsights(): Promise<Backend> {
  const envelopes: Envelope[] = [];
  const certificate = createCertificate();
  const server = await startHttp(({ url, body }) => {
    if (!url.pathname.endsWith("/track")) return {};
    const arrived = JSON.parse(body.toString()) as readonly Envelope[];
    envelopes.push(...arrived);
    return { itemsReceived: arrived.length, itemsAccepted: arrived.length, errors: [] };
  }, certificate);
  const url = `https://localhost:${server.port}`;
  const of = (...types: readonly string[]): readonly Envelope[] =>
    envelopes.filter(({ data }) => types.includes(data.baseType));
  return {
    env: {
      APPLICATIONINSIGHTS_CONNECTION_STRING: `InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=${url}/;LiveEndpoint=${url}/`,
      APPLICATION_INSIGHTS_NO_STATSBEAT: "1",
      APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: "1",
      NODE_EXTRA_CA_CERTS: certificate.path,
    },
    received: () => ({
      spans: of("RequestData", "RemoteDependencyData").map(({ tags, data: { baseData } }) => ({
        name: String(baseData["name"]),
        traceId: tags["ai.operation.id"] ?? "",
        spanId: String(baseData["id"]),
        parentSpanId: tags["ai.operation.parentId"],
        duration: millisecondsOf(String(baseData["duration"])),
      })),
      logs: of("MessageData", "ExceptionData", "EventData").map(({ data: { baseData } }) =>
        JSON.stringify(baseData, withoutStacks),
      ),
      metrics: new Set(
        of("MetricData").flatMap(({ data: { baseData } }) =>
          (baseData["metrics"] as readonly { readonly name: string }[]).map(({ name }) => name),
        ),
      ),
    }),
    [Symbol.asyncDispose]: async () => {
      server.close();
      certificate[Symbol.dispose]();
    },
  };
}

interface Envelope {
  readonly tags: Readonly<Record<string, string>>;
  readonly data: { readonly baseType: string; readonly baseData: Readonly<Record<string, unknown>> };
}

/** Of "hours:minutes:seconds"; none here takes a day. */
function millisecondsOf(duration: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = duration.split(":").map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

interface LoopbackServer {
  readonly port: number;
  close(): void;
}

interface ArrivedRequest {
  readonly url: URL;
  readonly contentType: string;
  readonly body: Buffer;
}

/** Answers each request with what `answer` returns, as JSON; over TLS where there is a certificate. */
async function startHttp(
  answer: (request: ArrivedRequest) => object,
  certificate?: Certificate,
): Promise<LoopbackServer> {
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { "content-encoding": encoding, "content-type": contentType = "" } = request.headers;
      const arrived = {
        url: new URL(request.url ?? "", "http://localhost"),
        contentType,
        body: inflated(Buffer.concat(chunks), encoding),
      };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer(arrived)));
    });
  };
  const server =
    certificate === undefined
      ? createServer(listener)
      : createTlsServer({ key: certificate.key, cert: certificate.cert }, listener);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server has no port");
  return {
    port: address.port,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function inflated(body: Buffer, encoding: string | undefined): Buffer {
  if (encoding === "gzip") return gunzipSync(body);
  return encoding === "deflate" ? inflateSync(body) : body;
}

/** Sentry: envelopes of items, a header and a payload each, as lines of JSON. */
export async function startSentry(): Promise<Backend> {
  const items: SentryItem[] = [];
  const server = await startHttp(({ body }) => {
    const lines = body
      .toString()
      .split("\n")
      .slice(1)
      .filter((line) => line !== "");
    const payloads = lines
      .filter((_line, index) => index % 2 === 1)
      .map((line) => JSON.parse(line) as { readonly items?: readonly SentryItem[] });
    items.push(...payloads.flatMap((payload) => payload.items ?? []));
    return {};
  });
  return {
    env: { SENTRY_DSN: `http://0123456789abcdef0123456789abcdef@127.0.0.1:${server.port}/1` },
    received: () => ({
      spans: items.flatMap((item) => {
        if (!("span_id" in item && "name" in item)) return [];
        const {
          name,
          trace_id: traceId,
          span_id: spanId,
          parent_span_id: parentSpanId,
          start_timestamp: start,
          end_timestamp: end,
        } = item;
        return [{ name, traceId, spanId, parentSpanId, duration: (end - start) * 1000 }];
      }),
      logs: items.flatMap((item) => ("body" in item ? [item.body] : [])),
      metrics: new Set(items.flatMap((item) => ("value" in item ? [item.name] : []))),
    }),
    [Symbol.asyncDispose]: async () => server.close(),
  };
}

interface SentrySpan {
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id?: string;
  readonly name: string;
  readonly start_timestamp: number;
  readonly end_timestamp: number;
}

type SentryItem = SentrySpan | { readonly body: string } | { readonly name: string; readonly value: number };

/** New Relic: the agent's own protocol, of which this answers what an agent needs to start; metrics come over OTLP. */
export async function startNewRelic(): Promise<Backend> {
  const spans: Span[] = [];
  const logs: string[] = [];
  const metrics = new Set<string>();
  const certificate = createCertificate();
  const answers: Readonly<Record<string, object>> = {
    // All of what a harvest has, each second.
    connect: {
      agent_run_id: "1",
      account_id: "1",
      primary_application_id: "1",
      trusted_account_key: "1",
      entity_guid: "guid",
      sampling_target: 10_000,
      event_harvest_config: {
        report_period_ms: 1000,
        harvest_limits: {
          analytic_event_data: 10_000,
          custom_event_data: 10_000,
          error_event_data: 1000,
          span_event_data: 10_000,
          log_event_data: 10_000,
        },
      },
      span_event_harvest_config: { report_period_ms: 1000, harvest_limit: 10_000 },
    },
  };
  const server: LoopbackServer = await startHttp(({ url, contentType, body }) => {
    if (url.pathname === "/v1/metrics") {
      for (const { name } of decodeMetricsRequest(contentType, body)) metrics.add(name);
      return {};
    }
    const method = url.searchParams.get("method") ?? "";
    const data = body.length === 0 ? [] : (JSON.parse(body.toString()) as readonly unknown[]);
    if (method === "span_event_data")
      spans.push(...(data[2] as readonly NewRelicSpan[]).filter(([{ guid }]) => guid !== undefined).map(newRelicSpan));
    if (method === "log_event_data")
      logs.push(
        ...(data[0] as { readonly logs: readonly { readonly message: string }[] }).logs.map(({ message }) => message),
      );
    if (method === "preconnect") return { return_value: { redirect_host: `localhost:${server.port}` } };
    return { return_value: answers[method] ?? [] };
  }, certificate);
  return {
    env: {
      NEW_RELIC_APP_NAME: "lab",
      NEW_RELIC_LICENSE_KEY: "0123456789abcdef0123456789abcdef01234567",
      NEW_RELIC_HOST: "localhost",
      NEW_RELIC_PORT: String(server.port),
      NEW_RELIC_LOG_ENABLED: "false",
      NEW_RELIC_OPENTELEMETRY_ENABLED: "true",
      ...Object.fromEntries(
        ["AWS", "AZURE", "AZUREFUNCTION", "GCP", "PCF", "KUBERNETES", "DOCKER"].map((vendor) => [
          `NEW_RELIC_UTILIZATION_DETECT_${vendor}`,
          "false",
        ]),
      ),
      NODE_EXTRA_CA_CERTS: certificate.path,
    },
    received: () => ({ spans, logs, metrics }),
    [Symbol.asyncDispose]: async () => {
      server.close();
      certificate[Symbol.dispose]();
    },
  };
}

type NewRelicAttributes = Readonly<Record<string, string | number>>;
/** The agent's own attributes of a span, those that the application sets through the agent's API, and the OpenTelemetry attributes. */
type NewRelicSpan = readonly [NewRelicAttributes, NewRelicAttributes, NewRelicAttributes];

function newRelicSpan([{ name, traceId, guid, parentId, duration }, , attributes]: NewRelicSpan): Span {
  const { "durabletask.type": type, "durabletask.task.name": task } = attributes;
  return {
    // It names a span by rules of its own, which know HTTP and databases.
    name: type === undefined ? String(name).replace(/^Custom\//, "") : `${type}:${task}`,
    traceId: String(traceId),
    spanId: String(guid),
    parentSpanId: parentId === undefined ? undefined : String(parentId),
    duration: Number(duration) * 1000,
  };
}

// The stack of an exception names functions of the SDK, which look like names of the workflow's.
function withoutStacks(key: string, value: unknown): unknown {
  return key === "stack" || key === "parsedStack" ? undefined : value;
}
