import type { ChannelCredentials, Metadata } from "@grpc/grpc-js";
import type { TimedExporter } from "./contained-exporter.ts";
import { httpEndpoint, urlOfSignal, withoutCredentials } from "./endpoints.ts";
import type { Headers } from "./key-values.ts";
import type { OtlpProtocol } from "./options.ts";
import { load } from "./packages.ts";
import type { Signal, SignalSettings } from "./settings.ts";
import { type TlsFiles, tlsFilesOf } from "./tls.ts";

interface HttpConfiguration {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly httpAgentOptions: TlsFiles & { readonly keepAlive: true };
  readonly timeoutMillis: number;
}

interface GrpcConfiguration {
  readonly url: string;
  readonly metadata: Metadata;
  readonly credentials: ChannelCredentials;
  readonly timeoutMillis: number;
}

/** What loads the SDK's exporters of one signal. */
export interface OtlpExporters<TExporter> {
  readonly "http/json": () => new (configuration: HttpConfiguration) => TExporter;
  readonly "http/protobuf": () => new (configuration: HttpConfiguration) => TExporter;
  readonly grpc: () => new (configuration: GrpcConfiguration) => TExporter;
}

/** Where a signal goes, and how. */
export interface Collector<TExporter> {
  /** The collector's address for messages, without credentials. */
  readonly target: string;
  /** What messages must not show: values of headers, and their parts, such as the token after `Bearer`. */
  readonly secrets: readonly string[];
  /** @returns an exporter whose exports take `timeout` milliseconds at most. */
  createExporter(timeout: number): TimedExporter<TExporter>;
}

/** The collector that the settings name. */
export function chooseCollector<TExporter>(
  signal: Signal,
  settings: SignalSettings,
  exporters: OtlpExporters<TExporter>,
): Collector<TExporter> {
  const url = endpointOf(signal, settings);
  const headers = headersOf(settings);
  const protocol: OtlpProtocol = settings.protocol.value;
  const files = tlsFilesOf(signal, settings);
  const create = (timeoutMillis: number): TExporter => {
    if (protocol !== "grpc") {
      const Exporter = exporters[protocol]();
      return new Exporter({ url, headers: { ...headers }, httpAgentOptions: { keepAlive: true, ...files }, timeoutMillis });
    }
    const { Metadata } = load("@grpc/grpc-js");
    const Exporter = exporters.grpc();
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    // The exporter would make them as late as at its first export, from variables alone.
    return new Exporter({ url, metadata, credentials: grpcCredentials(url, files, settings.insecure.value), timeoutMillis });
  };
  return {
    target: withoutCredentials(url),
    secrets: Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)]).filter((text) => text.length > 3),
    createExporter: (timeout) => ({ exporter: create(timeout), timeout }),
  };
}

function grpcCredentials(url: string, { ca, key, cert }: TlsFiles, isInsecure: boolean): ChannelCredentials {
  const { credentials } = load("@grpc/grpc-js");
  const scheme = /^(https?):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === "http" || (scheme === undefined && isInsecure)) return credentials.createInsecure();
  return credentials.createSsl(ca, key, cert);
}

/** The address that exports of the signal go to. */
export function endpointOf(signal: Signal, { protocol, endpoint }: SignalSettings): string {
  if (protocol.value === "grpc") return endpoint.value ?? "http://localhost:4317";
  if (endpoint.value === undefined) return `http://localhost:4318/v1/${signal}`;
  // What is given for all signals is a base URL.
  return endpoint.place?.option === "endpoint" ? urlOfSignal(endpoint.value, signal) : endpoint.value;
}

/** The same for people, without secrets. */
export function showEndpoint(signal: Signal, settings: SignalSettings): string {
  return httpEndpoint.show(endpointOf(signal, settings));
}

/** The headers of each export, by their names in lower case: no matter how they are written, the stronger one wins. */
export function headersOf({ headers }: SignalSettings): Headers {
  const weakestFirst = headers.toReversed().flatMap(({ value }) => Object.entries(value));
  return Object.fromEntries(weakestFirst.map(([name, value]) => [name.toLowerCase(), value]));
}

/** The environment that the exporters of the signal shall see, for what they take from there alone. */
export function exporterVariables(signal: Signal, settings: SignalSettings): Readonly<Record<string, string | undefined>> {
  return { [`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_COMPRESSION`]: settings.compression.value };
}
