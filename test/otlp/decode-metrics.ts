import {
  attributesOf,
  decodeRequest,
  itemsOf,
  list,
  oneOf,
  record,
  text,
  type Attributes,
  type Origin,
  type PlainMessage,
} from "./decode-message.ts";

/** A metric as it arrived over OTLP. */
export interface ReceivedMetric extends Origin {
  readonly name: string;
  readonly unit: string;
  readonly kind: string;
  /** A gauge has none. */
  readonly temporality: "DELTA" | "CUMULATIVE" | undefined;
  readonly points: readonly MetricPoint[];
}

export interface MetricPoint {
  readonly attributes: Attributes;
  /** The value; of a histogram, how many measurements there were. */
  readonly value: number;
  /** The bounds of a histogram with explicit buckets. */
  readonly bounds: readonly unknown[] | undefined;
}

/** Decodes the body of an OTLP metrics request. @throws Error that names the place in the body that is at fault. */
export function decodeMetricsRequest(contentType: string, body: Uint8Array): ReceivedMetric[] {
  return itemsOf(decodeRequest("metrics", contentType, body), ["resourceMetrics", "scopeMetrics", "metrics"]).map(
    ({ item, from }) => {
      const kind = text(item, "data");
      const data = record(item, kind);
      const name = text(item, "name");
      if (name === "") throw new Error("a metric has no name");
      return {
        name,
        unit: text(item, "unit"),
        kind,
        temporality:
          kind === "gauge"
            ? undefined
            : oneOf<"DELTA" | "CUMULATIVE">(text(data, "aggregationTemporality"), "AGGREGATION_TEMPORALITY_", [
                "DELTA",
                "CUMULATIVE",
              ]),
        points: list(data, "dataPoints").map(pointOf),
        ...from,
      };
    },
  );
}

function pointOf(point: PlainMessage): MetricPoint {
  if (text(point, "timeUnixNano") === "0") throw new Error("a data point has no time");
  const bounds = point["explicitBounds"];
  return {
    attributes: attributesOf(point),
    value: Number(point["asInt"] ?? point["asDouble"] ?? point["count"]),
    bounds: Array.isArray(bounds) ? bounds : undefined,
  };
}
