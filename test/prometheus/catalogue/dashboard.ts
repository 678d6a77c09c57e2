/** The dashboard of Grafana. */
import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
  type Dashboard,
} from "@grafana/grafana-foundation-sdk/dashboard";
import {
  BigValueGraphMode,
  BigValueTextMode,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
  GraphThresholdsStyleConfigBuilder,
  type DataSourceRef,
} from "@grafana/grafana-foundation-sdk/common";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import * as units from "@grafana/grafana-foundation-sdk/units";
import { ATTR_TASK_NAME } from "../../../src/telemetry/semconv.ts";
import { legendAttribute, rows, type Panel } from "./catalogue.ts";
import type { Scope } from "./queries.ts";
import type { Series, Spelling } from "./spelling.ts";

/** The path of the dashboard of a spelling. */
export function dashboardPath({ id }: Spelling): string {
  return `docs/grafana/durabletask.${id}.json`;
}

/** The variables that a user sets at the top of the dashboard; Grafana puts their values into the expressions. */
export const variables = {
  datasource: "datasource",
  orchestrations: "orchestration",
  activities: "activity",
} as const;

const columns = 24;
const heights = { stat: 4, timeseries: 8 } as const;
const unitNames: Readonly<Record<Panel["unit"], string>> = {
  seconds: units.Seconds,
  ratio: units.PercentUnit,
  perMinute: units.CountsPerMinute,
  count: units.Short,
};

/** The dashboard in one spelling. */
export function dashboard(spelling: Spelling): Dashboard {
  const datasource: DataSourceRef = { type: "prometheus", uid: `\${${variables.datasource}}` };
  const scope: Scope = {
    spelling,
    window: "$__rate_interval",
    orchestrations: `$${variables.orchestrations}`,
    activities: `$${variables.activities}`,
  };
  const names = (variable: string, label: string, series: Series): QueryVariableBuilder => {
    const builder = new QueryVariableBuilder(variable)
      .label(label)
      .datasource(datasource)
      .query(`label_values(${spelling.select(series)}, ${spelling.label(ATTR_TASK_NAME)})`)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .multi(true)
      .includeAll(true)
      .allValue(".*")
      .current({ text: "All", value: "$__all" });
    // oxlint-disable-next-line unicorn/no-array-sort -- it is no array
    return builder.sort(VariableSort.AlphabeticalAsc);
  };
  const builder = new DashboardBuilder("Durable Task")
    .uid(`durable-telemetry-${spelling.id}`)
    .description(
      `Orchestrations and activities of Durable Task workers, as durable-telemetry measures them. Metric names as ${spelling.source} spells them.`,
    )
    .tags(["durabletask", "durable-telemetry"])
    .editable()
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: "now-6h", to: "now" })
    .refresh("1m")
    .withVariable(new DatasourceVariableBuilder(variables.datasource).label("Data source").type("prometheus"))
    .withVariable(names(variables.orchestrations, "Orchestration", "durabletask.orchestration.started"))
    .withVariable(names(variables.activities, "Activity", "durabletask.activity.duration:count"));
  let id = 0;
  let y = 0;
  for (const { title, panels } of rows) {
    id += 1;
    builder.withRow(new RowBuilder(title).id(id).gridPos({ x: 0, y, w: columns, h: 1 }));
    y += 1;
    const perLine = panels.every(({ kind }) => kind === "stat") ? panels.length : 2;
    panels.forEach((panel, index) => {
      id += 1;
      const w = columns / perLine;
      const h = heights[panel.kind];
      const place = { x: (index % perLine) * w, y: y + Math.floor(index / perLine) * h, w, h };
      builder.withPanel(panelOf(panel, { spelling, scope, datasource }).id(id).gridPos(place));
    });
    y += Math.ceil(panels.length / perLine) * heights[panels[0]?.kind ?? "timeseries"];
  }
  return builder.build();
}

interface Context {
  readonly spelling: Spelling;
  readonly scope: Scope;
  readonly datasource: DataSourceRef;
}

function panelOf(panel: Panel, { spelling, scope, datasource }: Context): StatBuilder | TimeseriesBuilder {
  const builder = panel.kind === "stat" ? stat(panel) : timeseries(panel);
  builder
    .title(panel.title)
    .description(panel.description)
    .datasource(datasource)
    .unit(unitNames[panel.unit])
    .min(0)
    .thresholds(
      new ThresholdsConfigBuilder()
        .mode(ThresholdsMode.Absolute)
        .steps([
          { value: null, color: "green" },
          ...(panel.threshold === undefined ? [] : [{ value: panel.threshold, color: "red" }]),
        ]),
    );
  panel.queries.forEach(({ expression, legend }, index) => {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode(65 + index))
      .datasource(datasource)
      .expr(expression(scope))
      .legendFormat(legendFormat(legend, spelling));
    builder.withTarget(panel.kind === "stat" ? query.instant() : query.range());
  });
  return builder;
}

function stat({ threshold, without }: Panel): StatBuilder {
  const builder = new StatBuilder()
    .graphMode(BigValueGraphMode.None)
    .textMode(BigValueTextMode.Auto)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false));
  if (without !== undefined) builder.noValue(without);
  return threshold === undefined ? builder : builder.decimals(1);
}

function timeseries({ threshold }: Panel): TimeseriesBuilder {
  const builder = new TimeseriesBuilder()
    .fillOpacity(5)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Right)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi));
  return threshold === undefined
    ? builder
    : builder.thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
}

function legendFormat(legend: readonly string[], spelling: Spelling): string {
  return legend
    .map((part) => {
      const [, key] = legendAttribute.exec(part) ?? [];
      return key === undefined ? part : `{{${spelling.label(key)}}}`;
    })
    .join(" ");
}
