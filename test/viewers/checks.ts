/** What must be true of the traces in Jaeger. A check returns what it saw, and throws if it is not what it should be. */
import { setTimeout } from "node:timers/promises";
import type { JaegerQuery, JaegerSpan, JaegerTrace, OtlpSpan } from "./query.ts";
import { kinds, shapeOf, sorted } from "./shapes.ts";

/** All that was exported to one Jaeger. */
export interface Seen {
  /** The instance IDs of the shop's workflows. */
  readonly ids: Readonly<Record<string, string>>;
  readonly traces: readonly JaegerTrace[];
  readonly otlp: ReadonlyMap<string, readonly OtlpSpan[]>;
}

/** The traces of an orchestration, in the order of its executions. */
export async function tracesOf(
  query: JaegerQuery,
  service: string,
  instanceId: string,
): Promise<readonly JaegerTrace[]> {
  const traces = await query.find(service, { "durabletask.task.instance_id": instanceId });
  return traces.toSorted((a, b) => startOf(a) - startOf(b));
}

const startOf = ({ spans }: JaegerTrace): number => Math.min(...spans.map(({ startTime }) => startTime));

/** An orchestration's traces have the shapes that they should have. */
export async function shaped(
  query: JaegerQuery,
  service: string,
  instanceId: string,
  shapes: readonly string[],
): Promise<string> {
  const traces = await tracesOf(query, service, instanceId);
  same("the number of traces", traces.length, shapes.length);
  const otlp = await Promise.all(traces.map(({ traceID }) => query.otlp(traceID)));
  for (const [index, spans] of otlp.entries()) same("the spans", shapeOf(spans), sorted(shapes[index] ?? ""));
  return `${otlp.map(({ length }) => length).join(" + ")} spans`;
}

/** While an orchestration runs, its finished work is there, below a span that is not. */
export async function running(query: JaegerQuery, instanceId: string): Promise<string> {
  const spans = await until(async () => {
    const [trace] = await tracesOf(query, "order-worker", instanceId);
    return trace !== undefined && trace.spans.filter(isOrphan).length === 5 ? trace.spans : undefined;
  }, "three attempts and two timers below the order that still runs");
  const parents = new Set(spans.filter(isOrphan).map((span) => parentOf(span)?.spanID));
  same("the number of parents that are not there", parents.size, 1);
  return "5 spans with one missing parent, and a warning on each";
}

/** Each span has its parent, and Jaeger has nothing to warn of but what {@link skewOf} explains. */
export function whole({ traces }: Seen): string {
  const skews: string[] = [];
  for (const { spans } of traces) {
    const byId = new Map(spans.map((span) => [span.spanID, span]));
    same("spans with one ID", spans.length - byId.size, 0);
    for (const span of spans) {
      const reference = parentOf(span);
      const parent = reference && byId.get(reference.spanID);
      if (reference !== undefined && parent === undefined) throw new Error(`${span.operationName} is an orphan.`);
      for (const warning of span.warnings ?? []) skews.push(skewOf(span, parent, warning));
    }
  }
  // The spans of the activity whose worker was killed; the others depend on the moment.
  same("warnings of a run that was killed", skews.filter((skew) => skew === "killed").length, 1);
  const count = traces.reduce((sum, { spans }) => sum + spans.length, 0);
  return `${count} spans, ${traces.length} traces, ${skews.length} skews`;
}

/**
 * Jaeger compares a span that is not longer than its parent with it, and warns if it begins before or ends after. That is as
 * it should be in three cases; any other warning is a fault.
 */
function skewOf(span: JaegerSpan, parent: JaegerSpan | undefined, warning: string): "async" | "clocks" | "killed" {
  if (parent !== undefined && warning.startsWith("clock skew adjustment disabled; not applying calculated delta of ")) {
    const late = endOf(span) - endOf(parent);
    const early = parent.startTime - span.startTime;
    // Who sends a message does not wait for what it starts, and code may go on after the activity that began it.
    if (early <= 0 && (tag(parent, "span.kind") === "producer" || span.startTime >= endOf(parent))) return "async";
    // The parent is the run of the activity that completed.
    if (span.operationName === "print label" && endOf(span) <= parent.startTime) return "killed";
    // OpenTelemetry's SDK starts a span at a whole millisecond, and measures from a moment later.
    const isOfOurs = tag(span, "otel.scope.name") === "durable-telemetry";
    if (Math.max(early, late) <= (isOfOurs ? 1000 : 50_000)) return "clocks";
  }
  const place = parent === undefined ? "" : ` below ${parent.operationName}`;
  throw new Error(`${span.operationName}${place}: ${warning}`);
}

const endOf = ({ startTime, duration }: JaegerSpan): number => startTime + duration;

/** Jaeger's own form of a span says the same as OTLP. */
export function translated({ traces, otlp }: Seen): string {
  let failed = 0;
  for (const { traceID, spans, processes } of traces) {
    const byId = new Map((otlp.get(traceID) ?? []).map((span) => [span.spanId, span]));
    same("the number of spans", spans.length, byId.size);
    for (const span of spans) {
      const source = byId.get(span.spanID);
      if (source === undefined) throw new Error(`OTLP has no ${nameOf(span)}.`);
      const { service, name, kind, status, events = [] } = source;
      same("the name", `${processes[span.processID]?.serviceName} ${nameOf(span)}`, `${service} ${name}`);
      same(`the kind of ${name}`, tag(span, "span.kind"), kinds[kind]?.toLowerCase());
      same(`the status of ${name}`, tag(span, "otel.status_code"), [undefined, "OK", "ERROR"][status?.code ?? 0]);
      same(`the mark of an error on ${name}`, tag(span, "error"), status?.code === 2 ? true : undefined);
      same(`the number of logs of ${name}`, span.logs.length, events.length);
      for (const event of events)
        if (!span.logs.some((log) => eventOf(log) === event.name)) throw new Error(`${name} has no log ${event.name}.`);
      if (status?.code === 2) failed += 1;
    }
  }
  return `kinds, ${failed} failures, events`;
}

/** An execution that continues another one has a link to it. */
export async function linked(query: JaegerQuery, { ids }: Seen): Promise<string> {
  const executions = await tracesOf(query, "order-worker", ids["poll"] ?? "");
  const spans = executions.map((trace) => orchestration(trace, "poll"));
  const links = spans.map((span) => span.references.filter(({ refType }) => refType === "FOLLOWS_FROM"));
  for (const [index, previous] of spans.slice(0, -1).entries()) {
    const to = (links[index + 1] ?? []).map(({ traceID, spanID }) => `${traceID} ${spanID}`);
    if (!to.includes(`${previous.traceID} ${previous.spanID}`))
      throw new Error(`Execution ${index + 2} has no link to the one before. It has: ${to.join(", ") || "none"}`);
  }
  for (const { traceID, spanID } of links.flat()) {
    const target = await query.trace(traceID);
    if (!target?.spans.some((span) => span.spanID === spanID))
      throw new Error(`There is no span ${traceID} ${spanID}.`);
  }
  const [approval] = await tracesOf(query, "order-worker", ids["fulfil"] ?? "");
  const event =
    approval && orchestration(approval, "fulfil").references.find(({ refType }) => refType === "FOLLOWS_FROM");
  const sender = event && (await query.trace(event.traceID))?.spans.find(({ spanID }) => spanID === event.spanID);
  same("the sender of the event", sender?.operationName, "orchestration_event:approved");
  return `${links.flat().length} to executions, 1 to an event's sender`;
}

/** What reached an orchestration from outside is on its span. */
export async function spanEvents(query: JaegerQuery, { ids }: Seen): Promise<string> {
  const [order] = await tracesOf(query, "order-worker", ids["fulfil"] ?? "");
  // The API sorts them by name, the page by time.
  const logs = (order === undefined ? [] : orchestration(order, "fulfil").logs)
    .toSorted((a, b) => a.timestamp - b.timestamp)
    .map((log) => String(eventOf(log)).replace("durabletask.orchestration.", ""));
  same("the first events", logs.slice(0, 3), ["custom_status_changed", "suspended", "resumed"]);
  // The approval, and what the order makes of it in the same millisecond.
  for (const name of ["event_raised", "custom_status_changed"])
    same(`a late ${name}`, logs.slice(3).includes(name), true);
  same("the number of events", logs.length, 5);
  const [refund] = await tracesOf(query, "order-worker", ids["refund"] ?? "");
  const failure = refund?.spans.find(
    (span) => nameOf(span) === "activity:refund" && tag(span, "span.kind") === "server",
  );
  same("the events of a failed activity", failure?.logs.map(eventOf), ["exception"]);
  same("the failure's message", tag(failure, "otel.status_description"), "There is no such payment.");
  return `${logs.length} on an orchestration, 1 exception`;
}

/** The page that draws which service calls which has the calls between services. */
export async function dependencies(query: JaegerQuery): Promise<string> {
  const all = await query.dependencies();
  const between = all
    .filter(({ parent, child }) => parent !== child)
    .map(({ parent, child, callCount }) => `${parent} → ${child}: ${callCount}`)
    .toSorted();
  same("the calls", between, ["order-worker → card-network: 3", "shop-web → order-worker: 5"]);
  return between.join(", ");
}

/** The menus of the search form have the services, and the names by kind. */
export async function menus(query: JaegerQuery): Promise<string> {
  same("the services", (await query.services()).toSorted(), [
    "card-network",
    "order-worker",
    "order-workflow",
    "shop-web",
  ]);
  const names = (await query.operations("order-worker")).map(({ name, spanKind }) => `${name} ${spanKind}`);
  for (const name of ["orchestration:fulfil server", "activity:pack client", "orchestration:ship:timer internal"])
    if (!names.includes(name)) throw new Error(`The names have no ${name}: ${names.join(", ")}`);
  return `4 services, ${names.length} names of the worker`;
}

const orchestration = (trace: JaegerTrace, name: string): JaegerSpan => {
  const span = trace.spans.find(
    (each) => nameOf(each) === `orchestration:${name}` && tag(each, "span.kind") === "server",
  );
  if (span === undefined) throw new Error(`The trace ${trace.traceID} has no orchestration:${name}.`);
  return span;
};

const nameOf = ({ operationName }: JaegerSpan): string => operationName;
const parentOf = ({ references }: JaegerSpan) => references.find(({ refType }) => refType === "CHILD_OF");
const isOrphan = ({ warnings }: JaegerSpan): boolean =>
  (warnings ?? []).some((warning) => warning.startsWith("invalid parent span"));
const tag = (span: JaegerSpan | undefined, key: string): unknown => span?.tags.find((each) => each.key === key)?.value;
const eventOf = ({ fields }: JaegerSpan["logs"][number]): unknown => fields.find(({ key }) => key === "event")?.value;

function same(what: string, found: unknown, expected: unknown): void {
  const [a, b] = [found, expected].map((each) => (typeof each === "string" ? each : JSON.stringify(each)));
  if (a !== b) throw new Error(`${what}: found\n${a}\nand not\n${b}`);
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (const end = Date.now() + 20_000; Date.now() < end; await setTimeout(100)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`Jaeger did not show ${what} within 20 seconds.`);
}
