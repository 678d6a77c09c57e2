import {
  ATTR_PARENT_INSTANCE_ID,
  ATTR_TASK_ATTEMPT,
  ATTR_TASK_EXECUTION_ID,
  ATTR_TASK_ID,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TYPE,
} from "../../telemetry/semconv.ts";
import { shorten } from "../../testing/waterfall/display-width.ts";
import { FieldError, objectOf, stringOf } from "./fields.ts";
import { FileSpan, type SpanRecord, type SpanScope, type SpanSource } from "./file-span.ts";
import { jaegerServices, jaegerSpan } from "./jaeger.ts";
import { InputError, JsonStream, type Found, type JsonConsumer } from "./json-stream.ts";
import { otlpService, otlpSpan } from "./otlp.ts";
import type { Position } from "./positions.ts";

/** What is wrong with an input, and where. */
export interface InputProblem {
  readonly file: string;
  readonly message: string;
  readonly position?: Position | undefined;
}

/** What was read of all inputs. */
export interface ReadSpans {
  /** By trace ID, in the order in which the traces were met. */
  readonly traces: ReadonlyMap<string, FileSpan[]>;
  readonly spans: number;
  readonly problems: readonly InputProblem[];
  /** How many more problems there are than are in `problems`. */
  readonly moreProblems: number;
}

/** What to read. */
export interface ReadOptions {
  /** Only traces whose ID begins with this. */
  readonly traceId: string | undefined;
  /** Whether to keep all attributes, events, links and scopes, and not only what the checks need. */
  readonly detailed: boolean;
  /** IDs of spans that are recorded elsewhere, such as another service's. */
  readonly remoteParents: ReadonlySet<string>;
}

// An array of requests is one document too, and Jaeger's API (v3) wraps its answer in `result`.
const resourceSpans = ["$", "$.*", "$.result"].map((top) => `${top}.resourceSpans.*`);
const paths = [
  ...resourceSpans.flatMap((each) => [
    `${each}.resource`,
    `${each}.scopeSpans.*.scope`,
    `${each}.scopeSpans.*.spans.*`,
  ]),
  "$.data.*.spans.*",
  "$.data.*.processes",
];

class TooManySpansError extends Error {}

const mostProblems = 10;
/** In columns: a message quotes keys and strings of the file, which may be as long as the file. */
const longestMessage = 300;
/** Spans that are in memory at most: a few hundred megabytes. */
export const mostSpans = 1_000_000;

/** Reads spans from files: OTLP JSON, as one document or as lines, or Jaeger's JSON. */
export class SpanReader implements ReadSpans {
  readonly traces: Map<string, FileSpan[]> = new Map();
  readonly problems: InputProblem[] = [];
  moreProblems = 0;
  spans = 0;
  readonly #options: ReadOptions;
  readonly #strings = new Map<string, string>();

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  /**
   * Reads one input to its end, or to where it is no JSON. What was read before a problem stays.
   *
   * @param file its name in problems.
   */
  async read(file: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const [spansBefore, problemsBefore] = [this.spans, this.problems.length + this.moreProblems];
    const document = new SpanDocuments((record) => this.#add(record));
    const stream = new JsonStream(paths, document);
    const problem = (message: string, position?: Position): void => {
      if (this.problems.length < mostProblems)
        this.problems.push({ file, message: shorten(message, longestMessage), position });
      else this.moreProblems += 1;
    };
    document.onProblem = (message) => problem(message, stream.position);
    let isFirst = true;
    try {
      for await (const bytes of chunks) {
        const foreign = isFirst ? foreignEncoding(bytes) : undefined;
        if (foreign !== undefined) throw new InputError(foreign, { line: 1, byte: 0 });
        isFirst = false;
        stream.write(bytes);
      }
      stream.end();
    } catch (error) {
      if (error instanceof InputError) problem(error.message, error.position);
      else if (error instanceof TooManySpansError) problem(error.message, stream.position);
      else problem(`can't be read: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    if (document.documents === 0) problem("is empty");
    else if (
      this.spans + document.skipped === spansBefore &&
      this.problems.length + this.moreProblems === problemsBefore
    )
      problem("has no spans");
  }

  #add(record: SpanRecord): boolean {
    if (this.#options.traceId !== undefined && !record.traceId.startsWith(this.#options.traceId)) return false;
    if (this.spans >= mostSpans)
      throw new TooManySpansError(`has more than ${mostSpans} spans: name a trace with --trace`);
    const { detailed, remoteParents } = this.#options;
    const { parentSpanId } = record;
    const isParentRemote = record.isParentRemote || (parentSpanId !== undefined && remoteParents.has(parentSpanId));
    const traceId = this.#shared(record.traceId);
    const attributes = detailed ? record.attributes : this.#needed(record.attributes);
    const span = new FileSpan(
      { ...record, traceId, attributes, isParentRemote, name: this.#shared(record.name) },
      detailed,
    );
    const ofTrace = this.traces.get(traceId);
    if (ofTrace === undefined) this.traces.set(traceId, [span]);
    else ofTrace.push(span);
    this.spans += 1;
    return true;
  }

  /** The attributes that the checks and the pictures read. */
  #needed(attributes: SpanRecord["attributes"]): SpanRecord["attributes"] {
    const kept: Record<string, unknown> = {};
    for (const key of neededAttributes) {
      const value = attributes[key];
      if (value !== undefined) kept[key] = typeof value === "string" ? this.#shared(value) : value;
    }
    return kept;
  }

  /** The same string for equal ones: names and IDs are many, and few are different. */
  #shared(value: string): string {
    const known = this.#strings.get(value);
    if (known !== undefined) return known;
    if (this.#strings.size < 200_000) this.#strings.set(value, value);
    return value;
  }
}

/** What bytes are that begin no JSON. */
function foreignEncoding([first, second]: Uint8Array): string | undefined {
  if (first === 0x1f && second === 0x8b) return "is compressed with gzip: pipe it through `gunzip -c`, and read `-`";
  // `>` of Windows PowerShell writes the first of these.
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return "is UTF-16: save it as UTF-8";
  return undefined;
}

const neededAttributes = [
  ATTR_PARENT_INSTANCE_ID,
  ATTR_TYPE,
  ATTR_TASK_INSTANCE_ID,
  ATTR_TASK_EXECUTION_ID,
  ATTR_TASK_ID,
  ATTR_TASK_ATTEMPT,
];

/** Makes spans of the values of documents of any known format. */
class SpanDocuments implements JsonConsumer {
  onProblem: (message: string) => void = () => {};
  documents = 0;
  /** Spans of other traces than the one that is asked for. */
  skipped = 0;
  readonly #add: (record: SpanRecord) => boolean;
  #keys: string[] = [];
  #isKnownDocument = false;
  /** A resource's spans may come before or after what says which service it is; so may Jaeger's processes. */
  #resource: { readonly owner: object; readonly source: SpanSource } | undefined;
  #scope: { readonly owner: object; readonly scope: SpanScope } | undefined;
  #processes: { readonly owner: object; readonly sources: Map<string, SpanSource> } | undefined;

  constructor(add: (record: SpanRecord) => boolean) {
    this.#add = add;
  }

  onKey(key: string): void {
    if (formatKeys.has(key)) this.#isKnownDocument = true;
    else if (this.#keys.length < 5) this.#keys.push(key);
  }

  onValue(found: Found): void {
    try {
      if (found.path[0] === "data") this.#jaegerValue(found);
      else this.#otlpValue(found);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.onProblem(`${pathText(found.path)}: ${error.message}`);
    }
  }

  onDocument(isObject: boolean): void {
    this.documents += 1;
    // An empty object is an empty request; what an array has is seen in its elements.
    const isEmpty = isObject && this.#keys.length === 0;
    if (!this.#isKnownDocument && !isEmpty) {
      const has = isObject ? `has ${this.#keys.map((key) => JSON.stringify(key)).join(", ")}` : "is no object";
      throw new FieldError(`is neither OTLP JSON ("resourceSpans") nor Jaeger's ("data"): a document ${has}`);
    }
    this.#keys = [];
    this.#isKnownDocument = false;
  }

  #otlpValue({ path, value, owner }: Found): void {
    this.#isKnownDocument = true;
    const at = path.indexOf("resourceSpans");
    const resource = owner(at + 2);
    if (this.#resource?.owner !== resource) this.#resource = { owner: resource, source: { service: undefined } };
    const { source } = this.#resource;
    if (path.at(-1) === "resource") {
      source.service = otlpService(value);
      return;
    }
    const scopeSpans = owner(at + 4);
    if (this.#scope?.owner !== scopeSpans) this.#scope = { owner: scopeSpans, scope: { name: "", version: undefined } };
    const { scope } = this.#scope;
    if (path.at(-1) === "scope") {
      const { name, version } = objectOf(value);
      scope.name = stringOf(name);
      scope.version = stringOf(version) || undefined;
    } else this.#found(otlpSpan(value, source, scope));
  }

  #jaegerValue({ path, value, owner }: Found): void {
    const trace = owner(2);
    if (this.#processes?.owner !== trace) this.#processes = { owner: trace, sources: new Map() };
    const { sources } = this.#processes;
    const sourceOf = (processId: string): SpanSource => {
      const known = sources.get(processId) ?? { service: undefined };
      sources.set(processId, known);
      return known;
    };
    if (path.at(-1) === "processes") {
      for (const [processId, service] of jaegerServices(value)) sourceOf(processId).service = service;
    } else this.#found(jaegerSpan(value, sourceOf));
  }

  #found(record: SpanRecord): void {
    if (!this.#add(record)) this.skipped += 1;
  }
}

/** Members of documents that are known. A collector writes the other signals into the same file. */
const formatKeys: ReadonlySet<string> = new Set([
  "resourceSpans",
  "resourceMetrics",
  "resourceLogs",
  "resourceProfiles",
  "data",
  "result",
]);

function pathText(path: Found["path"]): string {
  return path
    .map((each, index) => (typeof each === "number" ? `[${each}]` : `${index === 0 ? "" : "."}${each}`))
    .join("");
}
