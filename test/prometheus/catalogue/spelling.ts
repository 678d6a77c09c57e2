/**
 * How metric names and attributes are spelled in Prometheus. It depends on the way that they come: the same instrument is
 * `durabletask_activity_duration_bucket`, `durabletask_activity_duration_seconds_bucket` or
 * `{"durabletask.activity.duration_bucket"}`.
 */
import { instruments, type KnownInstrument } from "./instruments.ts";

/** The series of an instrument: a histogram has three. */
export type Series = `${KnownInstrument}${"" | ":bucket" | ":sum" | ":count"}`;

/** A condition on a label: the attribute, the operator, and the value. */
export type Condition = readonly [key: string, operator: "=" | "!=" | "=~" | "!~", value: string];

/** A way to spell names. */
export interface Spelling {
  readonly id: "plain" | "units" | "dots";
  /** Who spells so, for the header of a file. */
  readonly source: string;
  /** The name of a series, as it is stored. */
  name(series: Series): string;
  /** A selector: `name{key="value"}`. */
  select(series: Series, ...conditions: readonly Condition[]): string;
  /** A selector of a recorded series, whose own name has no dots. */
  selectRecorded(name: string, ...conditions: readonly Condition[]): string;
  /** Labels in a `by` or `on` clause. */
  labels(...keys: readonly string[]): string;
  /** The name of a label, as it is stored. */
  label(key: string): string;
  /** The value of a label in the template of an alert. */
  labelValue(key: string): string;
}

interface Style {
  readonly id: Spelling["id"];
  readonly source: string;
  readonly dots: boolean;
  /** Whether the unit is a suffix: `_seconds`. */
  readonly units: boolean;
  /** Whether counters end in `_total`. */
  readonly totals: boolean;
}

const styles: readonly Style[] = [
  {
    id: "plain",
    source: "@opentelemetry/exporter-prometheus",
    dots: false,
    units: false,
    totals: true,
  },
  {
    id: "units",
    source: "an OpenTelemetry Collector, or Prometheus' own OTLP receiver",
    dots: false,
    units: true,
    totals: true,
  },
  {
    id: "dots",
    source: "Prometheus' own OTLP receiver with `translation_strategy: NoTranslation`",
    dots: true,
    units: false,
    totals: false,
  },
];

export const spellings: readonly Spelling[] = styles.map(spelling);

/** The spelling with this ID. */
export function spellingOf(id: Spelling["id"]): Spelling {
  const found = spellings.find((each) => each.id === id);
  if (found === undefined) throw new Error(`There is no spelling ${id}.`);
  return found;
}

function spelling(style: Style): Spelling {
  const { id, source } = style;
  const label = (key: string): string => (style.dots ? key : underscored(key));
  const quoted = (key: string): string => (label(key).includes(".") ? `"${label(key)}"` : label(key));
  const matchers = (conditions: readonly Condition[]): readonly string[] =>
    conditions.map(([key, operator, value]) => `${quoted(key)}${operator}"${value}"`);
  const selectRecorded: Spelling["selectRecorded"] = (name, ...conditions) =>
    conditions.length === 0 ? name : `${name}{${matchers(conditions).join(", ")}}`;
  const name = (series: Series): string => nameOf(series, style);
  return {
    id,
    source,
    name,
    select: (series, ...conditions) =>
      style.dots
        ? `{${[`"${name(series)}"`, ...matchers(conditions)].join(", ")}}`
        : selectRecorded(name(series), ...conditions),
    selectRecorded,
    labels: (...keys) => keys.map(quoted).join(", "),
    label,
    labelValue: (key) =>
      label(key).includes(".") ? `{{ index $labels "${label(key)}" }}` : `{{ $labels.${label(key)} }}`,
  };
}

function nameOf(series: Series, { dots, units, totals }: Style): string {
  const [instrument = "", part] = series.split(":");
  const { kind, unit } = instruments[instrument as KnownInstrument];
  // As OpenTelemetry's specification of Prometheus compatibility has it: a unit in braces is none, and what has the
  // unit 1 is a ratio if it is a gauge.
  const unitSuffix = unit === "s" ? "_seconds" : unit === "1" && kind !== "counter" ? "_ratio" : "";
  return [
    dots ? instrument : underscored(instrument),
    units ? unitSuffix : "",
    totals && kind === "counter" ? "_total" : "",
    part === undefined ? "" : `_${part}`,
  ].join("");
}

function underscored(name: string): string {
  return name.replaceAll(/\W/g, "_");
}
