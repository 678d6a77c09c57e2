/** The encoding and transport of OTLP. */
export type OtlpProtocol = "http/json" | "http/protobuf" | "grpc";
/** Where a signal is exported: to an OTLP collector, to the console, or nowhere. */
export type OtlpExporterName = "otlp" | "console" | "none";

/** How the collector is reached, for all signals or for one. */
export interface OtlpExportOptions {
  /**
   * URL of the OTLP collector, `http:` or `https:`.
   *
   * For all signals it is a base URL, like `OTEL_EXPORTER_OTLP_ENDPOINT`: `/v1/traces` and so on are appended, except for
   * `grpc`. For one signal it is used unchanged. Default: `http://localhost:4318`, for `grpc`
   * `http://localhost:4317`.
   */
  readonly endpoint?: string | undefined;
  /** Default: `OTEL_EXPORTER_OTLP_PROTOCOL`, else `http/json`. */
  readonly protocol?: OtlpProtocol | undefined;
  /** Headers of every export, by name, for example an API key. They are added to those of `OTEL_EXPORTER_OTLP_HEADERS`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default: `OTEL_EXPORTER_OTLP_COMPRESSION`, else `none`. */
  readonly compression?: "gzip" | "none" | undefined;
  /** The timeout of one export with all its attempts, in milliseconds. Default: `OTEL_EXPORTER_OTLP_TIMEOUT`, else 10000. */
  readonly timeout?: number | undefined;
  /** A file with the certificate authority to trust. It is read at set-up, like the next two. Default: `OTEL_EXPORTER_OTLP_CERTIFICATE`. */
  readonly certificate?: string | undefined;
  /** A file with the client's certificate, for mutual TLS. Default: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`. */
  readonly clientCertificate?: string | undefined;
  /** A file with the client's key, for mutual TLS. Default: `OTEL_EXPORTER_OTLP_CLIENT_KEY`. */
  readonly clientKey?: string | undefined;
  /** `grpc` without TLS, for an address without a scheme. Default: `OTEL_EXPORTER_OTLP_INSECURE`, else `false`. */
  readonly insecure?: boolean | undefined;
}

/** Options of one signal. They override those of all signals. */
export interface OtlpSignalOptions extends OtlpExportOptions {
  /** One or several destinations; an empty list is `none`. Default: `OTEL_TRACES_EXPORTER` (and so on), else `otlp`. */
  readonly exporter?: OtlpExporterName | readonly OtlpExporterName[] | undefined;
  /** The same as `timeout`, under the name that OpenTelemetry's batch processors have; the shorter one applies. In milliseconds; 30000 by default. */
  readonly exportTimeout?: number | undefined;
}

/** Options of a signal that is sent in batches: spans or log records. */
export interface OtlpBatchOptions extends OtlpSignalOptions {
  /** How long items are collected before they are sent, in milliseconds. Default: 5000 for spans, 1000 for log records. */
  readonly scheduleDelay?: number | undefined;
  /** The limit of queued items, which is also 32 MiB. Further ones are dropped and reported. Default: 32768. */
  readonly maxQueueSize?: number | undefined;
  /** The limit of items in one request. Default: 512. */
  readonly maxExportBatchSize?: number | undefined;
}

/** Options of metrics. */
export interface OtlpMetricOptions extends OtlpSignalOptions {
  /** How often metrics are exported, in milliseconds. Default: `OTEL_METRIC_EXPORT_INTERVAL`, else 60000. */
  readonly exportInterval?: number | undefined;
  /** Default: `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, else `cumulative`. */
  readonly temporality?: "cumulative" | "delta" | "lowmemory" | undefined;
  /**
   * How histograms are aggregated. Default: `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`, else
   * `explicit_bucket_histogram`, with the buckets that each instrument advises.
   */
  readonly histogramAggregation?: "explicit_bucket_histogram" | "base2_exponential_bucket_histogram" | undefined;
}

/**
 * Options of {@link setupOtlp}. Each one has an environment variable, which applies if the option is omitted or an empty
 * string. docs/otlp.md has a table of both.
 */
export interface OtlpOptions extends OtlpExportOptions {
  /** `true` sets nothing up. Default: `OTEL_SDK_DISABLED`, else `false`. */
  readonly disabled?: boolean | undefined;
  /** Options of traces; `false` turns them off. */
  readonly traces?: false | OtlpBatchOptions | undefined;
  /** Options of metrics; `false` turns them off. */
  readonly metrics?: false | OtlpMetricOptions | undefined;
  /** Options of logs; `false` turns them off. */
  readonly logs?: false | OtlpBatchOptions | undefined;
  /** The `service.name` of the resource. Default: `OTEL_SERVICE_NAME`. */
  readonly serviceName?: string | undefined;
  /** More attributes of the resource. They override those of `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly resourceAttributes?: ResourceAttributes | undefined;
  /** The detectors of the resource; an empty list is `none`. Default: `OTEL_NODE_RESOURCE_DETECTORS`, else `all`. */
  readonly resourceDetectors?: ResourceDetectorName | readonly ResourceDetectorName[] | undefined;
  /** Decides which spans are recorded. Default: `OTEL_TRACES_SAMPLER`, else all, unless the parent was not sampled. */
  readonly sampler?: SamplerName | undefined;
  /** The ratio of the samplers that have one. Default: `OTEL_TRACES_SAMPLER_ARG`, else 1. */
  readonly samplerArg?: number | undefined;
  /** The formats in which context is propagated; an empty list is `none`. Default: `OTEL_PROPAGATORS`, else `tracecontext` and `baggage`. */
  readonly propagators?: PropagatorName | readonly PropagatorName[] | undefined;
  /** The level of OpenTelemetry's own diagnostics on the console. Default: `OTEL_LOG_LEVEL`, else only problems at set-up. */
  readonly logLevel?: "none" | "error" | "warn" | "info" | "debug" | "verbose" | "all" | undefined;
  /**
   * Whether to print the configuration and its sources to standard error, once and without secrets.
   * Default: `DURABLE_TELEMETRY_DIAGNOSTICS`, else `false`.
   */
  readonly diagnostics?: boolean | undefined;
  /** How long `shutdown()` may take, in milliseconds. Default: `DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT`, else 5000. */
  readonly shutdownTimeout?: number | undefined;
  /**
   * Whether to shut down when the process gets SIGTERM (telemetry.md K3). Default: `DURABLE_TELEMETRY_HANDLE_SIGTERM`,
   * else `false`.
   *
   * The process then ends as it does without a listener. If the program listens to SIGTERM too, the program decides when to
   * end: recorded telemetry is exported at once, telemetry stays on for the last work, and it is shut down when nothing is
   * left to do. Both together take at most `shutdownTimeout`. A program that ends with `process.exit()` must call
   * `shutdown()` first.
   */
  readonly handleSigterm?: boolean | undefined;
  /** The same for SIGINT. Default: `DURABLE_TELEMETRY_HANDLE_SIGINT`, else `false`. */
  readonly handleSigint?: boolean | undefined;
}

/** A value of a resource attribute. */
export type ResourceAttributeValue =
  | string
  | number
  | boolean
  | readonly string[]
  | readonly number[]
  | readonly boolean[];
/** Attributes of the resource, by name. */
export type ResourceAttributes = Readonly<Record<string, ResourceAttributeValue | undefined>>;
/** The samplers of the SDK, by OpenTelemetry's names. */
export type SamplerName =
  | "always_on"
  | "always_off"
  | "traceidratio"
  | "parentbased_always_on"
  | "parentbased_always_off"
  | "parentbased_traceidratio";
/** A resource detector. */
export type ResourceDetectorName = "all" | "none" | "env" | "service" | "serviceinstance" | "process" | "host" | "os";
/** A format of context propagation. */
export type PropagatorName = "tracecontext" | "baggage" | "b3" | "b3multi" | "none";
