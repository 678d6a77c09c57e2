import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { checkOptions, type OptionRules } from "../options.ts";
import { registrations } from "../telemetry/api-globals.ts";
import { version } from "../version.ts";
import { messageOf } from "./diagnostics.ts";
import type { OtlpBatchOptions, OtlpExporterName, OtlpExportOptions, OtlpMetricOptions, OtlpOptions, PropagatorName, ResourceAttributes, ResourceDetectorName } from "./options.ts";
import * as values from "./values.ts";
import type { Kind } from "./values.ts";

export type Signal = "traces" | "metrics" | "logs";

/** What options say once they are read: what may be one or several is a list, and only `TUnset` may be missing. */
type Read<TOptions, TUnset extends keyof TOptions = never> = {
  readonly [K in keyof TOptions]-?:
    | (Extract<TOptions[K], readonly unknown[]> extends never ? NonNullable<TOptions[K]> : Extract<TOptions[K], readonly unknown[]>)
    | (K extends TUnset ? undefined : never);
};
/** The variable of each option (or the end of its name), what it may be, and what it is where nobody says it. */
type Rows<TValues> = { readonly [K in keyof TValues]: readonly [variable: string, kind: Kind<TValues[K]>, otherwise: TValues[K]] };

type GeneralValues = Read<Omit<OtlpOptions, keyof OtlpExportOptions | Signal | "resourceAttributes">, "serviceName" | "logLevel">;
type ExportValues = Read<Omit<OtlpExportOptions, "endpoint" | "headers">, "certificate" | "clientCertificate" | "clientKey">;
type BatchValues = Read<Omit<OtlpBatchOptions, keyof OtlpExportOptions | "exporter">>;
type MetricValues = Read<Omit<OtlpMetricOptions, keyof OtlpExportOptions | "exporter">>;

const { aBoolean, aCount, aFile, milliseconds, oneOf, someOf } = values;

const general: Rows<GeneralValues> = {
  disabled: ["OTEL_SDK_DISABLED", aBoolean, false],
  serviceName: ["OTEL_SERVICE_NAME", values.aText, undefined],
  resourceDetectors: ["OTEL_NODE_RESOURCE_DETECTORS", someOf<ResourceDetectorName>("all", "none", "env", "serviceinstance", "process", "host", "os"), ["all"]],
  sampler: [
    "OTEL_TRACES_SAMPLER",
    oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
    "parentbased_always_on",
  ],
  samplerArg: ["OTEL_TRACES_SAMPLER_ARG", values.aRatio, 1],
  propagators: ["OTEL_PROPAGATORS", someOf<PropagatorName>("tracecontext", "baggage", "b3", "b3multi", "none"), ["tracecontext", "baggage"]],
  logLevel: ["OTEL_LOG_LEVEL", oneOf("none", "error", "warn", "info", "debug", "verbose", "all"), undefined],
  diagnostics: ["DURABLE_TELEMETRY_DIAGNOSTICS", aBoolean, false],
  shutdownTimeout: ["DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT", milliseconds, 5000],
  handleSigterm: ["DURABLE_TELEMETRY_HANDLE_SIGTERM", aBoolean, false],
  handleSigint: ["DURABLE_TELEMETRY_HANDLE_SIGINT", aBoolean, false],
};

/** What can be said of all signals and of one; the variables begin with `OTEL_EXPORTER_OTLP_`, and the signal's name if it is of one. */
const ofExport: Rows<ExportValues> = {
  protocol: ["PROTOCOL", oneOf("http/json", "http/protobuf", "grpc"), "http/json"],
  compression: ["COMPRESSION", oneOf("gzip", "none"), "none"],
  timeout: ["TIMEOUT", milliseconds, 10_000],
  certificate: ["CERTIFICATE", aFile, undefined],
  clientCertificate: ["CLIENT_CERTIFICATE", aFile, undefined],
  clientKey: ["CLIENT_KEY", aFile, undefined],
  insecure: ["INSECURE", aBoolean, false],
};

const ofBatches = (prefix: string, delay: number): Rows<BatchValues> => ({
  exportTimeout: [`${prefix}EXPORT_TIMEOUT`, milliseconds, 30_000],
  scheduleDelay: [`${prefix}SCHEDULE_DELAY`, milliseconds, delay],
  maxQueueSize: [`${prefix}MAX_QUEUE_SIZE`, aCount, 32_768],
  maxExportBatchSize: [`${prefix}MAX_EXPORT_BATCH_SIZE`, aCount, 512],
});

const ofMetrics: Rows<MetricValues> = {
  exportTimeout: ["OTEL_METRIC_EXPORT_TIMEOUT", milliseconds, 30_000],
  exportInterval: ["OTEL_METRIC_EXPORT_INTERVAL", milliseconds, 60_000],
  temporality: ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", oneOf("cumulative", "delta", "lowmemory"), "cumulative"],
  histogramAggregation: [
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    oneOf("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    "explicit_bucket_histogram",
  ],
};

/** What is in the files that TLS wants. */
export type TlsFiles = Readonly<Partial<Record<"ca" | "cert" | "key", Buffer | undefined>>>;

/** How a signal is exported. */
export interface SignalSettings extends ExportValues {
  readonly exporter: readonly OtlpExporterName[];
  /** The whole URL, its scheme included. */
  readonly endpoint: string;
  /** By name in lower case: however names are written, the strongest value wins. */
  readonly headers: Readonly<Record<string, string>>;
  readonly exportTimeout: number;
  readonly tls: TlsFiles;
}
export type BatchSettings = SignalSettings & BatchValues;
export type MetricSettings = SignalSettings & MetricValues;

/** All that the options and the environment say. */
export interface Settings extends GeneralValues {
  /** Those of both, this package's own, and the service's name. */
  readonly resourceAttributes: ResourceAttributes;
  readonly traces: BatchSettings;
  readonly metrics: MetricSettings;
  readonly logs: BatchSettings;
  /** Where each setting can be given. */
  readonly places: readonly Place[];
  /** What does not work as it is. */
  readonly warnings: ReadonlySet<string>;
  /** What was configured and by whom, for people and for bug reports: no value of a header, no credentials. */
  readonly description: string;
}

const exporters = someOf<OtlpExporterName>("otlp", "console", "none");
const aSignal: Kind<unknown> = { ...values.aText, is: "false or an object of options", test: (value) => value === false || isRecord(value) };

/** @throws TypeError that names the option at fault and what is allowed. */
export function readSettings(options: unknown): Settings {
  const ofSignals = { traces: ofBatches("OTEL_BSP_", 5000), metrics: ofMetrics, logs: ofBatches("OTEL_BLRP_", 1000) };
  const reader = new Reader(check("setupOtlp", options, { ...kindsOf(general), resourceAttributes: values.attributes, ...exportKinds, traces: aSignal, metrics: aSignal, logs: aSignal }));
  for (const [signal, rows] of Object.entries(ofSignals)) {
    const given = reader.given(signal);
    if (given !== undefined && given !== false) check(`setupOtlp: ${signal}`, given, { exporter: exporters, ...exportKinds, ...kindsOf<unknown>(rows) });
  }
  const found = reader.read(general, (option, variable) => [{ option, variable }]);
  const attributes = reader.findAll([{ option: "resourceAttributes", variable: "OTEL_RESOURCE_ATTRIBUTES" }], values.attributes);
  reader.describe("general", [...Object.entries<Found<unknown>>(found), ...attributes.map((each) => ["resourceAttributes", each] as const)]);
  const { disabled, sampler, samplerArg, serviceName } = found;
  const from = (who: string): ResourceAttributes => ({
    ...attributes.find(({ source }) => source.startsWith(who))?.value,
    ...(serviceName.source.startsWith(who) ? { "service.name": serviceName.value } : {}),
  });
  const settings = {
    ...valuesOf(found),
    resourceAttributes: { ...from("env"), "telemetry.distro.name": "durable-telemetry", "telemetry.distro.version": version, ...from("code") },
    traces: readSignal(reader, "traces", ofSignals.traces),
    metrics: readSignal(reader, "metrics", ofSignals.metrics, disabled.value ? undefined : "MeterProvider"),
    logs: readSignal(reader, "logs", ofSignals.logs, disabled.value ? undefined : "LoggerProvider"),
  };
  if (samplerArg.source !== "default" && !sampler.value.endsWith("traceidratio")) {
    reader.warnings.add(`${samplerArg.source} has no effect: the sampler is ${sampler.value}, and only traceidratio and parentbased_traceidratio have a ratio`);
  }
  if (textOf("OTEL_CONFIG_FILE") !== undefined) {
    reader.warnings.add(
      "OTEL_CONFIG_FILE is not read: say the same in OTEL_* variables or options, or leave setupOtlp out and call startNodeSdk() of @opentelemetry/sdk-node, which reads it",
    );
  }
  const title = `durable-telemetry: diagnostics (durable-telemetry ${version}, Node.js ${process.version}, ${process.platform} ${process.arch})`;
  return { ...settings, places: [...reader.places.values()], warnings: reader.warnings, description: [title, ...reader.lines].join("\n") };
}

/** @param provider what the program may have registered for this signal, which is left to it then. */
function readSignal<TValues extends { readonly exportTimeout: number }>(reader: Reader, signal: Signal, rows: Rows<TValues>, provider?: string): SignalSettings & TValues {
  reader.places.set(signal, { option: signal });
  const name = signal.toUpperCase();
  // What is said of one signal, then what is said of all.
  const places = (option: string, variable: string): readonly Place[] => [
    { option: `${signal}.${option}`, variable: `OTEL_EXPORTER_OTLP_${name}_${variable}` },
    { option, variable: `OTEL_EXPORTER_OTLP_${variable}` },
  ];
  const asked = reader.find([{ option: `${signal}.exporter`, variable: `OTEL_${name}_EXPORTER` }], exporters, ["otlp"]);
  const exporter = reader.given(signal) === false ? leftOut(`code: ${signal}`) : asked.value.includes("none") ? leftOut(asked.source) : leftToProgram(reader, signal, asked, provider);
  const all = reader.read(ofExport, places);
  const isGrpc = all.protocol.value === "grpc";
  const kind = isGrpc ? values.aGrpcAddress : values.aUrl;
  const given = reader.find(places("endpoint", "ENDPOINT"), kind, isGrpc ? "http://localhost:4317/" : "http://localhost:4318");
  // What is given for all signals is a base URL.
  const isWhole = isGrpc || given.source.includes(`${signal}.`) || given.source.includes(`_${name}_`);
  const address = isWhole ? given.value : values.urlOfSignal(given.value, signal);
  const endpoint = { ...given, shown: kind.show(address), value: address.includes("://") ? address : `${all.insecure.value ? "http" : "https"}://${address}` };
  const headers = new Map<string, Found<string>>();
  for (const { value, source } of reader.findAll(places("headers", "HEADERS"), values.headers).toReversed()) {
    for (const [header, text] of Object.entries(value)) headers.set(header.toLowerCase(), { value: text, shown: "[redacted]", source });
  }
  const own = reader.read(rows, (option, variable) => [{ option: `${signal}.${option}`, variable }]);
  boundBatch(own);
  const isSent = exporter.value.includes("otlp");
  const shownHeaders = [...headers].map(([header, found]) => [`headers.${header}`, found] as const);
  const more = isSent ? [["endpoint", endpoint] as const, ...shownHeaders, ...Object.entries<Found<unknown>>({ ...all, ...own })] : [];
  reader.describe(signal, [["exporter", exporter], ...more]);
  return {
    ...valuesOf({ exporter, endpoint }),
    ...valuesOf(all),
    ...valuesOf(own),
    headers: Object.fromEntries([...headers].map(([header, { value }]) => [header, value])),
    tls: isSent && endpoint.value.startsWith("https:") ? tlsFiles(reader, signal, all) : {},
  };
}

const leftOut = (source: string): Found<readonly OtlpExporterName[]> => ({ value: [], shown: "none", source });

/** There can be one provider of each signal: where the program has registered its own, nothing is exported. */
function leftToProgram<T>(reader: Reader, signal: Signal, exporter: T, provider: string | undefined): T | ReturnType<typeof leftOut> {
  if (provider === undefined || signal === "traces" || registrations()[signal] === undefined) return exporter;
  reader.warnings.add(`${signal} are left to the ${provider} that is registered already; "${signal}: false" in setupOtlp's options says that this is meant`);
  return leftOut(`the ${provider} of the program`);
}

/** A batch is no larger than the queue. */
function boundBatch(found: Record<string, Found<unknown>>): void {
  const { maxQueueSize, maxExportBatchSize } = found;
  if (maxQueueSize === undefined || maxExportBatchSize === undefined || Number(maxExportBatchSize.value) <= Number(maxQueueSize.value)) return;
  found["maxExportBatchSize"] = { ...maxExportBatchSize, value: maxQueueSize.value, shown: `${maxQueueSize.shown}, no more than the queue holds` };
}

/** What is in the files that the settings name. Where TLS can't use it, that is noted, and they are left out. */
function tlsFiles(reader: Reader, signal: Signal, { certificate, clientCertificate, clientKey }: FoundIn<ExportValues>): TlsFiles {
  const given = [certificate, clientCertificate, clientKey];
  try {
    const [ca, cert, key] = given.map(({ value }) => (value === undefined ? value : readFileSync(value)));
    if ((cert === undefined) !== (key === undefined)) throw new Error("a client's certificate and key need each other");
    createSecureContext({ ca, cert, key });
    return { ca, cert, key };
  } catch (error) {
    const sources = given.flatMap(({ value, source }) => (value === undefined ? [] : [source]));
    reader.warnings.add(`${signal} are exported without what is in the files of ${sources.join(", ")} (${messageOf(error)})`);
    return {};
  }
}

/** Where a setting can be given: the option's path, such as `traces.endpoint`, and its variable, if it has one. */
interface Place {
  readonly option: string;
  readonly variable?: string;
}

/** A setting as it was found. */
interface Found<T> {
  readonly value: T;
  /** The value as diagnostics show it; never a secret. */
  readonly shown: string;
  /** Who gave it: `code: OPTION`, `env: VARIABLE` or `default`. */
  readonly source: string;
}
type FoundIn<TValues> = { [K in keyof TValues]: Found<TValues[K]> };

const valuesOf = <TValues>(found: FoundIn<TValues>): TValues =>
  Object.fromEntries(Object.entries<Found<unknown>>(found).map(([name, { value }]) => [name, value])) as TValues;

/** Looks settings up: what is wrong in code throws; what is wrong in the environment is noted in `warnings` and ignored. */
class Reader {
  readonly warnings = new Set<string>();
  readonly places = new Map<string, Place>();
  readonly lines: string[] = [];
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** All settings of a table, each in its places. */
  read<TValues>(rows: Rows<TValues>, placesOf: (option: string, variable: string) => readonly Place[]): FoundIn<TValues> {
    const found = Object.entries<Rows<Record<string, unknown>>[string]>({ ...rows }).map(([name, [variable, kind, otherwise]]) => [name, this.find(placesOf(name, variable), kind, otherwise)]);
    return Object.fromEntries(found) as FoundIn<TValues>;
  }

  /** The setting in the strongest place: code before the environment, and in each the first place. */
  find<T>(places: readonly Place[], kind: Kind<T>, otherwise: T): Found<T> {
    return this.findAll(places, kind)[0] ?? { value: otherwise, shown: otherwise === undefined ? "not set" : kind.show(otherwise), source: "default" };
  }

  /** The setting in each place where it is given, the strongest first. */
  findAll<T>(places: readonly Place[], kind: Kind<T>): readonly Found<T>[] {
    for (const place of places) this.places.set(place.option, place);
    const found = (source: string, given: unknown): Found<T> => ({ value: kind.read(given), shown: kind.show(kind.read(given)), source });
    const inCode = places.flatMap(({ option }) => {
      const value = this.given(option);
      return value === undefined ? [] : [found(`code: ${option}`, value)];
    });
    const inEnvironment = places.flatMap(({ variable = "" }) => {
      const text = textOf(variable);
      if (text === undefined) return [];
      let ignored = 0;
      const ignore = (shown: string, why = ""): void => {
        ignored += 1;
        this.warnings.add(`${variable}="${shown}" is ignored: it must be ${kind.is}${why === "" ? "" : ` (${why})`}`);
      };
      const value = kind.fromText(text, ignore);
      if (kind.test(value) && value !== undefined) return [found(`env: ${variable}`, value)];
      if (ignored === 0) ignore(kind.hide(text));
      return [];
    });
    return [...inCode, ...inEnvironment];
  }

  /** What code gives. A blank text is the same as not given. */
  given(option: string): unknown {
    const [name = "", member] = option.split(".");
    const value = member === undefined ? this.#options[name] : new Map(Object.entries(this.#options[name] ?? {})).get(member);
    return isBlank(value) ? undefined : value;
  }

  describe(section: string, settings: readonly (readonly [name: string, setting: Found<unknown>])[]): void {
    this.lines.push(`  ${section}`, ...settings.map(([name, { shown, source }]) => `    ${name}: ${shown} (${source})`));
  }
}

type Options = Readonly<Record<string, unknown>>;

/** @throws TypeError that names the option at fault and what is allowed. */
function check(owner: string, options: unknown, kinds: Readonly<Record<string, Kind<unknown>>>): Options {
  const rules: OptionRules<Record<string, unknown>> = Object.fromEntries(
    Object.entries(kinds).map(([name, { is, test, object }]) => [name, { is: object?.is ?? is, test: (value: unknown) => isBlank(value) || test(value) }]),
  );
  checkOptions<Options>(owner, options, rules);
  for (const [name, value] of Object.entries(options)) {
    const member = kinds[name]?.object?.member;
    if (member !== undefined && isRecord(value)) checkOptions(`${owner}: ${name}`, value, Object.fromEntries(Object.keys(value).map((each) => [each, member(each)])));
  }
  return options;
}

const kindsOf = <TValues>(rows: Rows<TValues>): Readonly<Record<string, Kind<unknown>>> =>
  Object.fromEntries(Object.entries<readonly [string, Kind<unknown>, unknown]>({ ...rows }).map(([name, [, kind]]) => [name, kind]));

const exportKinds = { ...kindsOf(ofExport), endpoint: values.aUrl, headers: values.headers };
const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === "";
const isRecord = (value: unknown): value is Options => typeof value === "object" && value !== null && !Array.isArray(value);

/** The variable's text, trimmed; empty and blank mean unset, as the OpenTelemetry specification says. */
export function textOf(variable: string): string | undefined {
  return process.env[variable]?.trim() || undefined;
}
