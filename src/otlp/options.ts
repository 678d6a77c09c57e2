import { validateHeaderName, validateHeaderValue } from "node:http";
import type { Sampler, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { ResourceAttributes, ResourceAttributeValue } from "./resource.ts";

/**
 * What {@link setupOtlp} can be told in code. Whatever is left out (or is an empty text) is taken from the `OTEL_*`
 * variables, else from OpenTelemetry's defaults.
 */
export interface OtlpOptions {
  /** The `service.name` of the resource. Default: `OTEL_SERVICE_NAME`. */
  readonly serviceName?: string | undefined;
  /**
   * Base URL of the OTLP collector, `http:` or `https:`; `/v1/traces` is appended, as it is to
   * `OTEL_EXPORTER_OTLP_ENDPOINT`. Default: that variable (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`), else
   * `http://localhost:4318`.
   */
  readonly endpoint?: string | undefined;
  /** Headers of every export, by name, for an API key say. They are added to those of `OTEL_EXPORTER_OTLP_HEADERS`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** More attributes of the resource; they win over `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly resourceAttributes?: ResourceAttributes | undefined;
  /** Decides which spans are recorded. Default: `OTEL_TRACES_SAMPLER`, else all, unless the parent was not sampled. */
  readonly sampler?: Sampler | undefined;
  /** Span processors beside the one that exports. A fault in one of them is reported and changes nothing else. */
  readonly spanProcessors?: readonly SpanProcessor[] | undefined;
  /** How long `shutdown()` may take, in milliseconds. Default: 5000. */
  readonly shutdownTimeout?: number | undefined;
  /**
   * Whether to shut down when the process gets SIGTERM (telemetry.md K3). Default: `false`.
   *
   * The process then ends as it does without a listener. If the program listens to SIGTERM too, it is the program
   * that decides when to end: telemetry stays on for the spans of the last work and shuts down when nothing is left
   * to do; a program that ends with `process.exit()` calls `shutdown()` first.
   */
  readonly handleSigterm?: boolean | undefined;
}

/** The options as {@link checkOptions} hands them on: what is `undefined` was not given. */
export interface CheckedOptions {
  readonly serviceName: string | undefined;
  readonly endpoint: URL | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly resourceAttributes: ResourceAttributes;
  readonly sampler: Sampler | undefined;
  readonly spanProcessors: readonly SpanProcessor[];
  readonly shutdownTimeout: number;
  readonly handleSigterm: boolean;
}

const optionNames = [
  "serviceName",
  "endpoint",
  "headers",
  "resourceAttributes",
  "sampler",
  "spanProcessors",
  "shutdownTimeout",
  "handleSigterm",
] as const satisfies readonly (keyof OtlpOptions)[];

const longestTimeout = 2 ** 31 - 1; // A longer setTimeout would fire at once.

/** @throws TypeError that names the option at fault and what is allowed. */
export function checkOptions(options: unknown): CheckedOptions {
  if (!isPlainObject(options)) throw invalid(`the options must be an object with any of ${optionNames.join(", ")}`);
  for (const name of Object.keys(options)) {
    if (!optionNames.some((known) => known === name)) {
      throw invalid(`unknown option "${name}"; allowed are ${optionNames.join(", ")}`);
    }
  }
  return {
    serviceName: checkText("serviceName", options["serviceName"]),
    endpoint: checkEndpoint(options["endpoint"]),
    headers: checkHeaders(options["headers"]),
    resourceAttributes: checkResourceAttributes(options["resourceAttributes"]),
    sampler: checkSampler(options["sampler"]),
    spanProcessors: checkSpanProcessors(options["spanProcessors"]),
    shutdownTimeout: checkTimeout("shutdownTimeout", options["shutdownTimeout"]) ?? 5000,
    handleSigterm: checkBoolean("handleSigterm", options["handleSigterm"]) ?? false,
  };
}

/** The URL, if it is one that OTLP over HTTP can be sent to. */
export function parseHttpUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
}

function checkText(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string") throw invalid(`"${name}" must be a string, not ${kindOf(value)}`);
  return value.trim() === "" ? undefined : value;
}

function checkEndpoint(value: unknown): URL | undefined {
  const text = checkText("endpoint", value);
  if (text === undefined) return undefined;
  const url = parseHttpUrl(text);
  if (url === undefined) throw invalid(`"endpoint" must be an http or https URL such as "http://localhost:4318", not "${text}"`);
  return url;
}

// Header values are often secrets: an error names the header, never its value.
function checkHeaders(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isPlainObject(value)) throw invalid(`"headers" must be an object of header names and texts, not ${kindOf(value)}`);
  const headers: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") throw invalid(`"headers.${name}" must be a string, not ${kindOf(text)}`);
    if (!passes(() => validateHeaderName(name))) throw invalid(`"headers" has "${name}", which is no valid HTTP header name`);
    if (!passes(() => validateHeaderValue(name, text))) {
      throw invalid(`"headers.${name}" has characters that an HTTP header must not have, such as a line break`);
    }
    headers[name] = text;
  }
  return headers;
}

function checkResourceAttributes(value: unknown): ResourceAttributes {
  if (value === undefined) return {};
  if (!isPlainObject(value)) throw invalid(`"resourceAttributes" must be an object of names and values, not ${kindOf(value)}`);
  const attributes: Record<string, ResourceAttributeValue | undefined> = {};
  for (const [name, attribute] of Object.entries(value)) {
    if (name === "") throw invalid(`"resourceAttributes" has an empty name`);
    if (attribute !== undefined && !isResourceAttributeValue(attribute)) {
      throw invalid(
        `"resourceAttributes.${name}" must be a string, a finite number, a boolean, or an array of one of these, not ${kindOf(attribute)}`,
      );
    }
    attributes[name] = attribute;
  }
  return attributes;
}

function isResourceAttributeValue(value: unknown): value is ResourceAttributeValue {
  if (isScalar(value)) return true;
  if (!Array.isArray(value)) return false;
  const values: readonly unknown[] = value;
  return values.every((item) => isScalar(item) && typeof item === typeof values[0]);
}

function isScalar(value: unknown): boolean {
  return typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
}

function checkSampler(value: unknown): Sampler | undefined {
  if (value === undefined) return undefined;
  if (!isSampler(value)) throw invalid(`"sampler" must be a sampler with shouldSample(), not ${kindOf(value)}`);
  return value;
}

function checkSpanProcessors(value: unknown): readonly SpanProcessor[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(`"spanProcessors" must be an array of span processors, not ${kindOf(value)}`);
  const items: readonly unknown[] = value;
  return items.map((item, index) => {
    if (isSpanProcessor(item)) return item;
    throw invalid(
      `"spanProcessors[${index}]" must be a span processor with onStart(), onEnd(), forceFlush() and shutdown(), not ${kindOf(item)}`,
    );
  });
}

function isSampler(value: unknown): value is Sampler {
  return hasMethods(value, ["shouldSample"]);
}

function isSpanProcessor(value: unknown): value is SpanProcessor {
  return hasMethods(value, ["onStart", "onEnd", "forceFlush", "shutdown"]);
}

function checkTimeout(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && value > 0 && value <= longestTimeout) return value;
  throw invalid(`"${name}" must be a number of milliseconds greater than 0 and at most ${longestTimeout}, not ${kindOf(value)}`);
}

function checkBoolean(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw invalid(`"${name}" must be true or false, not ${kindOf(value)}`);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  return isPlainObject(value) && methods.every((method) => typeof value[method] === "function");
}

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function invalid(problem: string): TypeError {
  return new TypeError(`setupOtlp: ${problem}`);
}
