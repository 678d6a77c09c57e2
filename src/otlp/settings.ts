import type { MetricReader } from "@opentelemetry/sdk-metrics";
import type { Sampler, SpanProcessor } from "@opentelemetry/sdk-trace";
import { grpcEndpoint, httpEndpoint } from "./endpoints.ts";
import { invalid, kindOf } from "./errors.ts";
import { attributes, grpcHeaders, headers, type Headers } from "./key-values.ts";
import type { OtlpExporterName, OtlpProtocol, PropagatorName, ResourceDetectorName } from "./options.ts";
import type { ResourceAttributes } from "./resource.ts";
import type { SamplerName } from "./samplers.ts";
import { type Found, isOptions, type Place, SettingsReader } from "./settings-reader.ts";
import { aBoolean, aCount, aFile, aRatio, aSampler, aText, type GivenFile, milliseconds, oneOf, someOf } from "./value-kinds.ts";

export type Signal = "traces" | "metrics" | "logs";

/** How a signal is exported. */
export interface SignalSettings {
  readonly exporter: Found<readonly OtlpExporterName[]>;
  readonly protocol: Found<OtlpProtocol>;
  readonly endpoint: Found<string | undefined>;
  /** The strongest first. */
  readonly headers: readonly Found<Headers>[];
  readonly compression: Found<"gzip" | "none">;
  readonly timeout: Found<number>;
  readonly exportTimeout: Found<number>;
  readonly certificate: Found<GivenFile | undefined>;
  readonly clientCertificate: Found<GivenFile | undefined>;
  readonly clientKey: Found<GivenFile | undefined>;
  readonly insecure: Found<boolean>;
}

export interface BatchSettings extends SignalSettings {
  readonly scheduleDelay: Found<number>;
  readonly maxQueueSize: Found<number>;
  readonly maxExportBatchSize: Found<number>;
}

export interface MetricSettings extends SignalSettings {
  readonly exportInterval: Found<number>;
  readonly temporality: Found<"cumulative" | "delta" | "lowmemory">;
  readonly histogramAggregation: Found<"explicit_bucket_histogram" | "base2_exponential_bucket_histogram">;
}

export interface GeneralSettings {
  readonly disabled: Found<boolean>;
  readonly serviceName: Found<string | undefined>;
  /** The strongest first. */
  readonly resourceAttributes: readonly Found<ResourceAttributes>[];
  readonly resourceDetectors: Found<readonly ResourceDetectorName[]>;
  readonly sampler: Found<Sampler | SamplerName>;
  readonly samplerArg: Found<number>;
  readonly propagators: Found<readonly PropagatorName[]>;
  readonly logLevel: Found<string | undefined>;
  readonly diagnostics: Found<boolean>;
  readonly shutdownTimeout: Found<number>;
  readonly handleSigterm: Found<boolean>;
}

/** All that the options and the environment say. */
export interface Settings {
  readonly general: GeneralSettings;
  readonly traces: BatchSettings;
  readonly metrics: MetricSettings;
  readonly logs: BatchSettings;
  readonly spanProcessors: readonly SpanProcessor[];
  readonly metricReaders: readonly MetricReader[];
  /** What was wrong in the environment. */
  readonly warnings: readonly string[];
  /** Where the settings can be given. */
  readonly places: readonly Place[];
}

/** @throws TypeError that names the option at fault and what is allowed. */
export function readSettings(options: unknown): Settings {
  if (!isOptions(options)) {
    const names = readSettings({}).places.map(({ option }) => option).filter((option) => !option.includes("."));
    throw invalid(`the options must be an object with any of ${names.join(", ")}`);
  }
  const reader = new SettingsReader(options);
  const settings = {
    general: readGeneral(reader),
    traces: readBatch(reader, "traces", "OTEL_BSP_", 5000),
    metrics: readMetrics(reader),
    logs: readBatch(reader, "logs", "OTEL_BLRP_", 1000),
    spanProcessors: readObjects(reader, "spanProcessors", { what: "span processor", methods: ofSpanProcessors, isOne: isSpanProcessor }),
    metricReaders: readObjects(reader, "metricReaders", { what: "metric reader", methods: ofMetricReaders, isOne: isMetricReader }),
  };
  reader.refuseUnknown();
  return { ...settings, warnings: reader.warnings, places: reader.places };
}

function readGeneral(reader: SettingsReader): GeneralSettings {
  const at = (option: string, variable: string): Place => ({ option, variable });
  const resourceDetectors = someOf<ResourceDetectorName>("all", "none", "env", "serviceinstance", "process", "host", "os");
  const propagators = someOf<PropagatorName>("tracecontext", "baggage", "b3", "b3multi", "none");
  const logLevels = oneOf("none", "error", "warn", "info", "debug", "verbose", "all");
  return {
    disabled: reader.find(at("disabled", "OTEL_SDK_DISABLED"), aBoolean, false),
    serviceName: reader.findOptional(at("serviceName", "OTEL_SERVICE_NAME"), aText),
    resourceAttributes: reader.findAll(at("resourceAttributes", "OTEL_RESOURCE_ATTRIBUTES"), attributes),
    resourceDetectors: reader.find(at("resourceDetectors", "OTEL_NODE_RESOURCE_DETECTORS"), resourceDetectors, ["all"]),
    sampler: reader.find(at("sampler", "OTEL_TRACES_SAMPLER"), aSampler, "parentbased_always_on"),
    samplerArg: reader.find(at("samplerArg", "OTEL_TRACES_SAMPLER_ARG"), aRatio, 1),
    propagators: reader.find(at("propagators", "OTEL_PROPAGATORS"), propagators, ["tracecontext", "baggage"]),
    logLevel: reader.findOptional(at("logLevel", "OTEL_LOG_LEVEL"), logLevels),
    diagnostics: reader.find(at("diagnostics", "DURABLE_TELEMETRY_DIAGNOSTICS"), aBoolean, false),
    shutdownTimeout: reader.find(at("shutdownTimeout", "DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT"), milliseconds, 5000),
    handleSigterm: reader.find(at("handleSigterm", "DURABLE_TELEMETRY_HANDLE_SIGTERM"), aBoolean, false),
  };
}

function readBatch(reader: SettingsReader, signal: Signal, prefix: string, delay: number): BatchSettings {
  const at = (option: string, variable: string): Place => ({ option: `${signal}.${option}`, variable: `${prefix}${variable}` });
  const signalSettings = readSignal(reader, signal, `${prefix}EXPORT_TIMEOUT`);
  const scheduleDelay = reader.find(at("scheduleDelay", "SCHEDULE_DELAY"), milliseconds, delay);
  const maxQueueSize = reader.find(at("maxQueueSize", "MAX_QUEUE_SIZE"), aCount, 2048);
  const asked = reader.find(at("maxExportBatchSize", "MAX_EXPORT_BATCH_SIZE"), aCount, 512);
  const queue = maxQueueSize.value;
  return {
    ...signalSettings,
    scheduleDelay,
    maxQueueSize,
    maxExportBatchSize: asked.value <= queue ? asked : { ...asked, value: queue, shown: `${queue}, no more than the queue holds` },
  };
}

function readMetrics(reader: SettingsReader): MetricSettings {
  const at = (option: string, variable: string): Place => ({ option: `metrics.${option}`, variable });
  const temporalities = oneOf("cumulative", "delta", "lowmemory");
  const aggregations = oneOf("explicit_bucket_histogram", "base2_exponential_bucket_histogram");
  return {
    ...readSignal(reader, "metrics", "OTEL_METRIC_EXPORT_TIMEOUT"),
    exportInterval: reader.find(at("exportInterval", "OTEL_METRIC_EXPORT_INTERVAL"), milliseconds, 60_000),
    temporality: reader.find(
      at("temporality", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"),
      temporalities,
      "cumulative",
    ),
    histogramAggregation: reader.find(
      at("histogramAggregation", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"),
      aggregations,
      "explicit_bucket_histogram",
    ),
  };
}

function readSignal(reader: SettingsReader, signal: Signal, exportTimeout: string): SignalSettings {
  reader.knows(signal);
  // What is said of one signal, then what is said of all.
  const at = (option: string, variable: string): readonly Place[] => [
    { option: `${signal}.${option}`, variable: `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${variable}` },
    { option, variable: `OTEL_EXPORTER_OTLP_${variable}` },
  ];
  const exporter = readExporter(reader, signal);
  const protocol = reader.find(at("protocol", "PROTOCOL"), oneOf("http/json", "http/protobuf", "grpc"), "http/json");
  return {
    exporter,
    protocol,
    endpoint: reader.findOptional(at("endpoint", "ENDPOINT"), protocol.value === "grpc" ? grpcEndpoint : httpEndpoint),
    headers: reader.findAll(at("headers", "HEADERS"), protocol.value === "grpc" ? grpcHeaders : headers),
    compression: reader.find(at("compression", "COMPRESSION"), oneOf("gzip", "none"), "none"),
    timeout: reader.find(at("timeout", "TIMEOUT"), milliseconds, 10_000),
    exportTimeout: reader.find({ option: `${signal}.exportTimeout`, variable: exportTimeout }, milliseconds, 30_000),
    certificate: reader.findOptional(at("certificate", "CERTIFICATE"), aFile),
    clientCertificate: reader.findOptional(at("clientCertificate", "CLIENT_CERTIFICATE"), aFile),
    clientKey: reader.findOptional(at("clientKey", "CLIENT_KEY"), aFile),
    insecure: reader.find(at("insecure", "INSECURE"), aBoolean, false),
  };
}

function readExporter(reader: SettingsReader, signal: Signal): Found<readonly OtlpExporterName[]> {
  const place = { option: `${signal}.exporter`, variable: `OTEL_${signal.toUpperCase()}_EXPORTER` };
  const found = reader.find(place, someOf<OtlpExporterName>("otlp", "console", "none"), ["otlp"]);
  if (reader.valueOf(signal) === false) return { value: [], shown: "none", source: `code: ${signal}` };
  return found.value.includes("none") ? { ...found, value: [], shown: "none" } : found;
}

/** An option for objects, which code alone can give. */
function readObjects<T>(
  reader: SettingsReader,
  option: string,
  { what, methods, isOne }: { what: string; methods: readonly string[]; isOne: (value: unknown) => value is T },
): readonly T[] {
  reader.knows(option);
  const value = reader.valueOf(option);
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(`"${option}" must be an array of ${what}s, not ${kindOf(value)}`);
  const items: readonly unknown[] = value;
  return items.map((item, index) => {
    if (isOne(item)) return item;
    const all = `${methods.slice(0, -1).join("(), ")}() and ${methods.at(-1)}()`;
    throw invalid(`"${option}[${index}]" must be a ${what} with ${all}, not ${kindOf(item)}`);
  });
}

const ofSpanProcessors: readonly string[] = ["onStart", "onEnd", "forceFlush", "shutdown"];
const ofMetricReaders: readonly string[] = [
  "setMetricProducer",
  "selectAggregation",
  "selectAggregationTemporality",
  "selectCardinalityLimit",
  "collect",
  "forceFlush",
  "shutdown",
];

function isSpanProcessor(value: unknown): value is SpanProcessor {
  return hasMethods(value, ofSpanProcessors);
}

function isMetricReader(value: unknown): value is MetricReader {
  return hasMethods(value, ofMetricReaders);
}

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  return typeof value === "object" && value !== null && methods.every((method) => typeof Reflect.get(value, method) === "function");
}
