/** The OpenTelemetry set-ups that people run, each as its own documentation starts it. */
import { transactions, type Whole } from "./account.ts";
import {
  startApplicationInsights,
  startDatadog,
  startNewRelic,
  startOtlp,
  startSentry,
  type Backend,
} from "./backends.ts";

/** A set-up, and what is expected beside it. */
export interface Stack {
  readonly name: string;
  /** The page or package that a reader knows it by. */
  readonly link: string;
  /** What its own documentation has one install, with the versions that were tried. */
  readonly install: readonly string[];
  /** The major version of the OpenTelemetry JS SDK that it brings, or what it has in its place. */
  readonly sdk: "1" | "2" | "3" | "own";
  /** What is installed with this package, beyond the package and the Durable Task SDK. */
  readonly with?: readonly string[];
  /** Files of `apps/` that it needs, beside the application. */
  readonly files: readonly string[];
  /** How Node.js starts it. */
  readonly nodeArgs: readonly string[];
  /** Whether the variables of its receiver are all that it needs, or more. */
  readonly env?: Readonly<Record<string, string>>;
  readonly start: () => Promise<Backend>;
  /** How many orchestrations to run; four at a time. */
  readonly orchestrations: number;
  /** What it keeps of a trace, where that is not all. */
  readonly whole?: Whole;
  /** The signals for which it has providers, so that something must arrive. */
  readonly signals: { readonly traces: boolean; readonly logs: boolean; readonly metrics: boolean };
  /** Whether its sampler leaves traces out by default. */
  readonly isSampled?: boolean;
  /** Whether its receiver needs a certificate. */
  readonly isTls?: boolean;
  /** Whether the ordinary tests run it. */
  readonly inTests: boolean;
  /** What a reader does for durable telemetry, in the table. */
  readonly needed: string;
  /** What else a reader should know, in the table. */
  readonly remarks: string;
}

/** The version of a set-up that is tried. */
export function versionOf({ install: [main = ""] }: Stack): string {
  return /.@(.+)$/.exec(main)?.[1] ?? "this one's";
}

/** How many log records there are of the workflow: of what starts, waits, finishes and fails, and two that the application writes. */
export function logsOf({ orchestrations }: Stack): number {
  return orchestrations * 17;
}

/** How many of the metrics the workflow has values for. */
export const metricsOf = 12;

const all = { traces: true, logs: true, metrics: true };

export const stacks: readonly Stack[] = [
  {
    name: "OpenTelemetry SDK 2.x",
    link: "https://www.npmjs.com/package/@opentelemetry/sdk-node",
    install: ["@opentelemetry/sdk-node@0.223.0"],
    sdk: "2",
    files: ["sdk.mjs"],
    nodeArgs: ["--import", "./sdk.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "nothing",
    remarks: "",
  },
  {
    name: "OpenTelemetry SDK 3.x",
    link: "https://www.npmjs.com/package/@opentelemetry/sdk-node",
    install: ["@opentelemetry/sdk-node@0.301.0"],
    sdk: "3",
    files: ["sdk.mjs"],
    nodeArgs: ["--import", "./sdk.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "nothing, or `setupOtlp()` in place of it",
    remarks: "",
  },
  {
    name: "`durable-telemetry/otlp`",
    link: "otlp.md",
    install: [],
    with: ["@opentelemetry/sdk-node"],
    sdk: "3",
    files: ["setup-otlp.mjs"],
    nodeArgs: ["--import", "./setup-otlp.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "`setupOtlp()`",
    remarks: "",
  },
  {
    name: "`durable-telemetry/register`",
    link: "zero-code.md",
    install: [],
    with: ["@opentelemetry/sdk-node"],
    sdk: "3",
    files: [],
    nodeArgs: ["--import", "durable-telemetry/register"],
    env: { UNDECORATED: "1" },
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "`--import durable-telemetry/register`",
    remarks: "",
  },
  {
    name: "Azure Monitor",
    link: "https://www.npmjs.com/package/@azure/monitor-opentelemetry",
    install: ["@azure/monitor-opentelemetry@1.21.0"],
    sdk: "2",
    files: ["azure.mjs"],
    nodeArgs: ["--import", "@azure/monitor-opentelemetry/loader", "--import", "./azure.mjs"],
    start: startApplicationInsights,
    isSampled: true,
    isTls: true,
    // Over the limit of its default sampler.
    orchestrations: 20,
    signals: all,
    inTests: true,
    needed: "nothing; [sampler](#azure-monitor)",
    remarks: "",
  },
  {
    name: "Application Insights",
    link: "https://www.npmjs.com/package/applicationinsights",
    install: ["applicationinsights@3.17.0"],
    sdk: "2",
    files: ["applicationinsights.cjs"],
    nodeArgs: ["--import", "./applicationinsights.cjs"],
    start: startApplicationInsights,
    isSampled: true,
    isTls: true,
    orchestrations: 20,
    signals: all,
    inTests: false,
    needed: "nothing; [sampler](#azure-monitor)",
    remarks: "",
  },
  {
    name: "Vercel",
    link: "https://www.npmjs.com/package/@vercel/otel",
    install: [
      "@vercel/otel@2.1.3",
      "@opentelemetry/api",
      "@opentelemetry/api-logs",
      "@opentelemetry/exporter-metrics-otlp-proto@0.223.0",
      "@opentelemetry/exporter-logs-otlp-proto@0.223.0",
    ],
    sdk: "2",
    files: ["vercel.mjs", "flush.mjs"],
    nodeArgs: ["--import", "./vercel.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "nothing",
    remarks: "`metricReaders`, `logRecordProcessors`",
  },
  {
    name: "Elastic (EDOT)",
    link: "https://www.npmjs.com/package/@elastic/opentelemetry-node",
    install: ["@elastic/opentelemetry-node@1.18.0"],
    sdk: "2",
    files: ["flush.mjs"],
    nodeArgs: ["--import", "@elastic/opentelemetry-node", "--import", "./flush.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "nothing",
    remarks: "",
  },
  {
    name: "Splunk",
    link: "https://www.npmjs.com/package/@splunk/otel",
    install: ["@splunk/otel@4.7.2"],
    sdk: "2",
    files: ["flush.mjs"],
    nodeArgs: ["-r", "@splunk/otel/instrument", "--import", "./flush.mjs"],
    env: { SPLUNK_METRICS_ENABLED: "true", SPLUNK_AUTOMATIC_LOG_COLLECTION: "true" },
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: false,
    needed: "nothing",
    remarks: "`SPLUNK_METRICS_ENABLED`, `SPLUNK_AUTOMATIC_LOG_COLLECTION`",
  },
  {
    name: "Honeycomb",
    link: "https://www.npmjs.com/package/@honeycombio/opentelemetry-node",
    install: ["@honeycombio/opentelemetry-node@0.7.2"],
    sdk: "1",
    files: ["honeycomb.mjs", "flush.mjs"],
    nodeArgs: ["--import", "./honeycomb.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: { traces: true, logs: false, metrics: true },
    inTests: false,
    needed: "nothing",
    remarks: "`metricsDataset`",
  },
  {
    name: "AWS (ADOT)",
    link: "https://www.npmjs.com/package/@aws/aws-distro-opentelemetry-node-autoinstrumentation",
    install: ["@aws/aws-distro-opentelemetry-node-autoinstrumentation@0.13.0"],
    sdk: "2",
    files: ["flush.mjs"],
    nodeArgs: [
      "--require",
      "@aws/aws-distro-opentelemetry-node-autoinstrumentation/register",
      "--import",
      "./flush.mjs",
    ],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: false,
    needed: "nothing",
    remarks: "",
  },
  {
    name: "Pydantic Logfire",
    link: "https://www.npmjs.com/package/@pydantic/logfire-node",
    // Without the others npm refuses its peers by itself, on Node.js 22 and later.
    install: [
      "@pydantic/logfire-node@0.18.25",
      "@opentelemetry/api@1.9",
      "@opentelemetry/auto-instrumentations-node@0.79",
    ],
    sdk: "2",
    files: ["logfire.mjs", "flush.mjs"],
    nodeArgs: ["--import", "./logfire.mjs"],
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: false,
    needed: "nothing",
    remarks: "",
  },
  {
    name: "Sentry",
    link: "https://www.npmjs.com/package/@sentry/node",
    install: ["@sentry/node@11.12.0"],
    sdk: "own",
    files: ["sentry.mjs"],
    nodeArgs: ["--import", "./sentry.mjs"],
    start: startSentry,
    orchestrations: 2,
    signals: { traces: false, logs: false, metrics: false },
    inTests: false,
    needed: "a provider beside it",
    remarks: "registers no provider",
  },
  {
    name: "Sentry with `setupOtlp()`",
    link: "https://www.npmjs.com/package/@sentry/node",
    install: ["@sentry/node@11.12.0"],
    with: ["@opentelemetry/sdk-node"],
    sdk: "3",
    files: ["sentry-otlp.mjs"],
    nodeArgs: ["--import", "./sentry-otlp.mjs"],
    env: { SENTRY_DSN: "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1" },
    start: startOtlp,
    orchestrations: 2,
    signals: all,
    inTests: false,
    needed: "`setupOtlp()`",
    remarks: "",
  },
  {
    name: "Sentry with `enableOpenTelemetrySetup`",
    link: "https://www.npmjs.com/package/@sentry/node",
    install: ["@sentry/node@11.12.0"],
    sdk: "own",
    files: ["sentry.mjs"],
    nodeArgs: ["--import", "./sentry.mjs"],
    env: { ENABLE_OTEL: "1" },
    start: startSentry,
    orchestrations: 2,
    signals: { traces: false, logs: false, metrics: false },
    inTests: false,
    needed: "nothing",
    remarks: "the Durable Task SDK's own spans stay",
  },
  {
    name: "Datadog",
    link: "https://www.npmjs.com/package/dd-trace",
    install: ["dd-trace@6.21.0"],
    sdk: "own",
    files: ["datadog.mjs", "flush.mjs"],
    nodeArgs: ["--import", "dd-trace/register.js", "--import", "./datadog.mjs"],
    env: { DD_LOGS_OTEL_ENABLED: "true", DD_METRICS_OTEL_ENABLED: "true", OTEL_METRIC_EXPORT_INTERVAL: "500" },
    start: startDatadog,
    orchestrations: 2,
    signals: { traces: false, logs: true, metrics: true },
    inTests: false,
    needed: "nothing",
    remarks: "the Durable Task SDK's own spans stay",
  },
  {
    name: "New Relic",
    link: "https://www.npmjs.com/package/newrelic",
    install: ["newrelic@14.5.1"],
    sdk: "own",
    files: ["new-relic.mjs", "flush.mjs"],
    nodeArgs: ["--import", "newrelic/esm-loader.mjs", "--import", "./new-relic.mjs"],
    start: startNewRelic,
    whole: transactions,
    isTls: true,
    orchestrations: 2,
    signals: all,
    inTests: true,
    needed: "`NEW_RELIC_OPENTELEMETRY_ENABLED=true`",
    remarks: "",
  },
];
