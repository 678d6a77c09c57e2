import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { checkOptions, type OptionRule } from "../options.ts";
import { registrations } from "../telemetry/api-globals.ts";
import { version } from "../version.ts";
import { messageOf } from "./diagnostics.ts";
import type {
  OtlpBatchOptions,
  OtlpExporterName,
  OtlpExportOptions,
  OtlpMetricOptions,
  OtlpOptions,
  PropagatorName,
  ResourceAttributes,
  ResourceDetectorName,
} from "./options.ts";
import * as values from "./values.ts";
import type { Kind } from "./values.ts";

export type Signal = "traces" | "metrics" | "logs";

/** Settings as they are read from options: a value or a list of values becomes a list, and only `TUnset` may be missing. */
type Read<TOptions, TUnset extends keyof TOptions = never> = {
  readonly [K in keyof TOptions]-?:
    | (Extract<TOptions[K], readonly unknown[]> extends never
        ? NonNullable<TOptions[K]>
        : Extract<TOptions[K], readonly unknown[]>)
    | (K extends TUnset ? undefined : never);
};
/** The valid values of a setting, its variable (or the end of that), and its default. */
interface Row<T> extends Kind<T> {
  readonly variable: string;
  readonly otherwise: T;
}
type Rows<TValues> = { readonly [K in keyof TValues]: Row<TValues[K]> };

const row = <T>(variable: string, kind: Kind<T>, otherwise: T): Row<T> => ({ ...kind, variable, otherwise });

type GeneralValues = Read<
  Omit<OtlpOptions, keyof OtlpExportOptions | Signal | "resourceAttributes">,
  "serviceName" | "logLevel"
>;
type ExportValues = Read<
  Omit<OtlpExportOptions, "endpoint" | "headers">,
  "certificate" | "clientCertificate" | "clientKey"
>;
type BatchValues = Read<Omit<OtlpBatchOptions, keyof OtlpExportOptions | "exporter">>;
type MetricValues = Read<Omit<OtlpMetricOptions, keyof OtlpExportOptions | "exporter">>;

const { aBoolean, aCount, aFile, milliseconds, oneOf, someOf } = values;

const samplers = ["always_on", "always_off", "traceidratio"] as const;
const aggregations = ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"] as const;

const general: Rows<GeneralValues> = {
  disabled: row("OTEL_SDK_DISABLED", aBoolean, false),
  serviceName: row("OTEL_SERVICE_NAME", values.aString, undefined),
  resourceDetectors: row(
    "OTEL_NODE_RESOURCE_DETECTORS",
    someOf<ResourceDetectorName>("all", "none", "env", "service", "serviceinstance", "process", "host", "os"),
    ["all"],
  ),
  sampler: row(
    "OTEL_TRACES_SAMPLER",
    oneOf(...samplers, ...samplers.map((name) => `parentbased_${name}` as const)),
    "parentbased_always_on",
  ),
  samplerArg: row("OTEL_TRACES_SAMPLER_ARG", values.aRatio, 1),
  propagators: row("OTEL_PROPAGATORS", someOf<PropagatorName>("tracecontext", "baggage", "b3", "b3multi", "none"), [
    "tracecontext",
    "baggage",
  ]),
  logLevel: row("OTEL_LOG_LEVEL", oneOf("none", "error", "warn", "info", "debug", "verbose", "all"), undefined),
  diagnostics: row("DURABLE_TELEMETRY_DIAGNOSTICS", aBoolean, false),
  shutdownTimeout: row("DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT", milliseconds, 5000),
  handleSigterm: row("DURABLE_TELEMETRY_HANDLE_SIGTERM", aBoolean, false),
  handleSigint: row("DURABLE_TELEMETRY_HANDLE_SIGINT", aBoolean, false),
};

/** Settings of all signals or of one. The variables begin with `OTEL_EXPORTER_OTLP_`, followed by the signal's name for one signal. */
const ofExport: Rows<ExportValues> = {
  protocol: row("PROTOCOL", oneOf("http/json", "http/protobuf", "grpc"), "http/json"),
  compression: row("COMPRESSION", oneOf("gzip", "none"), "none"),
  timeout: row("TIMEOUT", milliseconds, 10_000),
  certificate: row("CERTIFICATE", aFile, undefined),
  clientCertificate: row("CLIENT_CERTIFICATE", aFile, undefined),
  clientKey: row("CLIENT_KEY", aFile, undefined),
  insecure: row("INSECURE", aBoolean, false),
};

const ofBatches = (prefix: string, delay: number): Rows<BatchValues> => ({
  exportTimeout: row(`${prefix}EXPORT_TIMEOUT`, milliseconds, 30_000),
  scheduleDelay: row(`${prefix}SCHEDULE_DELAY`, milliseconds, delay),
  maxQueueSize: row(`${prefix}MAX_QUEUE_SIZE`, aCount, 32_768),
  maxExportBatchSize: row(`${prefix}MAX_EXPORT_BATCH_SIZE`, aCount, 512),
});

const ofMetrics: Rows<MetricValues> = {
  exportTimeout: row("OTEL_METRIC_EXPORT_TIMEOUT", milliseconds, 30_000),
  exportInterval: row("OTEL_METRIC_EXPORT_INTERVAL", milliseconds, 60_000),
  temporality: row(
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    oneOf("cumulative", "delta", "lowmemory"),
    "cumulative",
  ),
  histogramAggregation: row(
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    oneOf(...aggregations),
    aggregations[0],
  ),
};

/** The contents of the files for TLS. */
export type TlsFiles = Readonly<Partial<Record<"ca" | "cert" | "key", Buffer | undefined>>>;

/** How a signal is exported. */
export interface SignalSettings extends ExportValues {
  readonly exporter: readonly OtlpExporterName[];
  /** The complete URL with its scheme. */
  readonly endpoint: string;
  /** By name in lower case, because header names are case-insensitive. */
  readonly headers: Readonly<Record<string, string>>;
  readonly exportTimeout: number;
  readonly tls: TlsFiles;
}
export type BatchSettings = SignalSettings & BatchValues;
export type MetricSettings = SignalSettings & MetricValues;

/** The settings from the options and the environment. */
export interface Settings extends GeneralValues {
  /** The attributes of both, this package's own, and the service's name. */
  readonly resourceAttributes: ResourceAttributes;
  readonly traces: BatchSettings;
  readonly metrics: MetricSettings;
  readonly logs: BatchSettings;
  /** The places where each setting can be given. */
  readonly places: readonly Place[];
  /** Problems of the settings. */
  readonly warnings: ReadonlySet<string>;
  /** The configuration and its sources, for people and bug reports: without values of headers and without credentials. */
  readonly description: string;
}

/** Variables without an option. They are read where they apply; here an invalid value is reported. */
const limits: Readonly<Record<string, Kind<number>>> = {
  OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: values.aLength,
  OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: values.aLength,
  OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT: values.aLength,
  OTEL_ATTRIBUTE_COUNT_LIMIT: values.aLimit,
  OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: values.aLimit,
  OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT: values.aLimit,
  OTEL_SPAN_EVENT_COUNT_LIMIT: values.aLimit,
  OTEL_SPAN_LINK_COUNT_LIMIT: values.aLimit,
  OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: values.aLimit,
  OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: values.aLimit,
};

const exporter = row<readonly OtlpExporterName[]>("EXPORTER", someOf<OtlpExporterName>("otlp", "console", "none"), [
  "otlp",
]);
const headers = row("HEADERS", values.headers, {});
const attributes = row<ResourceAttributes>("OTEL_RESOURCE_ATTRIBUTES", values.attributes, {});
const urls = {
  grpc: row("ENDPOINT", values.aGrpcAddress, "http://localhost:4317/"),
  http: row("ENDPOINT", values.aUrl, "http://localhost:4318"),
};
const aSignal: OptionRule = {
  is: "false or an object of options",
  test: (value) => value === false || isRecord(value),
};

/** @throws TypeError for an invalid option; it names the option and what is allowed. */
export function readSettings(options: unknown): Settings {
  const rowsOf = { traces: ofBatches("OTEL_BSP_", 5000), metrics: ofMetrics, logs: ofBatches("OTEL_BLRP_", 1000) };
  const ofAll = { ...ofExport, endpoint: urls.http, headers };
  const given = check("setupOtlp", options, {
    ...general,
    resourceAttributes: attributes,
    ...ofAll,
    traces: aSignal,
    metrics: aSignal,
    logs: aSignal,
  });
  for (const [signal, rows] of Object.entries<object>(rowsOf)) {
    if (isRecord(given[signal]))
      given[signal] = check(`setupOtlp: ${signal}`, given[signal], { exporter, ...ofAll, ...rows });
  }
  const reader = new Reader(given);
  const found = reader.read(general, (option, variable) => [{ option, variable }]);
  const attributesFound = reader.findAll(attributes, [{ option: "resourceAttributes", variable: attributes.variable }]);
  reader.describe("general", [
    ...Object.entries<Found<unknown>>(found),
    ...attributesFound.map((each) => ["resourceAttributes", each] as const),
  ]);
  const { disabled, sampler, samplerArg, serviceName } = found;
  const from = (who: string): ResourceAttributes => ({
    ...attributesFound.find(({ source }) => source.startsWith(who))?.value,
    ...(serviceName.source.startsWith(who) ? { "service.name": serviceName.value } : {}),
  });
  const settings = {
    ...valuesOf(found),
    resourceAttributes: {
      ...from("env"),
      "telemetry.distro.name": "durable-telemetry",
      "telemetry.distro.version": version,
      ...from("code"),
    },
    traces: readSignal(reader, "traces", rowsOf.traces),
    metrics: readSignal(reader, "metrics", rowsOf.metrics, disabled.value ? undefined : "MeterProvider"),
    logs: readSignal(reader, "logs", rowsOf.logs, disabled.value ? undefined : "LoggerProvider"),
  };
  for (const [variable, kind] of Object.entries(limits)) reader.inEnvironment(variable, kind);
  if (samplerArg.source !== "default" && !sampler.value.endsWith("traceidratio")) {
    reader.warnings.add(
      `${samplerArg.source} has no effect: the sampler is ${sampler.value}, and only traceidratio and parentbased_traceidratio have a ratio`,
    );
  }
  if (readVariable("OTEL_CONFIG_FILE") !== undefined) {
    reader.warnings.add(
      "OTEL_CONFIG_FILE is not read: say the same in OTEL_* variables or options, or leave setupOtlp out and call startNodeSdk() of @opentelemetry/sdk-node, which reads it",
    );
  }
  const title = `durable-telemetry: diagnostics (durable-telemetry ${version}, Node.js ${process.version}, ${process.platform} ${process.arch})`;
  return {
    ...settings,
    places: [...reader.places.values()],
    warnings: reader.warnings,
    description: [title, ...reader.lines].join("\n"),
  };
}

/** @param provider the provider that the program may have registered for this signal, and that is used then. */
function readSignal<TValues extends { readonly exportTimeout: number }>(
  reader: Reader,
  signal: Signal,
  rows: Rows<TValues>,
  provider?: string,
): SignalSettings & TValues {
  reader.places.set(signal, { option: signal });
  const name = signal.toUpperCase();
  // The settings of one signal, then those of all.
  const places = (option: string, variable: string): readonly Place[] => [
    { option: `${signal}.${option}`, variable: `OTEL_EXPORTER_OTLP_${name}_${variable}` },
    { option, variable: `OTEL_EXPORTER_OTLP_${variable}` },
  ];
  const to = exporterOf(
    reader,
    signal,
    reader.find(exporter, [{ option: `${signal}.exporter`, variable: `OTEL_${name}_EXPORTER` }]),
    provider,
  );
  const all = reader.read(ofExport, places);
  const url = all.protocol.value === "grpc" ? urls.grpc : urls.http;
  const given = reader.find(url, places("endpoint", "ENDPOINT"));
  // The endpoint of all signals is a base URL.
  const isWhole = url === urls.grpc || given.source.includes(`${signal}.`) || given.source.includes(`_${name}_`);
  const address = isWhole ? given.value : values.urlOfSignal(given.value, signal);
  const endpoint = {
    ...given,
    shown: url.show(address),
    // As a URL, so that the scheme is in lower case.
    value: new URL(address.includes("://") ? address : `${all.insecure.value ? "http" : "https"}://${address}`).href,
  };
  const byName = new Map<string, Found<string>>();
  for (const { value, source } of reader.findAll(headers, places("headers", "HEADERS")).toReversed()) {
    for (const [header, raw] of Object.entries(value))
      byName.set(header.toLowerCase(), { value: raw, shown: "[redacted]", source });
  }
  const own = reader.read(rows, (option, variable) => [{ option: `${signal}.${option}`, variable }]);
  boundBatch(own);
  const isSent = to.value.includes("otlp");
  const shownHeaders = [...byName].map(([header, found]) => [`headers.${header}`, found] as const);
  const more = isSent
    ? [["endpoint", endpoint] as const, ...shownHeaders, ...Object.entries<Found<unknown>>({ ...all, ...own })]
    : [];
  reader.describe(signal, [["exporter", to], ...more]);
  return {
    ...valuesOf(all),
    ...valuesOf(own),
    ...valuesOf({ exporter: to, endpoint }),
    headers: Object.fromEntries([...byName].map(([header, { value }]) => [header, value])),
    tls: isSent && endpoint.value.startsWith("https:") ? tlsFiles(reader, signal, all) : {},
  };
}

/** The destinations of a signal: as configured, unless it is turned off or the program has a provider, of which there can be only one. */
function exporterOf(
  reader: Reader,
  signal: Signal,
  asked: Found<readonly OtlpExporterName[]>,
  provider: string | undefined,
): typeof asked {
  const leftOut = (source: string): typeof asked => ({ value: [], shown: "none", source });
  if (reader.given(signal) === false) return leftOut(`code: ${signal}`);
  if (asked.value.includes("none")) return leftOut(asked.source);
  if (provider === undefined || signal === "traces" || registrations()[signal] === undefined) return asked;
  reader.warnings.add(
    `${signal} are left to the ${provider} that is registered already; "${signal}: false" in setupOtlp's options says that this is meant`,
  );
  return leftOut(`the ${provider} of the program`);
}

/** A batch is not larger than the queue. */
function boundBatch(found: Record<string, Found<unknown>>): void {
  const { maxQueueSize, maxExportBatchSize } = found;
  if (
    maxQueueSize === undefined ||
    maxExportBatchSize === undefined ||
    Number(maxExportBatchSize.value) <= Number(maxQueueSize.value)
  )
    return;
  found["maxExportBatchSize"] = {
    ...maxExportBatchSize,
    value: maxQueueSize.value,
    shown: `${maxQueueSize.shown}, no more than the queue holds`,
  };
}

/** The contents of the files that the settings name. If TLS can't use them, this is a warning, and they are omitted. */
function tlsFiles(
  reader: Reader,
  signal: Signal,
  { certificate, clientCertificate, clientKey }: FoundIn<ExportValues>,
): TlsFiles {
  const given = [certificate, clientCertificate, clientKey];
  try {
    const [ca, cert, key] = given.map(({ value }) => (value === undefined ? value : readFileSync(value)));
    if ((cert === undefined) !== (key === undefined)) throw new Error("a client's certificate and key need each other");
    createSecureContext({ ca, cert, key });
    return { ca, cert, key };
  } catch (error) {
    const sources = given.flatMap(({ value, source }) => (value === undefined ? [] : [source]));
    reader.warnings.add(`${signal} are exported without the contents of ${sources.join(", ")} (${messageOf(error)})`);
    return {};
  }
}

/** A place of a setting: the option's path, such as `traces.endpoint`, and its variable, if it has one. */
interface Place {
  readonly option: string;
  readonly variable?: string;
}

/** A setting with its source. */
interface Found<T> {
  readonly value: T;
  /** The value as diagnostics show it; never a secret. */
  readonly shown: string;
  /** Its source: `code: OPTION`, `env: VARIABLE` or `default`. */
  readonly source: string;
}
type FoundIn<TValues> = { [K in keyof TValues]: Found<TValues[K]> };

const valuesOf = <TValues>(found: FoundIn<TValues>): TValues =>
  Object.fromEntries(Object.entries<Found<unknown>>(found).map(([name, { value }]) => [name, value])) as TValues;

/** Reads settings. An invalid variable becomes one of the `warnings` and is ignored. */
class Reader {
  readonly warnings = new Set<string>();
  readonly places = new Map<string, Place>();
  readonly lines: string[] = [];
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** All settings of a table. */
  read<TValues>(
    rows: Rows<TValues>,
    placesOf: (option: string, variable: string) => readonly Place[],
  ): FoundIn<TValues> {
    const found = Object.entries<Row<unknown>>({ ...rows }).map(([name, each]) => [
      name,
      this.find(each, placesOf(name, each.variable)),
    ]);
    return Object.fromEntries(found) as FoundIn<TValues>;
  }

  /** The setting from the place with the highest precedence: code before the environment, and in each the first place. */
  find<T>(each: Row<T>, places: readonly Place[]): Found<T> {
    const { otherwise } = each;
    return (
      this.findAll(each, places)[0] ?? {
        value: otherwise,
        shown: otherwise === undefined ? "not set" : each.show(otherwise),
        source: "default",
      }
    );
  }

  /** The setting from each place where it is given, in order of precedence. */
  findAll<T>(each: Row<T>, places: readonly Place[]): readonly Found<T>[] {
    for (const place of places) this.places.set(place.option, place);
    const given = [
      ...places.map(({ option }) => ({ source: `code: ${option}`, value: this.given(option) })),
      ...places.map(({ variable = "" }) => ({
        source: `env: ${variable}`,
        value: this.inEnvironment(variable, each),
      })),
    ];
    return given.flatMap(({ source, value }) =>
      value === undefined ? [] : [{ source, value: each.read(value), shown: each.show(each.read(value)) }],
    );
  }

  /** The value of an option. */
  given(option: string): unknown {
    const [name = "", member] = option.split(".");
    const value = this.#options[name];
    return member === undefined ? value : isRecord(value) ? value[member] : undefined;
  }

  describe(section: string, settings: readonly (readonly [name: string, setting: Found<unknown>])[]): void {
    this.lines.push(
      `  ${section}`,
      ...settings.map(([name, { shown, source }]) => `    ${name}: ${shown} (${source})`),
    );
  }

  /** The value of a variable, if it has a valid one. */
  inEnvironment(variable: string, kind: Kind<unknown>): unknown {
    const raw = readVariable(variable);
    let isReported = raw === undefined;
    const ignore = (shown: string, why = "", part = ""): void => {
      isReported = true;
      const what = part === "" ? `${variable}="${shown}"` : `${part} of ${variable}`;
      this.warnings.add(`${what} is ignored: it must be ${kind.is}${why === "" ? "" : ` (${why})`}`);
    };
    const value = raw === undefined ? undefined : kind.fromVariable(raw, ignore);
    if (value !== undefined && kind.test(value)) return value;
    if (raw !== undefined && !isReported) ignore(kind.hide(raw));
    return undefined;
  }
}

type Options = Record<string, unknown>;
const isRecord = (value: unknown): value is Options =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * @returns the options that are given: a blank string is the same as none.
 * @throws TypeError for an invalid option; it names the option and what is allowed.
 */
function check(
  owner: string,
  options: unknown,
  rows: Readonly<Record<string, OptionRule & Partial<Kind<unknown>>>>,
): Options {
  const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === "";
  const rules = Object.entries(rows).map(([name, { is, test, object }]) => [
    name,
    { is: object?.is ?? is, test: (value: unknown) => isBlank(value) || test(value) },
  ]);
  checkOptions<Options>(owner, options, Object.fromEntries(rules));
  const given = Object.entries(options).filter(([, value]) => !isBlank(value));
  for (const [name, value] of given) {
    const member = rows[name]?.object?.member;
    if (member !== undefined && isRecord(value))
      checkOptions(
        `${owner}: ${name}`,
        value,
        Object.fromEntries(Object.keys(value).map((each) => [each, member(each)])),
      );
  }
  return Object.fromEntries(given);
}

/** The variable's value, trimmed. An empty or blank variable is unset, as the OpenTelemetry specification requires. */
export function readVariable(variable: string): string | undefined {
  return process.env[variable]?.trim() || undefined;
}
