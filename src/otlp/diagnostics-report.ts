import { headersOf, showEndpoint } from "./collector.ts";
import { distribution } from "./resource.ts";
import type { Found } from "./settings-reader.ts";
import type { Settings, Signal, SignalSettings } from "./settings.ts";

type Line = readonly [name: string, shown: string, source: string];

/** What was configured and by whom, for people and for bug reports: no value of a header, no credentials. */
export function describeSettings(settings: Settings): string {
  const { general, spanProcessors, metricReaders } = settings;
  const { resourceAttributes, ...single } = general;
  const sections: readonly (readonly [title: string, lines: readonly Line[]])[] = [
    [
      "general",
      [
        ...linesOf(single),
        ...resourceAttributes.map(({ shown, source }): Line => ["resourceAttributes", shown, source]),
        ...(spanProcessors.length === 0 ? [] : [["spanProcessors", String(spanProcessors.length), "code: spanProcessors"] as const]),
        ...(metricReaders.length === 0 ? [] : [["metricReaders", String(metricReaders.length), "code: metricReaders"] as const]),
      ],
    ],
    ["traces", signalLines("traces", settings.traces)],
    ["metrics", signalLines("metrics", settings.metrics)],
    ["logs", signalLines("logs", settings.logs)],
  ];
  const platform = `${distribution.name} ${distribution.version}, Node.js ${process.version}, ${process.platform} ${process.arch}`;
  return [
    `durable-telemetry: diagnostics (${platform})`,
    ...sections.flatMap(([title, lines]) => [`  ${title}`, ...lines.map(([name, shown, source]) => `    ${name}: ${shown} (${source})`)]),
  ].join("\n");
}

function signalLines(signal: Signal, settings: SignalSettings): readonly Line[] {
  const { exporter, endpoint, headers: _headers, ...rest } = settings;
  const lines = linesOf({ exporter });
  if (!exporter.value.includes("otlp")) return lines;
  return [
    ...lines,
    ["endpoint", showEndpoint(signal, settings), endpoint.source],
    ...headerLines(settings),
    ...linesOf(rest),
  ];
}

function headerLines(settings: SignalSettings): readonly Line[] {
  return Object.keys(headersOf(settings)).map((name) => {
    const from = settings.headers.find(({ value }) => Object.keys(value).some((key) => key.toLowerCase() === name));
    return [`headers.${name}`, "[redacted]", from?.source ?? "default"];
  });
}

function linesOf(settings: Readonly<Record<string, Found<unknown>>>): readonly Line[] {
  return Object.entries(settings).map(([name, { shown, source }]) => [name, shown, source]);
}
