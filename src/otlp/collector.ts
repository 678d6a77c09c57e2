import { Metadata } from "@grpc/grpc-js";
import { diag } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import { positiveNumberFromEnv, textFromEnv } from "./environment.ts";
import { type CheckedOptions, parseHttpUrl } from "./options.ts";

type Protocol = "http/json" | "http/protobuf" | "grpc";

/** Where spans go, and how. */
export interface Collector {
  /** The collector's address for messages, without credentials. */
  readonly target: string;
  /** How long one export may take, with all its attempts, in milliseconds. */
  readonly timeout: number;
  /** @returns an exporter whose exports take `timeout` milliseconds at most. */
  createExporter(timeout: number): SpanExporter;
}

/** What the options and the `OTEL_EXPORTER_OTLP_*` variables say; the exporters read the rest of those themselves. */
export function chooseCollector(options: CheckedOptions): Collector {
  const protocol = protocolFromEnv();
  const timeout = exportTimeoutFromEnv();
  const { headers } = options;

  if (protocol === "grpc") {
    const url = options.endpoint?.href ?? grpcAddressFromEnv();
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return {
      target: withoutCredentials(url),
      timeout,
      createExporter: (timeoutMillis) => new GrpcTraceExporter({ url, metadata, timeoutMillis }),
    };
  }

  const url = tracesUrl(options.endpoint);
  const Exporter = protocol === "http/json" ? JsonTraceExporter : ProtobufTraceExporter;
  return {
    target: withoutCredentials(url),
    timeout,
    createExporter: (timeoutMillis) => new Exporter({ url, headers: { ...headers }, timeoutMillis }),
  };
}

function protocolFromEnv(): Protocol {
  const protocol = signalText("PROTOCOL") ?? "http/json";
  if (protocol === "http/json" || protocol === "http/protobuf" || protocol === "grpc") return protocol;
  diag.warn(`OTEL_EXPORTER_OTLP_PROTOCOL="${protocol}" is ignored; allowed are http/json (the default), http/protobuf and grpc`);
  return "http/json";
}

// OTEL_BSP_EXPORT_TIMEOUT is obeyed here and not in the span processor, which would only stop waiting: it would not
// stop the export, and it would write a stack trace for each.
function exportTimeoutFromEnv(): number {
  const exporter =
    positiveNumberFromEnv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") ?? positiveNumberFromEnv("OTEL_EXPORTER_OTLP_TIMEOUT") ?? 10_000;
  const processor = positiveNumberFromEnv("OTEL_BSP_EXPORT_TIMEOUT") ?? 30_000;
  return Math.min(exporter, processor);
}

function tracesUrl(endpoint: URL | undefined): string {
  return (
    (endpoint && withTracesPath(endpoint)) ??
    urlFromEnv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", (url) => url.href) ??
    urlFromEnv("OTEL_EXPORTER_OTLP_ENDPOINT", withTracesPath) ??
    "http://localhost:4318/v1/traces"
  );
}

// Here an address may lack its scheme.
function grpcAddressFromEnv(): string {
  const usual = "http://localhost:4317";
  const address = signalText("ENDPOINT");
  if (address === undefined || URL.canParse(address.includes("://") ? address : `https://${address}`)) return address ?? usual;
  diag.warn(`OTEL_EXPORTER_OTLP_ENDPOINT="${address}" is ignored: it must be an address such as "${usual}"`);
  return usual;
}

function urlFromEnv(name: string, toText: (url: URL) => string): string | undefined {
  const text = textFromEnv(name);
  if (text === undefined) return undefined;
  const url = parseHttpUrl(text);
  if (url !== undefined) return toText(url);
  diag.warn(`${name}="${text}" is ignored: it must be an http or https URL such as "http://localhost:4318"`);
  return undefined;
}

function withTracesPath(base: URL): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/traces`;
  return url.href;
}

function signalText(setting: "ENDPOINT" | "PROTOCOL"): string | undefined {
  return textFromEnv(`OTEL_EXPORTER_OTLP_TRACES_${setting}`) ?? textFromEnv(`OTEL_EXPORTER_OTLP_${setting}`);
}

function withoutCredentials(address: string): string {
  const url = parseHttpUrl(address);
  return url === undefined ? address : `${url.origin}${url.pathname}`;
}
