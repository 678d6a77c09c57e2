/** Cases for `promtool test rules`: numbers by hand, in any spelling, and what the rules with their defaults make of them. */
import { alerts, defaults } from "./catalogue/catalogue.ts";
import { runbookPage } from "./catalogue/rules-file.ts";
import type { Series, Spelling } from "./catalogue/spelling.ts";

type Labels = Readonly<Record<string, string>>;

interface ExpectedAlert {
  readonly at: string;
  readonly alert: string;
  /** The labels and the summary of each; none, if the alert must not fire. */
  readonly fires: readonly { readonly labels: Labels; readonly summary: string }[];
}

const name = "durabletask.task.name";
const status = "durabletask.task.status";
const result = "durabletask.activity.cache.result";
const hubName = "durabletask.hub.name";
const prefix = "durabletask_task_name:";
const unobserved = "observeTaskHub does not see the whole task hub; the numbers of waiting orchestrations are too low.";

/** The content of a file of cases, as JSON, which is YAML. */
export function ruleCases(spelling: Spelling, ruleFile: string): string {
  const input = (series: Series, labels: Labels, values: string): unknown => ({
    series: selector(spelling, spelling.name(series), labels),
    values,
  });
  const histogram = (instrument: string, labels: Labels, buckets: Readonly<Record<string, string>>): unknown[] =>
    Object.entries(buckets).map(([le, values]) => input(`${instrument}:bucket` as Series, { ...labels, le }, values));
  const sample = (at: string, series: string, labels: Labels, value: number): unknown => ({
    // Some of the quotients differ from the number in the last bit.
    expr: `round(${series}, 0.001)`,
    eval_time: at,
    exp_samples: [{ labels: selector(spelling, "", labels), value }],
  });
  const alert = ({ at, alert: alertname, fires }: ExpectedAlert): unknown => ({
    alertname,
    eval_time: at,
    exp_alerts: fires.map(({ labels, summary }) => {
      const shipped = alerts(spelling, defaults).find((each) => each.name === alertname);
      if (shipped === undefined) throw new Error(`There is no alert ${alertname}.`);
      const steps = shipped.steps.map((step, index) => `${index + 1}. ${step}`);
      return {
        exp_labels: { severity: shipped.severity, ...spelled(spelling, labels) },
        exp_annotations: {
          summary,
          description: `${[shipped.meaning, ...steps].join("\n")}\n`,
          runbook: `${runbookPage}#${alertname.toLowerCase()}`,
        },
      };
    }),
  });
  const none = (at: string, alertname: string): unknown => alert({ at, alert: alertname, fires: [] });

  return JSON.stringify({
    rule_files: [ruleFile],
    evaluation_interval: "1m",
    tests: [
      {
        name: "Durations, failures, retries and cache requests of two workers",
        interval: "1m",
        input_series: [
          ...histogram(
            "durabletask.activity.duration",
            { [name]: "pay", instance: "a" },
            { "0.1": "0+8x30", "0.25": "0+10x30", "+Inf": "0+10x30" },
          ),
          ...histogram(
            "durabletask.activity.duration",
            { [name]: "pay", instance: "b" },
            { "0.1": "0+10x30", "0.25": "0+10x30", "+Inf": "0+10x30" },
          ),
          input(
            "durabletask.orchestration.duration:count",
            { [name]: "order", [status]: "Completed", instance: "a" },
            "0+6x30",
          ),
          input(
            "durabletask.orchestration.duration:count",
            { [name]: "order", [status]: "Failed", instance: "b" },
            "0+2x30",
          ),
          input(
            "durabletask.orchestration.duration:count",
            { [name]: "order", [status]: "ContinuedAsNew", instance: "b" },
            "0+100x30",
          ),
          input("durabletask.task.retries", { [name]: "pay", "durabletask.type": "activity", instance: "a" }, "0+3x30"),
          ...Object.entries({ hit: 4, coalesced: 2, miss: 1, error: 1 }).map(([each, count]) =>
            input("durabletask.activity.cache.requests", { [name]: "getQuote", [result]: each }, `0+${count}x30`),
          ),
          // The first fault of the one is at 25 minutes; the other had one long ago, and has another at 25 minutes.
          input("durabletask.middleware.errors", { "durabletask.middleware": "tracing", instance: "a" }, "_x24 1x20"),
          input("durabletask.middleware.errors", { "durabletask.middleware": "logging", instance: "a" }, "1x24 2x20"),
        ],
        promql_expr_test: [
          // 18 of 20 take 0.1 s at most, so the 19th is in the middle of the two that take more.
          sample("20m", `${prefix}durabletask_activity_duration_seconds:p95_rate5m`, { [name]: "pay" }, 0.175),
          sample("20m", `${prefix}durabletask_orchestration_failures:ratio_rate5m`, { [name]: "order" }, 0.25),
          sample(
            "20m",
            `${prefix}durabletask_task_retries:per_minute_rate5m`,
            { [name]: "pay", "durabletask.type": "activity" },
            3,
          ),
          sample("20m", `${prefix}durabletask_activity_cache_hits:ratio_rate5m`, { [name]: "getQuote" }, 0.75),
        ],
        alert_rule_test: [
          none("5m", "DurableTaskOrchestrationsFail"),
          alert({
            at: "20m",
            alert: "DurableTaskOrchestrationsFail",
            fires: [{ labels: { [name]: "order" }, summary: "25% of the orchestrations order fail." }],
          }),
          alert({
            at: "20m",
            alert: "DurableTaskActivityCacheFails",
            fires: [
              {
                labels: { [name]: "getQuote" },
                summary: "The cache of the activity getQuote has errors; the activity runs each time.",
              },
            ],
          }),
          none("20m", "DurableTaskTelemetryFaults"),
          alert({
            at: "26m",
            alert: "DurableTaskTelemetryFaults",
            fires: ["tracing", "logging"].map((middleware) => ({
              labels: { "durabletask.middleware": middleware, instance: "a" },
              summary: `Faults of telemetry were isolated in ${middleware} on a; some of it is missing.`,
            })),
          }),
          none("45m", "DurableTaskTelemetryFaults"),
          none("20m", "DurableTaskTimersLate"),
          none("20m", "DurableTaskActivitiesQueue"),
          none("20m", "DurableTaskReplayGrows"),
          none("20m", "DurableTaskOrchestrationsStuck"),
          none("20m", "DurableTaskHubUnobserved"),
        ],
      },
      {
        name: "Timers that get late, and a queue that grows, from 20 minutes on",
        interval: "1m",
        input_series: [
          // Ten a minute. First all within a second; then one of them between 1 and 5 minutes late.
          ...histogram(
            "durabletask.timer.lag",
            { [name]: "order" },
            { "1": "0+10x20 209+9x30", "60": "0+10x20 209+9x30", "300": "0+10x50", "+Inf": "0+10x50" },
          ),
          // Two a minute on the one worker, which sees the executions; the other has the orchestrations.
          input("durabletask.activity.turnaround:sum", { [name]: "pay", instance: "a" }, "0+4x20 264+184x30"),
          input("durabletask.activity.turnaround:count", { [name]: "pay", instance: "a" }, "0+2x50"),
          input("durabletask.activity.duration:sum", { [name]: "pay", instance: "b" }, "0+3x50"),
          input("durabletask.activity.duration:count", { [name]: "pay", instance: "b" }, "0+2x50"),
        ],
        promql_expr_test: [
          sample("20m", `${prefix}durabletask_activity_queue_seconds:mean_rate5m`, { [name]: "pay" }, 0.5),
          sample("40m", `${prefix}durabletask_activity_queue_seconds:mean_rate5m`, { [name]: "pay" }, 90.5),
          // The middle of the bucket from 60 to 300 seconds.
          sample("40m", `${prefix}durabletask_timer_lag_seconds:p95_rate5m`, { [name]: "order" }, 180),
        ],
        alert_rule_test: [
          none("20m", "DurableTaskTimersLate"),
          none("20m", "DurableTaskActivitiesQueue"),
          alert({
            at: "45m",
            alert: "DurableTaskTimersLate",
            fires: [{ labels: { [name]: "order" }, summary: "Timers of the orchestrations order fire 3m 0s late." }],
          }),
          alert({
            at: "45m",
            alert: "DurableTaskActivitiesQueue",
            fires: [{ labels: { [name]: "pay" }, summary: "The activity pay waits 1m 30s for a worker." }],
          }),
        ],
      },
      {
        name: "Histories of which one grows, one is long, one is short and one is as ever",
        interval: "1m",
        input_series: Object.entries({
          loop: "0+6000x1440 8646000+12000x60",
          long: "0+60000x1500",
          short: "0+10x1440 14430+90x60",
          even: "0+12000x1500",
        }).flatMap(([each, values]) => [
          input("durabletask.episode.replayed_events:sum", { [name]: each }, values),
          input("durabletask.episode.replayed_events:count", { [name]: each }, "0+10x1500"),
        ]),
        promql_expr_test: [
          sample(
            "1470m",
            `${prefix}durabletask_episode_replayed_events:mean_rate5m{${spelling.labels(name)}="loop"}`,
            { [name]: "loop" },
            1200,
          ),
        ],
        alert_rule_test: [
          alert({
            at: "1400m",
            alert: "DurableTaskReplayGrows",
            fires: [{ labels: { [name]: "long" }, summary: "Each episode of long replays 6k events." }],
          }),
          alert({
            at: "1470m",
            alert: "DurableTaskReplayGrows",
            fires: [
              { labels: { [name]: "loop" }, summary: "Each episode of loop replays 1.2k events." },
              { labels: { [name]: "long" }, summary: "Each episode of long replays 6k events." },
            ],
          }),
        ],
      },
      {
        name: "A task hub with an instance that does not move, one that nobody takes, and looks that are cut",
        interval: "1m",
        // Two processes observe the same hub.
        input_series: ["a", "b"].flatMap((instance) => [
          input("durabletask.hub.oldest.idle", { [name]: "order", instance }, "86340+60x60"),
          input("durabletask.hub.oldest.idle", { [name]: "report", instance }, "0+60x60"),
          input("durabletask.hub.oldest.age", { [name]: "order", [status]: "Running", instance }, "90000+60x60"),
          input("durabletask.hub.oldest.age", { [name]: "invoice", [status]: "Pending", instance }, "0+60x60"),
          input("durabletask.hub.observation.age", { instance }, "0x30 60+60x30"),
          input("durabletask.hub.observation.complete", { instance }, "1x60"),
        ]),
        alert_rule_test: [
          none("10m", "DurableTaskOrchestrationsStuck"),
          alert({
            at: "15m",
            alert: "DurableTaskOrchestrationsStuck",
            fires: [{ labels: { [name]: "order" }, summary: "An orchestration order has not moved for 1d 0h 14m 0s." }],
          }),
          none("15m", "DurableTaskOrchestrationsPending"),
          alert({
            at: "20m",
            alert: "DurableTaskOrchestrationsPending",
            fires: [
              {
                labels: { [name]: "invoice", [status]: "Pending" },
                summary: "An orchestration invoice has waited 20m 0s for its first episode.",
              },
            ],
          }),
          none("40m", "DurableTaskHubUnobserved"),
          alert({ at: "50m", alert: "DurableTaskHubUnobserved", fires: [{ labels: {}, summary: unobserved }] }),
        ],
      },
      {
        name: "A process that observes and is replaced, one whose looks are cut, and one that is gone",
        interval: "1m",
        input_series: [
          input("durabletask.hub.observation.complete", { [hubName]: "moved", instance: "a" }, "1x20 _x120"),
          input("durabletask.hub.observation.complete", { [hubName]: "moved", instance: "b" }, "_x25 1x120"),
          input("durabletask.hub.observation.complete", { [hubName]: "cut", instance: "c" }, "1x20 0x120"),
          input("durabletask.hub.observation.complete", { [hubName]: "gone", instance: "d" }, "1x20 _x120"),
        ],
        alert_rule_test: [
          none("30m", "DurableTaskHubUnobserved"),
          alert({
            at: "40m",
            alert: "DurableTaskHubUnobserved",
            fires: ["cut", "gone"].map((each) => ({ labels: { [hubName]: each }, summary: unobserved })),
          }),
          alert({
            at: "110m",
            alert: "DurableTaskHubUnobserved",
            fires: [{ labels: { [hubName]: "cut" }, summary: unobserved }],
          }),
        ],
      },
    ],
  });
}

function spelled(spelling: Spelling, labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [spelling.label(key), value]));
}

/** A series with its labels, as a case writes it. */
function selector(spelling: Spelling, series: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${spelling.labels(key)}="${value}"`);
  return series.includes(".") ? `{${[`"${series}"`, ...pairs].join(", ")}}` : `${series}{${pairs.join(", ")}}`;
}
