import type { MetricReader } from "@opentelemetry/sdk-metrics";
import type { Sampler, SpanProcessor } from "@opentelemetry/sdk-trace";
import { version } from "../version.ts";
import { invalid, kindOf } from "./diagnostics.ts";
import type {
  OtlpBatchOptions,
  OtlpExporterName,
  OtlpExportOptions,
  OtlpMetricOptions,
  OtlpProtocol,
  PropagatorName,
  ResourceAttributes,
  ResourceDetectorName,
  SamplerName,
} from "./options.ts";
import * as values from "./values.ts";
import type { GivenFile, Headers, Kind } from "./values.ts";

/** A setting as it was found. */
export interface Found<T> {
  readonly value: T;
  /** The value as diagnostics show it; never a secret. */
  readonly shown: string;
  /** Who gave it: `code: OPTION`, `env: VARIABLE` or `default`. */
  readonly source: string;
}

/** Where a setting can be given: the option's path, such as `traces.endpoint`, and its variable, if it has one. */
export interface Place {
  readonly option: string;
  readonly variable?: string;
}

/** What a setting is: its variable, or the end of that, what it may be, and what it is where nobody says it. */
interface Row<T> {
  readonly variable: string;
  readonly kind: Kind<T>;
  readonly otherwise: T;
}

type Rows<TValues> = { readonly [K in keyof TValues]: Row<TValues[K]> };
type Read<TValues> = { readonly [K in keyof TValues]: Found<TValues[K]> };

const row = <T>(variable: string, kind: Kind<T>, otherwise: T): Row<T> => ({ variable, kind, otherwise });
const optional = <T>(variable: string, kind: Kind<T>): Row<T | undefined> => ({ variable, kind, otherwise: undefined });

interface GeneralValues {
  readonly disabled: boolean;
  readonly serviceName: string | undefined;
  readonly resourceDetectors: readonly ResourceDetectorName[];
  readonly sampler: Sampler | SamplerName;
  readonly samplerArg: number;
  readonly propagators: readonly PropagatorName[];
  readonly logLevel: string | undefined;
  readonly diagnostics: boolean;
  readonly shutdownTimeout: number;
  readonly handleSigterm: boolean;
  readonly handleSigint: boolean;
}

const general: Rows<GeneralValues> = {
  disabled: row("OTEL_SDK_DISABLED", values.aBoolean, false),
  serviceName: optional("OTEL_SERVICE_NAME", values.aText),
  resourceDetectors: row(
    "OTEL_NODE_RESOURCE_DETECTORS",
    values.someOf<ResourceDetectorName>("all", "none", "env", "serviceinstance", "process", "host", "os"),
    ["all"],
  ),
  sampler: row("OTEL_TRACES_SAMPLER", values.aSampler, "parentbased_always_on"),
  samplerArg: row("OTEL_TRACES_SAMPLER_ARG", values.aRatio, 1),
  propagators: row("OTEL_PROPAGATORS", values.someOf<PropagatorName>("tracecontext", "baggage", "b3", "b3multi", "none"), ["tracecontext", "baggage"]),
  logLevel: optional("OTEL_LOG_LEVEL", values.oneOf("none", "error", "warn", "info", "debug", "verbose", "all")),
  diagnostics: row("DURABLE_TELEMETRY_DIAGNOSTICS", values.aBoolean, false),
  shutdownTimeout: row("DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT", values.milliseconds, 5000),
  handleSigterm: row("DURABLE_TELEMETRY_HANDLE_SIGTERM", values.aBoolean, false),
  handleSigint: row("DURABLE_TELEMETRY_HANDLE_SIGINT", values.aBoolean, false),
};

interface ExportValues {
  readonly protocol: OtlpProtocol;
  readonly compression: "gzip" | "none";
  readonly timeout: number;
  readonly certificate: GivenFile | undefined;
  readonly clientCertificate: GivenFile | undefined;
  readonly clientKey: GivenFile | undefined;
  readonly insecure: boolean;
}

/** What can be said of all signals and of one; the variables begin with `OTEL_EXPORTER_OTLP_`, and the signal's name if it is of one. */
const ofExport: Rows<ExportValues> = {
  protocol: row("PROTOCOL", values.oneOf("http/json", "http/protobuf", "grpc"), "http/json"),
  compression: row("COMPRESSION", values.oneOf("gzip", "none"), "none"),
  timeout: row("TIMEOUT", values.milliseconds, 10_000),
  certificate: optional("CERTIFICATE", values.aFile),
  clientCertificate: optional("CLIENT_CERTIFICATE", values.aFile),
  clientKey: optional("CLIENT_KEY", values.aFile),
  insecure: row("INSECURE", values.aBoolean, false),
};

/** The values of what options of a signal say, beside what can be said of all signals. */
type ValuesOf<TOptions> = { readonly [K in Exclude<keyof TOptions, keyof OtlpExportOptions | "exporter">]-?: Exclude<TOptions[K], undefined> };
type BatchValues = ValuesOf<OtlpBatchOptions>;
type MetricValues = ValuesOf<OtlpMetricOptions>;

const ofBatches = (prefix: string, delay: number): Rows<BatchValues> => ({
  exportTimeout: row(`${prefix}EXPORT_TIMEOUT`, values.milliseconds, 30_000),
  scheduleDelay: row(`${prefix}SCHEDULE_DELAY`, values.milliseconds, delay),
  maxQueueSize: row(`${prefix}MAX_QUEUE_SIZE`, values.aCount, 32_768),
  maxExportBatchSize: row(`${prefix}MAX_EXPORT_BATCH_SIZE`, values.aCount, 512),
});

const ofMetrics: Rows<MetricValues> = {
  exportTimeout: row("OTEL_METRIC_EXPORT_TIMEOUT", values.milliseconds, 30_000),
  exportInterval: row("OTEL_METRIC_EXPORT_INTERVAL", values.milliseconds, 60_000),
  temporality: row("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", values.oneOf("cumulative", "delta", "lowmemory"), "cumulative"),
  histogramAggregation: row(
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    values.oneOf("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    "explicit_bucket_histogram",
  ),
};

const exporters = values.someOf<OtlpExporterName>("otlp", "console", "none");

export type Signal = "traces" | "metrics" | "logs";

/** How a signal is exported. Headers are by their names in lower case: however those are written, the strongest wins. */
export interface SignalSettings extends Read<ExportValues> {
  readonly exporter: Found<readonly OtlpExporterName[]>;
  readonly endpoint: Found<string>;
  readonly headers: ReadonlyMap<string, Found<string>>;
  readonly exportTimeout: Found<number>;
}
export type BatchSettings = SignalSettings & Read<BatchValues>;
export type MetricSettings = SignalSettings & Read<MetricValues>;

/** All that the options and the environment say. */
export interface Settings {
  /** Of the attributes, the strongest first. */
  readonly general: Read<GeneralValues> & { readonly resourceAttributes: readonly Found<ResourceAttributes>[] };
  readonly traces: BatchSettings;
  readonly metrics: MetricSettings;
  readonly logs: BatchSettings;
  readonly spanProcessors: readonly SpanProcessor[];
  readonly metricReaders: readonly MetricReader[];
  readonly places: readonly Place[];
  /** What was wrong in the environment. */
  readonly warnings: ReadonlySet<string>;
}

type Options = Readonly<Record<string, unknown>>;

/** @throws TypeError that names the option at fault and what is allowed. */
export function readSettings(options: unknown): Settings {
  const reader = new Reader(isOptions(options) ? options : {});
  const settings = {
    general: { ...reader.read(general, (option, variable) => [{ option, variable }]), resourceAttributes: reader.findAll([resourceAttributes], values.attributes) },
    traces: bounded(readSignal(reader, "traces", ofBatches("OTEL_BSP_", 5000))),
    metrics: readSignal(reader, "metrics", ofMetrics),
    logs: bounded(readSignal(reader, "logs", ofBatches("OTEL_BLRP_", 1000))),
    spanProcessors: reader.objects("spanProcessors", "span processor", ["onStart", "onEnd", "forceFlush", "shutdown"]) as readonly SpanProcessor[],
    metricReaders: reader.objects("metricReaders", "metric reader", metricReaderMethods) as readonly MetricReader[],
    places: [...reader.places.values()],
    warnings: reader.warnings,
  };
  if (!isOptions(options)) throw invalid(`the options must be an object with any of ${reader.namesBelow("").join(", ")}`);
  reader.refuseUnknown();
  const { sampler, samplerArg } = settings.general;
  if (samplerArg.source !== "default" && typeof sampler.value === "string" && !sampler.value.endsWith("traceidratio")) {
    reader.warnings.add(`${samplerArg.source} has no effect: the sampler is ${sampler.value}, and only traceidratio and parentbased_traceidratio have a ratio`);
  }
  if (textOf("OTEL_CONFIG_FILE") !== undefined) {
    reader.warnings.add(
      "OTEL_CONFIG_FILE is not read: say the same in OTEL_* variables or options, or leave setupOtlp out and call startNodeSdk() of @opentelemetry/sdk-node, which reads it",
    );
  }
  return settings;
}

const resourceAttributes: Place = { option: "resourceAttributes", variable: "OTEL_RESOURCE_ATTRIBUTES" };
const metricReaderMethods = ["setMetricProducer", "selectAggregation", "selectAggregationTemporality", "selectCardinalityLimit", "collect", "forceFlush", "shutdown"];

function readSignal<TValues extends { readonly exportTimeout: number }>(reader: Reader, signal: Signal, rows: Rows<TValues>): SignalSettings & Read<TValues> {
  reader.places.set(signal, { option: signal });
  const name = signal.toUpperCase();
  // What is said of one signal, then what is said of all.
  const places = (option: string, variable: string): readonly Place[] => [
    { option: `${signal}.${option}`, variable: `OTEL_EXPORTER_OTLP_${name}_${variable}` },
    { option, variable: `OTEL_EXPORTER_OTLP_${variable}` },
  ];
  const exporter = reader.find([{ option: `${signal}.exporter`, variable: `OTEL_${name}_EXPORTER` }], exporters, ["otlp"]);
  const all = reader.read(ofExport, places);
  const isGrpc = all.protocol.value === "grpc";
  const kind = isGrpc ? values.grpcEndpoint : values.httpEndpoint;
  const given = reader.find(places("endpoint", "ENDPOINT"), kind, isGrpc ? "http://localhost:4317/" : "http://localhost:4318");
  // What is given for all signals is a base URL.
  const isWhole = isGrpc || given.source.includes(`${signal}.`) || given.source.includes(`_${name}_`);
  const url = isWhole ? given.value : values.urlOfSignal(given.value, signal);
  const headers = reader.findAll(places("headers", "HEADERS"), values.headersFor(isGrpc ? "gRPC" : "HTTP"));
  return {
    exporter: reader.valueOf(signal) === false ? leftOut(`code: ${signal}`) : exporter.value.includes("none") ? leftOut(exporter.source) : exporter,
    endpoint: { ...given, value: url, shown: kind.show(url) },
    headers: byName(headers),
    ...all,
    ...reader.read(rows, (option, variable) => [{ option: `${signal}.${option}`, variable }]),
  };
}

/** A batch is no larger than the queue. */
function bounded(settings: BatchSettings): BatchSettings {
  const { maxQueueSize: { value }, maxExportBatchSize: asked } = settings;
  return asked.value <= value ? settings : { ...settings, maxExportBatchSize: { ...asked, value, shown: `${value}, no more than the queue holds` } };
}

/** The exporter of a signal that has none. */
export function leftOut(source: string): Found<readonly OtlpExporterName[]> {
  return { value: [], shown: "none", source };
}

function byName(found: readonly Found<Headers>[]): ReadonlyMap<string, Found<string>> {
  const weakestFirst = found.toReversed().flatMap(({ value, source }) => Object.entries(value).map(([name, text]) => ({ name, text, source })));
  return new Map(weakestFirst.map(({ name, text, source }) => [name.toLowerCase(), { value: text, shown: "[redacted]", source }]));
}

/** Looks settings up: what is wrong in code throws; what is wrong in the environment is noted in `warnings` and ignored. */
class Reader {
  readonly warnings = new Set<string>();
  readonly places = new Map<string, Place>();
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** All settings of a table, each in its places. */
  read<TValues>(rows: Rows<TValues>, placesOf: (option: string, variable: string) => readonly Place[]): Read<TValues> {
    const found = Object.entries<Row<unknown>>({ ...rows }).map(([name, { variable, kind, otherwise }]) => [name, this.find(placesOf(name, variable), kind, otherwise)]);
    return Object.fromEntries(found) as Read<TValues>;
  }

  /** The setting in the strongest place: code before the environment, and in each the first place. */
  find<T>(places: readonly Place[], kind: Kind<T>, otherwise: T): Found<T> {
    return this.findAll(places, kind)[0] ?? { value: otherwise, shown: otherwise === undefined ? "not set" : kind.show(otherwise), source: "default" };
  }

  /** The setting in each place where it is given, the strongest first. */
  findAll<T>(places: readonly Place[], kind: Kind<T>): readonly Found<T>[] {
    for (const place of places) this.places.set(place.option, place);
    return [...places.flatMap((place) => this.#inCode(place, kind)), ...places.flatMap((place) => this.#inEnvironment(place, kind))];
  }

  valueOf(option: string): unknown {
    const [name = "", member] = option.split(".");
    const value = this.#options[name];
    if (member === undefined) return value;
    if (value === undefined || value === false) return undefined;
    if (!isOptions(value)) throw invalid(`"${name}" must be false or an object of options, not ${kindOf(value)}`);
    return value[member];
  }

  /** An option for objects, which code alone can give. */
  objects(option: string, what: string, methods: readonly string[]): readonly object[] {
    this.places.set(option, { option });
    const value = this.valueOf(option) ?? [];
    if (!Array.isArray(value)) throw invalid(`"${option}" must be an array of ${what}s, not ${kindOf(value)}`);
    return value.map((item: unknown, index) => {
      if (values.hasMethods(item, methods)) return item;
      throw invalid(`"${option}[${index}]" must be a ${what} with ${methods.slice(0, -1).join("(), ")}() and ${methods.at(-1)}(), not ${kindOf(item)}`);
    });
  }

  /** @throws TypeError that names an option that nobody asked for. */
  refuseUnknown(): void {
    for (const prefix of ["", "traces.", "metrics.", "logs."]) {
      const options = prefix === "" ? this.#options : this.#options[prefix.slice(0, -1)];
      const allowed = this.namesBelow(prefix);
      const unknown = isOptions(options) ? Object.keys(options).find((name) => !allowed.includes(name)) : undefined;
      if (unknown !== undefined) throw invalid(`unknown option "${prefix}${unknown}"; allowed are ${allowed.join(", ")}`);
    }
  }

  namesBelow(prefix: string): readonly string[] {
    const names = [...this.places.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
    return names.filter((name) => !name.includes("."));
  }

  #inCode<T>({ option }: Place, kind: Kind<T>): readonly Found<T>[] {
    const given = this.valueOf(option);
    // A blank text is the same as not given.
    if (given === undefined || (typeof given === "string" && given.trim() === "")) return [];
    const value = kind.fromCode(option, given);
    return [{ value, shown: kind.show(value), source: `code: ${option}` }];
  }

  #inEnvironment<T>({ variable }: Place, kind: Kind<T>): readonly Found<T>[] {
    const text = variable === undefined ? undefined : textOf(variable);
    if (variable === undefined || text === undefined) return [];
    const value = kind.fromText(text, (shown, why) => {
      this.warnings.add(`${variable}="${shown}" is ignored: it must be ${kind.is}${why === undefined ? "" : ` (${why})`}`);
    });
    return value === undefined ? [] : [{ value, shown: kind.show(value), source: `env: ${variable}` }];
  }
}

/** The variable's text, trimmed; empty and blank mean unset, as the OpenTelemetry specification says. */
export function textOf(variable: string): string | undefined {
  return process.env[variable]?.trim() || undefined;
}

function isOptions(value: unknown): value is Options {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What was configured and by whom, for people and for bug reports: no value of a header, no credentials. */
export function describeSettings({ general: { resourceAttributes: given, ...rest }, traces, metrics, logs, spanProcessors, metricReaders }: Settings): string {
  const line = ([name, { shown, source }]: readonly [string, Found<unknown>]): string => `    ${name}: ${shown} (${source})`;
  const objects = (option: string, { length }: readonly unknown[]): readonly string[] => (length === 0 ? [] : [`    ${option}: ${length} (code: ${option})`]);
  const signal = ({ headers, exporter, endpoint, ...others }: SignalSettings): readonly string[] => {
    const shown = [...Object.entries({ endpoint }), ...[...headers].map(([name, found]) => [`headers.${name}`, found] as const), ...Object.entries<Found<unknown>>({ ...others })];
    return [line(["exporter", exporter]), ...(exporter.value.includes("otlp") ? shown.map(line) : [])];
  };
  return [
    `durable-telemetry: diagnostics (durable-telemetry ${version}, Node.js ${process.version}, ${process.platform} ${process.arch})`,
    "  general",
    ...Object.entries<Found<unknown>>(rest).map(line),
    ...given.map((found) => line(["resourceAttributes", found])),
    ...objects("spanProcessors", spanProcessors),
    ...objects("metricReaders", metricReaders),
    ...Object.entries({ traces, metrics, logs }).flatMap(([name, settings]) => [`  ${name}`, ...signal(settings)]),
  ].join("\n");
}
