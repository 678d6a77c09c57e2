/** How OTLP travels. */
export type OtlpProtocol = "http/json" | "http/protobuf" | "grpc";
/** Where a signal goes: to an OTLP collector, to the console, or nowhere. */
export type OtlpExporterName = "otlp" | "console" | "none";

/** How exports reach the collector; for all signals, or for one. */
export interface OtlpExportOptions {
  /**
   * URL of the OTLP collector, `http:` or `https:`.
   *
   * For all signals it is a base URL: `/v1/traces` and so on are appended, as to `OTEL_EXPORTER_OTLP_ENDPOINT` (for
   * `grpc` nothing is). For one signal it is taken as it is. Default: `http://localhost:4318`, for `grpc`
   * `http://localhost:4317`.
   */
  readonly endpoint?: string | undefined;
  /** Default: `OTEL_EXPORTER_OTLP_PROTOCOL`, else `http/json`. */
  readonly protocol?: OtlpProtocol | undefined;
  /** Headers of every export, by name, for an API key say. They are added to those of `OTEL_EXPORTER_OTLP_HEADERS`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default: `OTEL_EXPORTER_OTLP_COMPRESSION`, else `none`. */
  readonly compression?: "gzip" | "none" | undefined;
  /** How long one export may take with all its attempts, in milliseconds. Default: `OTEL_EXPORTER_OTLP_TIMEOUT`, else 10000. */
  readonly timeout?: number | undefined;
  /** A file with the certificate authority to trust; like the next two it is read at set-up. Default: `OTEL_EXPORTER_OTLP_CERTIFICATE`. */
  readonly certificate?: string | undefined;
  /** A file with the client's certificate, for mutual TLS. Default: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`. */
  readonly clientCertificate?: string | undefined;
  /** A file with the client's key, for mutual TLS. Default: `OTEL_EXPORTER_OTLP_CLIENT_KEY`. */
  readonly clientKey?: string | undefined;
  /** `grpc` without TLS, for an address without a scheme. Default: `OTEL_EXPORTER_OTLP_INSECURE`, else `false`. */
  readonly insecure?: boolean | undefined;
}

/** What is said of one signal; it wins over what is said of all. */
export interface OtlpSignalOptions extends OtlpExportOptions {
  /** Where the signal goes; several are possible, and an empty list is `none`. Default: `OTEL_TRACES_EXPORTER` (and so on), else `otlp`. */
  readonly exporter?: OtlpExporterName | readonly OtlpExporterName[] | undefined;
  /** The same as `timeout`, by the name of the batch processor; the shorter of the two counts. In milliseconds, by default 30000. */
  readonly exportTimeout?: number | undefined;
}

/** What is said of a signal that is sent in batches, spans or log records. */
export interface OtlpBatchOptions extends OtlpSignalOptions {
  /** How long a batch is gathered, in milliseconds. Default: 5000 for spans, 1000 for log records. */
  readonly scheduleDelay?: number | undefined;
  /** How many may wait, in no more than 32 MiB; of more, some are dropped, and reported. Default: 32768. */
  readonly maxQueueSize?: number | undefined;
  /** How many one request carries at most. Default: 512. */
  readonly maxExportBatchSize?: number | undefined;
}

/** What is said of metrics. */
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
 * What {@link setupOtlp} takes in code. Each option has an environment variable; docs/otlp.md has them in one table.
 * What is left out (or is an empty text) is taken from the variable.
 */
export interface OtlpOptions extends OtlpExportOptions {
  /** `true` sets nothing up. Default: `OTEL_SDK_DISABLED`, else `false`. */
  readonly disabled?: boolean | undefined;
  /** Of traces; `false` leaves them out. */
  readonly traces?: false | OtlpBatchOptions | undefined;
  /** Of metrics; `false` leaves them out. */
  readonly metrics?: false | OtlpMetricOptions | undefined;
  /** Of logs; `false` leaves them out. */
  readonly logs?: false | OtlpBatchOptions | undefined;
  /** The `service.name` of the resource. Default: `OTEL_SERVICE_NAME`. */
  readonly serviceName?: string | undefined;
  /** More attributes of the resource; they win over those of `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly resourceAttributes?: ResourceAttributes | undefined;
  /** What is detected for the resource; an empty list is `none`. Default: `OTEL_NODE_RESOURCE_DETECTORS`, else `all`. */
  readonly resourceDetectors?: ResourceDetectorName | readonly ResourceDetectorName[] | undefined;
  /** Decides which spans are recorded. Default: `OTEL_TRACES_SAMPLER`, else all, unless the parent was not sampled. */
  readonly sampler?: SamplerName | undefined;
  /** The ratio of the samplers that have one. Default: `OTEL_TRACES_SAMPLER_ARG`, else 1. */
  readonly samplerArg?: number | undefined;
  /** How contexts travel in headers; an empty list is `none`. Default: `OTEL_PROPAGATORS`, else `tracecontext` and `baggage`. */
  readonly propagators?: PropagatorName | readonly PropagatorName[] | undefined;
  /** How much OpenTelemetry says of itself on the console. Default: `OTEL_LOG_LEVEL`, else only what is wrong at set-up. */
  readonly logLevel?: "none" | "error" | "warn" | "info" | "debug" | "verbose" | "all" | undefined;
  /**
   * Whether to print once, on the standard error, what was configured and by whom, without secrets.
   * Default: `DURABLE_TELEMETRY_DIAGNOSTICS`, else `false`.
   */
  readonly diagnostics?: boolean | undefined;
  /** How long `shutdown()` may take, in milliseconds. Default: `DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT`, else 5000. */
  readonly shutdownTimeout?: number | undefined;
  /**
   * Whether to shut down when the process gets SIGTERM (telemetry.md K3). Default: `DURABLE_TELEMETRY_HANDLE_SIGTERM`,
   * else `false`.
   *
   * The process then ends as it does without a listener. If the program listens to SIGTERM too, it is the program
   * that decides when to end: what there is is delivered, and telemetry stays on for what the last work records and
   * shuts down when nothing is left to do; both together take `shutdownTimeout`. A program that ends with
   * `process.exit()` calls `shutdown()` first.
   */
  readonly handleSigterm?: boolean | undefined;
  /** The same for SIGINT. Default: `DURABLE_TELEMETRY_HANDLE_SIGINT`, else `false`. */
  readonly handleSigint?: boolean | undefined;
}

/** A value of a resource attribute. */
export type ResourceAttributeValue = string | number | boolean | readonly string[] | readonly number[] | readonly boolean[];
/** Attributes of the resource, by name. */
export type ResourceAttributes = Readonly<Record<string, ResourceAttributeValue | undefined>>;
/** The samplers that OpenTelemetry has names for and the SDK has. */
export type SamplerName =
  | "always_on"
  | "always_off"
  | "traceidratio"
  | "parentbased_always_on"
  | "parentbased_always_off"
  | "parentbased_traceidratio";
/** What can be detected for the resource. */
export type ResourceDetectorName = "all" | "none" | "env" | "service" | "serviceinstance" | "process" | "host" | "os";
/** How contexts can travel in headers. */
export type PropagatorName = "tracecontext" | "baggage" | "b3" | "b3multi" | "none";
