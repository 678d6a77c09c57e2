/** What a backend received of the lab's workflow, and what is wrong with that. */

/** A span as a backend knows it, whatever its protocol. */
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** `undefined` for a root. */
  readonly parentSpanId: string | undefined;
  /** In milliseconds. */
  readonly duration: number;
}

/** What a backend has received. */
export interface Received {
  readonly spans: readonly Span[];
  /** The texts of the log records, in order of arrival. */
  readonly logs: readonly string[];
  /** The names of the metrics, each once. */
  readonly metrics: ReadonlySet<string>;
}

/** The names of the spans of durable work in the trace of one orchestration `lab`, each as often as it must be there. */
export const wholeTrace: readonly string[] = [
  "create_orchestration:lab",
  "orchestration:lab",
  ...Array<string>(2).fill("activity:quick"),
  "user work",
  ...Array<string>(2).fill("activity:slow"),
  // Two attempts, and the wait between them.
  ...Array<string>(4).fill("activity:flaky"),
  "orchestration:lab:timer",
  ...Array<string>(2).fill("orchestration:lab-child"),
  ...Array<string>(2).fill("activity:quick"),
  "user work",
].toSorted();

export interface Account {
  readonly whole: number;
  readonly absent: number;
  readonly torn: number;
  /** Spans of those traces whose parent did not arrive. */
  readonly orphans: number;
  /** Spans that arrived with the ID of another one of their trace. */
  readonly doubled: number;
  /** Spans of the activity that takes 300 ms which are shorter than that. */
  readonly tooShort: number;
  /** For each trace that is not whole, what is missing and what is too much. */
  readonly differences: readonly string[];
  /** Log records about durable work, and the application's own. */
  readonly logs: number;
  /** Metrics of durable work. */
  readonly metrics: number;
}

const durable = /^(create_orchestration|orchestration|activity|timer|event|entity):|^user work$/;

/** Counts what is there of `orchestrations` orchestrations `lab`. */
export function accountFor({ spans, logs, metrics }: Received, orchestrations: number): Account {
  const traces = Map.groupBy(spans, ({ traceId }) => traceId);
  const ours = [...traces.values()].filter((trace) => trace.some(({ name }) => durable.test(name)));
  const differences = ours.map((trace) => differenceOf(trace.map(({ name }) => name).filter((name) => durable.test(name)))).filter((text) => text !== "");
  const whole = ours.length - differences.length;
  return {
    whole,
    absent: Math.max(0, orchestrations - ours.length),
    torn: differences.length,
    orphans: ours.flatMap(orphansIn).length,
    doubled: ours.reduce((sum, trace) => sum + trace.length - new Set(trace.map(({ spanId }) => spanId)).size, 0),
    tooShort: ours.flat().filter(({ name, duration }) => name === "activity:slow" && duration < 295).length,
    differences: [...new Set(differences)],
    logs: logs.filter((text) => logsOfDurableWork.test(text)).length,
    metrics: [...metrics].filter((name) => name.startsWith("durabletask.")).length,
  };
}

const logsOfDurableWork = /lab|quick|slow|flaky|greeting|orchestration|activity/i;

function orphansIn(trace: readonly Span[]): readonly Span[] {
  const known = new Set(trace.map(({ spanId }) => spanId));
  return trace.filter(({ parentSpanId }) => parentSpanId !== undefined && !known.has(parentSpanId));
}

function differenceOf(names: readonly string[]): string {
  const count = (list: readonly string[], name: string): number => list.filter((each) => each === name).length;
  return [...new Set([...wholeTrace, ...names])]
    .map((name) => ({ name, by: count(names, name) - count(wholeTrace, name) }))
    .filter(({ by }) => by !== 0)
    .map(({ name, by }) => `${by > 0 ? "+" : ""}${by} ${name}`)
    .join(", ");
}
