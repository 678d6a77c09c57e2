/** The expressions of the catalogue. The rules have them for all names; the dashboard has them for those that are chosen. */
import {
  ATTR_HUB_NAME,
  ATTR_CACHE_RESULT,
  ATTR_ERROR_TYPE,
  ATTR_MIDDLEWARE,
  ATTR_OUTCOME,
  ATTR_TASK_NAME,
  ATTR_TASK_STATUS,
  ATTR_TYPE,
} from "../../../src/telemetry/semconv.ts";
import type { KnownInstrument } from "./instruments.ts";
import type { Condition, Spelling } from "./spelling.ts";

/** What an expression is evaluated over. */
export interface Scope {
  readonly spelling: Spelling;
  /** The window of rates: a PromQL duration, or a variable of Grafana's. */
  readonly window: string;
  /** Regular expressions for the names of orchestrations and of activities; all without them. */
  readonly orchestrations?: string;
  readonly activities?: string;
}

type Query = (scope: Scope) => string;
type Quantile = (quantile: number, scope: Scope) => string;
type Conditions = readonly Condition[];

const named = (names: string | undefined): Conditions => (names === undefined ? [] : [[ATTR_TASK_NAME, "=~", names]]);
const orchestrations = (scope: Scope): Conditions => named(scope.orchestrations);
const activities = (scope: Scope): Conditions => named(scope.activities);
/** What a retry is counted for has either kind of name. */
const tasks = ({ orchestrations: some, activities: others }: Scope): Conditions =>
  some === undefined || others === undefined ? [] : named(`${some}|${others}`);

function sumBy({ spelling }: Scope, keys: readonly string[], expression: string): string {
  return keys.length === 0 ? `sum(${expression})` : `sum by (${spelling.labels(...keys)}) (${expression})`;
}

function maxBy({ spelling }: Scope, keys: readonly string[], expression: string): string {
  return keys.length === 0 ? `max(${expression})` : `max by (${spelling.labels(...keys)}) (${expression})`;
}

function rate(scope: Scope, ...selector: Parameters<Spelling["select"]>): string {
  return `rate(${scope.spelling.select(...selector)}[${scope.window}])`;
}

/** A histogram. */
type Histogram = Extract<
  KnownInstrument,
  | `${string}.duration`
  | `${string}.turnaround`
  | `${string}.lag`
  | `${string}.episodes`
  | `${string}.size`
  | `${string}.replayed_events`
>;

/** A quantile of a histogram, by name. */
function quantileOf(instrument: Histogram, conditions: (scope: Scope) => Conditions): Quantile {
  return (quantile: number, scope: Scope): string => {
    const buckets = rate(scope, `${instrument}:bucket`, ...conditions(scope));
    return `histogram_quantile(${quantile}, ${sumBy(scope, [ATTR_TASK_NAME, "le"], buckets)})`;
  };
}

/** The mean of a histogram, by name. */
function meanOf(instrument: Histogram, conditions: (scope: Scope) => Conditions): Query {
  return (scope: Scope): string =>
    [
      sumBy(scope, [ATTR_TASK_NAME], rate(scope, `${instrument}:sum`, ...conditions(scope))),
      "/",
      sumBy(scope, [ATTR_TASK_NAME], rate(scope, `${instrument}:count`, ...conditions(scope))),
    ].join("\n");
}

/** A part of a whole, 0 where the part has no series. */
function ratio(scope: Scope, keys: readonly string[], part: string, whole: string): string {
  const all = sumBy(scope, keys, whole);
  return ["(", `  ${sumBy(scope, keys, part)}`, "or", `  0 * ${all}`, ")", "/", all].join("\n");
}

const inFlight: Condition = [ATTR_TASK_STATUS, "=~", "Pending|Running|Suspended"];
const finished: Condition = [ATTR_TASK_STATUS, "!=", "ContinuedAsNew"];
const failed: Condition = [ATTR_TASK_STATUS, "=", "Failed"];
const name = [ATTR_TASK_NAME];

function failureRatioBy(keys: readonly string[]): Query {
  return (scope: Scope): string => {
    const count = (status: Condition): string =>
      rate(scope, "durabletask.orchestration.duration:count", ...orchestrations(scope), status);
    return ratio(scope, keys, count(failed), count(finished));
  };
}

export function activityFailureRatio(scope: Scope): string {
  const count = (...conditions: Conditions): string =>
    rate(scope, "durabletask.activity.duration:count", ...activities(scope), ...conditions);
  return ratio(scope, name, count([ATTR_ERROR_TYPE, "!=", ""]), count());
}

const meanTurnaround = meanOf("durabletask.activity.turnaround", activities);
const meanActivityDuration = meanOf("durabletask.activity.duration", activities);
export const meanReplayedEvents: Query = meanOf("durabletask.episode.replayed_events", orchestrations);

function cacheRequests(scope: Scope, ...conditions: Conditions): string {
  return rate(scope, "durabletask.activity.cache.requests", ...activities(scope), ...conditions);
}

/** The last value of a gauge of `observeTaskHub`, for each hub. Several processes may observe one hub, and report the same. */
function hub(
  instrument: Extract<KnownInstrument, `durabletask.hub.${string}`>,
  keys: readonly string[],
): (scope: Scope, ...conditions: Conditions) => string {
  return (scope: Scope, ...conditions: Conditions): string =>
    maxBy(scope, [ATTR_HUB_NAME, ...keys], scope.spelling.select(instrument, ...conditions));
}

const observed = hub("durabletask.hub.orchestrations", [ATTR_TASK_NAME, ATTR_TASK_STATUS]);
const oldestAge = hub("durabletask.hub.oldest.age", [ATTR_TASK_NAME, ATTR_TASK_STATUS]);
const oldestIdle = hub("durabletask.hub.oldest.idle", name);

export function active(scope: Scope): string {
  return sumBy(scope, name, scope.spelling.select("durabletask.orchestration.active", ...orchestrations(scope)));
}

export const orchestrationDuration: Quantile = quantileOf("durabletask.orchestration.duration", orchestrations);
export const activityDuration: Quantile = quantileOf("durabletask.activity.duration", activities);
export const activityTurnaround: Quantile = quantileOf("durabletask.activity.turnaround", activities);
export const timerLag: Quantile = quantileOf("durabletask.timer.lag", orchestrations);
export const episodeDuration: Quantile = quantileOf("durabletask.episode.duration", orchestrations);
export const replayedEvents: Quantile = quantileOf("durabletask.episode.replayed_events", orchestrations);
export const historySize: Quantile = quantileOf("durabletask.orchestration.history.size", orchestrations);
export const episodes: Quantile = quantileOf("durabletask.orchestration.episodes", orchestrations);

/** Orchestrations that start, per minute. */
export const started: Query = (scope) =>
  `60 * ${sumBy(scope, name, rate(scope, "durabletask.orchestration.started", ...orchestrations(scope)))}`;

/** Orchestrations that finish, per minute. */
export const finishedByStatus: Query = (scope) => {
  const count = rate(scope, "durabletask.orchestration.duration:count", ...orchestrations(scope));
  return `60 * ${sumBy(scope, [ATTR_TASK_STATUS], count)}`;
};

export const failureRatio: Query = failureRatioBy(name);
export const failureRatioOfAll: Query = failureRatioBy([]);

/** Failed orchestrations per minute. */
export const failuresByType: Query = (scope) => {
  const count = rate(scope, "durabletask.orchestration.duration:count", ...orchestrations(scope), failed);
  return `60 * ${sumBy(scope, [ATTR_TASK_NAME, ATTR_ERROR_TYPE], count)}`;
};

/** The executions that have not finished, by the counters of all workers. */
export const startedMinusFinished: Query = (scope) => {
  const total = (...selector: Parameters<Spelling["select"]>): string =>
    sumBy(scope, name, scope.spelling.select(...selector));
  const all = total("durabletask.orchestration.started", ...orchestrations(scope));
  const ended = total("durabletask.orchestration.duration:count", ...orchestrations(scope));
  return [all, "-", `(${ended} or 0 * ${all})`].join("\n");
};

/** How long an activity waited for a worker, on average. */
export const queueTime: Query = (scope) =>
  ["clamp_min(", indented(meanTurnaround(scope)), "-", indented(meanActivityDuration(scope)), ", 0)"].join("\n");

export const activitiesRunning: Query = (scope) =>
  sumBy(scope, name, scope.spelling.select("durabletask.activity.active", ...activities(scope)));

/** Attempts after the first, per minute. */
export const retries: Query = (scope) =>
  `60 * ${sumBy(scope, [ATTR_TASK_NAME, ATTR_TYPE], rate(scope, "durabletask.task.retries", ...tasks(scope)))}`;

export const cacheHitRatio: Query = (scope) =>
  ratio(scope, name, cacheRequests(scope, [ATTR_CACHE_RESULT, "=~", "hit|coalesced"]), cacheRequests(scope));
export const cacheRequestsByResult: Query = (scope) =>
  `60 * ${sumBy(scope, [ATTR_CACHE_RESULT], cacheRequests(scope))}`;
export const cacheErrors: Query = (scope) =>
  sumBy(scope, name, cacheRequests(scope, [ATTR_CACHE_RESULT, "=", "error"]));

/** Seconds of a worker's time that episodes take, per second. */
export const episodeSeconds: Query = (scope) => {
  const sum = rate(scope, "durabletask.episode.duration:sum", ...orchestrations(scope));
  return sumBy(scope, [ATTR_TASK_NAME, ATTR_OUTCOME], sum);
};

export const hubByStatus: Query = (scope) =>
  sumBy(scope, [ATTR_TASK_STATUS], observed(scope, ...orchestrations(scope), inFlight));
export const hubByName: Query = (scope) => sumBy(scope, name, observed(scope, ...orchestrations(scope), inFlight));
/** The events that what is in flight replays in its next episode, as an estimate; by the workers' count without a look. */
export const replayAfterDeploy: Query = (scope) =>
  [
    `(${hubByName(scope)} or ${active(scope)})`,
    `* on (${scope.spelling.labels(ATTR_TASK_NAME)})`,
    indented(meanReplayedEvents(scope)),
  ].join("\n");

export const oldestByStatus: Query = (scope) =>
  maxBy(scope, [ATTR_TASK_STATUS], oldestAge(scope, ...orchestrations(scope)));
export const oldestPending: Query = (scope) =>
  oldestAge(scope, ...orchestrations(scope), [ATTR_TASK_STATUS, "=", "Pending"]);
export const idleLongest: Query = (scope) => oldestIdle(scope, ...orchestrations(scope));
export const observationAge: Query = hub("durabletask.hub.observation.age", []);
export const observationComplete: Query = (scope) =>
  `min by (${scope.spelling.labels(ATTR_HUB_NAME)}) (${scope.spelling.select("durabletask.hub.observation.complete")})`;
/** A hub that was observed in the last `window`, and is not now. */
export const observationGone: Query = (scope) => {
  const reports = scope.spelling.select("durabletask.hub.observation.complete");
  const hubs = scope.spelling.labels(ATTR_HUB_NAME);
  return [
    "(",
    `    max by (${hubs}) (last_over_time(${reports}[${scope.window}]))`,
    "  unless",
    `    max by (${hubs}) (${reports})`,
    ")",
  ].join("\n");
};

/** Isolated faults of telemetry, per minute. */
export const faults: Query = (scope) =>
  `60 * ${sumBy(scope, [ATTR_MIDDLEWARE], rate(scope, "durabletask.middleware.errors"))}`;
export const faultsInHour: Query = (scope) =>
  `sum(increase(${scope.spelling.select("durabletask.middleware.errors")}[1h]))`;

function indented(expression: string): string {
  return ["  (", ...expression.split("\n").map((line) => `    ${line}`), "  )"].join("\n");
}
