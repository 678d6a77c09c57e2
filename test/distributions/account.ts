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

/** The span that the application opens in an activity. */
const userSpan = "user work";

/** What a whole trace has. */
export interface Whole {
  /** The names of the spans of durable work, each as often as it must be there. */
  readonly names: readonly string[];
  /** Whether the parent of each span must be there. */
  readonly hasParents: boolean;
}

/** The trace of one orchestration `lab`. */
export const wholeTrace: Whole = {
  hasParents: true,
  names: [
    "create_orchestration:lab",
    "orchestration:lab",
    // The wait for an activity, and its execution.
    "activity:quick",
    "activity:quick",
    userSpan,
    "activity:slow",
    "activity:slow",
    // Two attempts, and the wait between them.
    "activity:flaky",
    "activity:flaky",
    "orchestration:lab:timer",
    "activity:flaky",
    "activity:flaky",
    "orchestration:lab-child",
    "orchestration:lab-child",
    "activity:quick",
    "activity:quick",
    userSpan,
  ],
};

/**
 * The same where only what runs is kept, with what waits for it left out: New Relic has spans of its transactions alone,
 * which SERVER spans start.
 */
export const transactions: Whole = {
  hasParents: false,
  names: [
    "orchestration:lab",
    "activity:quick",
    "activity:slow",
    "activity:flaky",
    "activity:flaky",
    "orchestration:lab-child",
    "activity:quick",
  ],
};

export interface Account {
  readonly whole: number;
  readonly absent: number;
  readonly torn: number;
  /** Spans of the traces whose parent did not arrive. */
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

const durable = /^(create_orchestration|orchestration|activity|timer|event|entity):/;

/** Counts what is there of `orchestrations` orchestrations `lab`. */
export function accountFor(
  { spans, logs, metrics }: Received,
  orchestrations: number,
  expected: Whole = wholeTrace,
): Account {
  const traces = Map.groupBy(spans, ({ traceId }) => traceId);
  const ours = [...traces.values()].filter((trace) =>
    trace.some(({ name }) => durable.test(name) || name === userSpan),
  );
  const isKept = (name: string): boolean =>
    (durable.test(name) || name === userSpan) && (expected.hasParents || expected.names.includes(name));
  const differences = ours
    .map((trace) => differenceOf(expected.names, trace.map(({ name }) => name).filter(isKept)))
    .filter((text) => text !== "");
  const whole = ours.length - differences.length;
  return {
    whole,
    absent: Math.max(0, orchestrations - ours.length),
    torn: differences.length,
    orphans: expected.hasParents ? ours.flatMap(orphansIn).length : 0,
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

function differenceOf(expected: readonly string[], names: readonly string[]): string {
  const count = (list: readonly string[], name: string): number => list.filter((each) => each === name).length;
  return [...new Set([...expected, ...names])]
    .map((name) => ({ name, by: count(names, name) - count(expected, name) }))
    .filter(({ by }) => by !== 0)
    .map(({ name, by }) => `${by > 0 ? "+" : ""}${by} ${name}`)
    .join(", ");
}
