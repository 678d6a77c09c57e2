// Perses' trace view, on what Jaeger's query API answers: `?trace=TRACE_ID`, and `&span=SPAN_ID` to open a span's details.
import { Link, ThemeProvider } from "@mui/material";
import {
  ChartsProvider,
  generateChartsTheme,
  getTheme,
  SnackbarProvider,
  TimeZoneProvider,
} from "@perses-dev/components";
import { BuiltinVariableContext, RouterProvider, VariableContext } from "@perses-dev/plugin-system";
// The index also has a dashboard's buttons, which need a package that it does not declare (0.10.0).
import { TracingGanttChart } from "@perses-dev/tracing-gantt-chart-plugin/lib/TracingGanttChart/TracingGanttChart.js";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);
const traceId = query.get("trace");
const links = { trace: "?trace=${traceId}", span: "?trace=${traceId}&span=${spanId}" };
const theme = getTheme("light");

// What a Perses dashboard has around each panel, without variables and with the browser's own navigation.
const surroundings = [
  [ThemeProvider, { theme }],
  [ChartsProvider, { chartsTheme: generateChartsTheme(theme, {}) }],
  [TimeZoneProvider, { timeZone: "UTC" }],
  [SnackbarProvider, {}],
  [VariableContext.Provider, { value: { state: {} } }],
  [BuiltinVariableContext.Provider, { value: { variables: [] } }],
  [RouterProvider, { RouterComponent: ({ to, ...rest }) => <Link href={to} {...rest} />, navigate: () => undefined }],
];

const answer = await fetch(`/api/v3/traces/${traceId}`);
if (!answer.ok) throw new Error(`Jaeger answered ${answer.status}: ${await answer.text()}`);
const { result: trace } = await answer.json();
const chart = (
  <TracingGanttChart
    options={{ selectedSpanId: query.get("span") ?? undefined, links }}
    customLinks={{ variables: {}, links }}
    trace={trace}
  />
);
createRoot(document.querySelector("main")).render(
  surroundings.reduceRight((inside, [component, props]) => createElement(component, props, inside), chart),
);
