/** Metrics and logs as they arrived over OTLP/JSON. */
import type { Attributes } from "@opentelemetry/api";
import type { OtlpReceiver, ReceivedRequest } from "../otlp/receiver.ts";
import type { Addend, EventRecord } from "./counted-once-history.ts";

/** What one process has delivered. */
export interface Delivered {
  /** Of counters and histograms: what each export adds. */
  readonly measurements: readonly Addend[];
  /** Of up-down counters: their last values. */
  readonly levels: readonly Addend[];
  /** Records of durable facts. */
  readonly logs: readonly EventRecord[];
}

/** What the process with this `service.instance.id` has delivered so far. */
export function deliveredBy(process: string, { requests }: OtlpReceiver): Delivered {
  const ofProcess = ({ resource }: { readonly resource: Resource }): boolean =>
    attributesOf(resource)["service.instance.id"] === process;
  const metrics = requests
    .filter(({ path }) => path === "/v1/metrics")
    .flatMap((request) => (contentOf(request).resourceMetrics ?? []).filter(ofProcess))
    .flatMap(({ scopeMetrics }) =>
      scopeMetrics.filter(({ scope }) => scope.name === "durable-telemetry").flatMap((each) => each.metrics),
    );
  const records = requests
    .filter(({ path }) => path === "/v1/logs")
    .flatMap((request) => (contentOf(request).resourceLogs ?? []).filter(ofProcess))
    .flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords));
  return {
    measurements: metrics.flatMap(addendsOf),
    levels: [
      ...new Map(
        metrics
          .filter(({ name }) => name !== "durabletask.orchestration.active")
          .flatMap(levelsOf)
          .map((level) => [JSON.stringify([level.instrument, level.attributes]), level]),
      ).values(),
    ],
    logs: records
      .filter(({ eventName }) => eventName !== "durabletask.orchestration.waiting")
      .map((record) => ({ eventName: record.eventName, attributes: attributesOf(record) })),
  };
}

const delta = 1;

function addendsOf({ name, histogram, sum }: Metric): Addend[] {
  if ((histogram ?? (sum?.isMonotonic ? sum : undefined))?.aggregationTemporality === delta) {
    return [
      ...(histogram?.dataPoints ?? []).map((point) => ({
        instrument: name,
        attributes: attributesOf(point),
        count: Number(point.count),
        value: point.sum,
      })),
      ...(sum?.dataPoints ?? []).map((point) => ({
        instrument: name,
        attributes: attributesOf(point),
        count: numberOf(point),
        value: numberOf(point),
      })),
    ];
  }
  if (sum !== undefined && !sum.isMonotonic) return [];
  throw new Error(`${name} is no delta of a histogram or counter.`);
}

function levelsOf({ name, sum }: Metric): Addend[] {
  if (sum === undefined || sum.isMonotonic) return [];
  if (sum.aggregationTemporality === delta) throw new Error(`${name} rises and falls; its deltas tell no level.`);
  return sum.dataPoints.map((point) => ({ instrument: name, attributes: attributesOf(point), value: numberOf(point) }));
}

const numberOf = ({ asInt, asDouble }: NumberPoint): number => Number(asInt ?? asDouble);

function contentOf({ headers, body }: ReceivedRequest): Content {
  if (headers["content-type"] !== "application/json") throw new Error(`It came as ${headers["content-type"]}.`);
  const content: Content = JSON.parse(new TextDecoder().decode(body));
  return content;
}

function attributesOf({ attributes }: Attributed): Attributes {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue ?? value.doubleValue)]),
  );
}

interface Attributed {
  readonly attributes: readonly {
    readonly key: string;
    readonly value: {
      readonly stringValue?: string;
      readonly intValue?: string | number;
      readonly doubleValue?: number;
    };
  }[];
}
type Resource = Attributed;

interface NumberPoint extends Attributed {
  readonly asInt?: string | number;
  readonly asDouble?: number;
}
interface HistogramPoint extends Attributed {
  readonly count: string | number;
  readonly sum: number;
}
interface Metric {
  readonly name: string;
  readonly histogram?: { readonly aggregationTemporality: number; readonly dataPoints: readonly HistogramPoint[] };
  readonly sum?: {
    readonly aggregationTemporality: number;
    readonly isMonotonic?: boolean;
    readonly dataPoints: readonly NumberPoint[];
  };
}
interface Content {
  readonly resourceMetrics?: readonly {
    readonly resource: Resource;
    readonly scopeMetrics: readonly {
      readonly scope: { readonly name: string };
      readonly metrics: readonly Metric[];
    }[];
  }[];
  readonly resourceLogs?: readonly {
    readonly resource: Resource;
    readonly scopeLogs: readonly { readonly logRecords: readonly (Attributed & { readonly eventName?: string })[] }[];
  }[];
}
