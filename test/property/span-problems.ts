/** What is wrong with the spans of workflows that have finished, in words; nothing, if tracing keeps its rules. */
import { SpanKind, type Attributes, type HrTime, type SpanContext } from "@opentelemetry/api";
import type { Ledger } from "./workflows.ts";

/** A span that ended, of OpenTelemetry SDK 2.x or 3.x. */
export interface EndedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string }[];
  readonly parentSpanContext?: SpanContext | undefined;
  readonly instrumentationScope: { readonly name: string };
  spanContext(): SpanContext;
}

export interface Circumstances {
  /** Whether trace contexts are carried by the backend. */
  readonly carried: boolean;
  /** Whether work items may have been delivered more than once, as a worker was lost. */
  readonly redelivered: boolean;
}

const idOf = ({ traceId, spanId }: SpanContext): string => `${traceId}-${spanId}`;
const text = (span: EndedSpan): string =>
  `${span.name} ${SpanKind[span.kind]} ${idOf(span.spanContext())} from ${String(span.startTime)} to ${String(span.endTime)}`;
const taskKey = (span: EndedSpan): string =>
  `${String(span.attributes["durabletask.task.execution_id"])} ${String(span.attributes["durabletask.task.task_id"])}`;
const executionOf = (key: string): string => key.split(" ")[0] ?? "";
const isOrchestration = (span: EndedSpan): boolean =>
  span.kind === SpanKind.SERVER && span.attributes["durabletask.type"] === "orchestration";
const isActivity = (span: EndedSpan): boolean =>
  span.kind === SpanKind.SERVER && span.attributes["durabletask.type"] === "activity";

// A run of an activity starts when it does; so does a first episode that nobody has recorded, and the task that leaves with
// an orchestration's last response, whose span has the least length (S14).
const startsAnew = ({ kind, startTime: [seconds, nanos], endTime: [endSeconds, endNanos] }: EndedSpan): boolean =>
  kind === SpanKind.SERVER || (endSeconds === seconds && endNanos - nanos <= 1000);

function grouped<T, K>(values: Iterable<T>, key: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const value of values) {
    const group = groups.get(key(value));
    if (group === undefined) groups.set(key(value), [value]);
    else group.push(value);
  }
  return groups;
}

/** The spans that have not come yet, though they must: tracing may be a moment behind the client. */
export function missingSpans(spans: readonly EndedSpan[], ledger: Ledger, { redelivered }: Circumstances): string[] {
  const abandoned = redelivered ? ledger.replaced : new Set<string>();
  const owners = new Map(
    spans
      .filter(isOrchestration)
      .map((span) => [idOf(span.spanContext()), String(span.attributes["durabletask.task.execution_id"])]),
  );
  const isAbandoned = ({ parentSpanContext }: EndedSpan): boolean =>
    parentSpanContext !== undefined && abandoned.has(owners.get(idOf(parentSpanContext)) ?? "");
  const executions = new Set(
    spans.filter(isOrchestration).map((span) => span.attributes["durabletask.task.execution_id"]),
  );
  const activities = new Set(spans.filter(isActivity).map(taskKey));
  const parents = new Set(
    spans.filter(isActivity).map(({ parentSpanContext }) => parentSpanContext && idOf(parentSpanContext)),
  );
  return [
    ...[...ledger.executions.keys()]
      .filter((id) => !executions.has(id))
      .map((id) => `orchestration:play SERVER of ${id}`),
    ...ledger.runs
      .filter(({ key }) => !activities.has(key) && !abandoned.has(executionOf(key)))
      .map(({ key }) => `activity:work SERVER of ${key}`),
    ...spans
      .filter(
        (span) =>
          span.name === "activity:work" && span.kind === SpanKind.CLIENT && !parents.has(idOf(span.spanContext())),
      )
      // What ran when the orchestration failed hangs on the span that the failed run emitted.
      .filter(
        (span) => !ledger.rewound.has(String(span.attributes["durabletask.task.instance_id"])) && !isAbandoned(span),
      )
      .map((span) => `activity:work SERVER under ${text(span)}`),
  ];
}

/** All that is wrong. */
export function problems(spans: readonly EndedSpan[], ledger: Ledger, circumstances: Circumstances): string[] {
  const own = spans.filter(({ instrumentationScope }) => instrumentationScope.name === "durable-telemetry");
  const known = new Set(own.filter(isActivity).map(taskKey));
  // The runs whose span was left to a worker that the hub never chose.
  const left = new Set(
    circumstances.redelivered
      ? ledger.runs
          .filter(({ key }) => ledger.replaced.has(executionOf(key)) && !known.has(key))
          .map(({ number }) => number)
      : [],
  );
  const isLeft = ({ name, attributes }: EndedSpan): boolean =>
    name === "in activity" && left.has(Number(attributes["number"]));
  return [
    ...missingSpans(own, ledger, circumstances).map((missing) => `missing: ${missing}`),
    ...foreign(spans),
    ...orphans(spans.filter((span) => !isLeft(span))),
    ...repeated(own, ledger, circumstances),
    ...misplaced(own, spans),
    ...userSpans(spans, ledger, left),
    ...sendsAndStatuses(own, ledger),
    ...own
      .filter(({ startTime: [s, n], endTime: [es, en] }) => es < s || (es === s && en < n))
      .map((span) => `ends before it starts: ${text(span)}`),
    ...traces(own, ledger, circumstances),
  ];
}

// The SDK's client may have spans; its worker's are silenced (I9).
function foreign(spans: readonly EndedSpan[]): string[] {
  return spans
    .filter(
      ({ instrumentationScope, name }) =>
        instrumentationScope.name === "Microsoft.DurableTask" &&
        !/^(create_orchestration|orchestration_event):/.test(name),
    )
    .map((span) => `of the SDK's worker: ${text(span)}`);
}

function orphans(spans: readonly EndedSpan[]): string[] {
  const known = new Set(spans.map((span) => idOf(span.spanContext())));
  return spans
    .filter(({ parentSpanContext: parent }) => parent !== undefined && !known.has(idOf(parent)))
    .map((span) => `orphan: ${text(span)}`);
}

// A span is there twice only where its work item was delivered twice and either response may have counted; then both
// are the same span (I4).
function repeated(own: readonly EndedSpan[], ledger: Ledger, { redelivered }: Circumstances): string[] {
  const runs = grouped(ledger.runs, ({ key }) => key);
  return [...grouped(own, (span) => idOf(span.spanContext())).values()].flatMap(([one, ...more]) => {
    if (one === undefined || more.length === 0) return [];
    const same = (span: EndedSpan): boolean =>
      span.name === one.name &&
      span.kind === one.kind &&
      span.parentSpanContext?.spanId === one.parentSpanContext?.spanId &&
      (startsAnew(span) || String(span.startTime) === String(one.startTime));
    if (!more.every(same)) return [`different spans with one ID: ${[one, ...more].map(text).join("; ")}`];
    const explained = redelivered && (!isActivity(one) || (runs.get(taskKey(one))?.length ?? 0) > more.length);
    return explained ? [] : [`${more.length + 1} times: ${text(one)}`];
  });
}

// The kinds and parents that the table of spans has.
function misplaced(own: readonly EndedSpan[], all: readonly EndedSpan[]): string[] {
  const byId = new Map(all.map((span) => [idOf(span.spanContext()), span]));
  return own.flatMap((span) => {
    const parent = span.parentSpanContext && byId.get(idOf(span.parentSpanContext));
    const shape = `${span.name} ${SpanKind[span.kind]} < ${parent === undefined ? "root" : `${parent.name} ${SpanKind[parent.kind]}`}`;
    return shapes.has(shape) ? [] : [`misplaced: ${shape}`];
  });
}

const shapes: ReadonlySet<string> = new Set([
  "orchestration:play SERVER < root",
  "orchestration:play SERVER < create_orchestration:play PRODUCER",
  "orchestration:play SERVER < orchestration:play CLIENT",
  "orchestration:play CLIENT < orchestration:play SERVER",
  "orchestration:play:timer INTERNAL < orchestration:play SERVER",
  "wait:go INTERNAL < orchestration:play SERVER",
  "activity:work CLIENT < orchestration:play SERVER",
  "orchestration_event:go PRODUCER < orchestration:play SERVER",
  "activity:work SERVER < activity:work CLIENT",
]);

// Each event that was sent is a span, and each new custom status an event on the orchestration's span (S2).
function sendsAndStatuses(own: readonly EndedSpan[], ledger: Ledger): string[] {
  // A rewound execution has two spans, and the second has not sent again.
  const once = own.filter(
    (span) => isOrchestration(span) && !ledger.rewound.has(String(span.attributes["durabletask.task.instance_id"])),
  );
  return once.flatMap((span) => {
    const id = String(span.attributes["durabletask.task.execution_id"]);
    const sent = own.filter(
      ({ name, parentSpanContext: parent }) =>
        name === "orchestration_event:go" && parent !== undefined && idOf(parent) === idOf(span.spanContext()),
    );
    const counts = {
      sent: new Set(sent.map((each) => idOf(each.spanContext()))).size,
      statuses: span.events.filter(({ name }) => name === "durabletask.orchestration.custom_status_changed").length,
    };
    const expected = { sent: ledger.sends.get(id)?.size ?? 0, statuses: ledger.statuses.get(id)?.size ?? 0 };
    return JSON.stringify(counts) === JSON.stringify(expected)
      ? []
      : [`execution ${id} has ${JSON.stringify(counts)}, not ${JSON.stringify(expected)}`];
  });
}

function userSpans(spans: readonly EndedSpan[], ledger: Ledger, left: ReadonlySet<number>): string[] {
  const byId = new Map(spans.map((span) => [idOf(span.spanContext()), span]));
  const parentOf = (span: EndedSpan): EndedSpan | undefined =>
    span.parentSpanContext && byId.get(idOf(span.parentSpanContext));
  const user = spans.filter(({ instrumentationScope }) => instrumentationScope.name === "user");
  const inOrchestrators = grouped(
    user.filter(({ name }) => name === "in orchestrator"),
    ({ attributes }) => String(attributes["key"]),
  );
  const inActivities = grouped(
    user.filter(({ name }) => name === "in activity"),
    ({ attributes }) => Number(attributes["number"]),
  );
  return [
    ...[...ledger.steps].flatMap(([key, live]) => {
      const found = inOrchestrators.get(key) ?? [];
      const nested = found.filter(
        (span) => parentOf(span)?.attributes["durabletask.task.execution_id"] === executionOf(key),
      );
      return found.length === live && nested.length === live
        ? []
        : [`step ${key}: ${live} live, ${found.length} spans, ${nested.length} nested`];
    }),
    ...[...inOrchestrators.keys()]
      .filter((key) => !ledger.steps.has(key))
      .map((key) => `a span of a step that only replayed: ${key}`),
    ...ledger.runs
      .filter(({ number }) => !left.has(number))
      .flatMap(({ key, number }) => {
        const found = inActivities.get(number) ?? [];
        const [parent] = found.map(parentOf);
        return found.length === 1 && parent !== undefined && isActivity(parent) && taskKey(parent) === key
          ? []
          : [`activity ${key}: ${found.length} spans of its code, under ${parent?.name}`];
      }),
  ];
}

function traces(own: readonly EndedSpan[], ledger: Ledger, { carried }: Circumstances): string[] {
  const traceIds = new Map(
    own
      .filter(isOrchestration)
      .map((span) => [String(span.attributes["durabletask.task.execution_id"]), span.spanContext().traceId]),
  );
  const found: string[] = [];
  const beginners = new Map<string, string>();
  for (const { executionId, instanceId, parentExecutionId, generation } of ledger.executions.values()) {
    const traceId = traceIds.get(executionId) ?? "";
    // The run after a rewind is in the failed run's trace where that came from a caller, and else in one of its own.
    if (carried && ledger.rewound.has(instanceId)) continue;
    // What continued as new has no caller.
    if (carried && generation === 1 && parentExecutionId !== undefined) {
      if (traceIds.get(parentExecutionId) !== traceId)
        found.push(`execution ${executionId} is not in the trace of its parent`);
      continue;
    }
    const other = beginners.get(traceId);
    if (other !== undefined) found.push(`executions ${other} and ${executionId} share a trace`);
    beginners.set(traceId, executionId);
  }
  return found;
}
