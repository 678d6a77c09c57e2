import {
  createNoopMeter,
  metrics,
  type Attributes,
  type Meter,
  type MeterProvider,
  type ObservableGauge,
  type ObservableResult,
} from "@opentelemetry/api";
import { checkOptions, type OptionRule, type OptionRules } from "../../src/options.ts";
import { Isolation } from "../../src/telemetry/isolate.ts";
import { logLoss } from "../../src/telemetry/loss-log.ts";
import { ATTR_HUB_NAME, ATTR_TASK_NAME, ATTR_TASK_STATUS, SCOPE_NAME } from "../../src/telemetry/semconv.ts";
import { version } from "../../src/version.ts";
import { BoundedValues } from "./bounded-values.ts";

/** What {@link observeTaskHub} reads of an instance. */
export interface ObservedInstance {
  readonly name: string;
  readonly runtimeStatus: number;
  readonly createdAt: Date;
  readonly lastUpdatedAt: Date;
}

/** What {@link observeTaskHub} needs of a client; a `TaskHubGrpcClient` has it. */
export interface ObservableClient {
  getAllInstances(filter: {
    statuses: number[];
    pageSize: number;
    fetchInputsAndOutputs: boolean;
  }): AsyncIterable<ObservedInstance> & {
    /** Without it, a look that gives up can't end the query before the next instance comes. */
    asPages?(): AsyncIterable<{ readonly values: readonly ObservedInstance[] }>;
  };
}

/** Options of {@link observeTaskHub}. */
export interface ObserveTaskHubOptions {
  /**
   * The name of the task hub, in the attribute `durabletask.hub.name` of all that is reported; none by default. A process that
   * observes several task hubs gives each a name: otherwise the numbers of one take the place of the other's.
   */
  readonly name?: string | undefined;
  /** The time between two looks, in milliseconds, 1,000 or more; 60,000 by default. */
  readonly interval?: number | undefined;
  /** The time after which a look gives up, in milliseconds; 30,000 by default. */
  readonly timeout?: number | undefined;
  /** The number of instances after which a look stops; 10,000 by default. */
  readonly maxInstances?: number | undefined;
  /** The number of distinct orchestration names, 200 by default; further ones are reported as `_other`. */
  readonly nameLimit?: number | undefined;
}

/** What {@link observeTaskHub} returns. */
export interface TaskHubObservation extends Disposable {
  /** Looks now. Resolves when the look is over, and never rejects. */
  look(): Promise<void>;
  /**
   * Stops looking. What was seen last is no longer reported: its numbers and ages are 0, and only the age of the last look
   * grows.
   */
  stop(): void;
}

// A longer timer would fire at once.
const longest = 2 ** 31 - 1;
const whole = (least: number, most: number): OptionRule => ({
  is: `a whole number from ${least} to ${most}`,
  test: (value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
});
const rules: OptionRules<ObserveTaskHubOptions> = {
  name: { is: "a string that is not empty", test: (value) => typeof value === "string" && value !== "" },
  interval: whole(1000, longest),
  timeout: whole(1, longest),
  maxInstances: whole(1, Number.MAX_SAFE_INTEGER),
  nameLimit: whole(1, Number.MAX_SAFE_INTEGER),
};

// The SDK's numbers for the statuses of instances that have not finished. The SDK itself is not loaded.
const statusNames: Readonly<Record<number, string>> = { 0: "Running", 6: "Pending", 7: "Suspended" };
const running = 0;
const pageSize = 100;

const isolated = new Isolation("observeTaskHub");

/**
 * Reports, as metrics, how many orchestrations of a task hub have not finished, by name and status, and the age of the
 * oldest ones: what a worker can't know, because it sees only what it runs. Use it in one process for each task hub: it asks
 * the backend about all those instances at each look. The timer does not keep the process running. A process that observes
 * several task hubs gives each a `name`; it is warned if two have the same.
 *
 * @param client a `TaskHubGrpcClient`.
 * @param options the hub's name, how often it looks, and its limits.
 * @throws TypeError for unknown options and wrong types, and for a client that can't be asked.
 * @example
 * using observation = observeTaskHub(client, { interval: 30_000 });
 */
export function observeTaskHub(client: ObservableClient, options: ObserveTaskHubOptions = {}): TaskHubObservation {
  checkOptions<ObserveTaskHubOptions>("observeTaskHub", options, rules);
  if (typeof (client as Partial<ObservableClient> | null)?.getAllInstances !== "function")
    throw new TypeError(
      "observeTaskHub: the client must have the method getAllInstances, as a TaskHubGrpcClient does.",
    );
  return new Observation(client, options);
}

/** The observations of this process; a stopped one, until another with its name takes its place. */
const observations = new Set<Observation>();

function warnOfSameName(name: string | undefined): void {
  const which = name === undefined ? "A task hub without a name" : `A task hub named ${JSON.stringify(name)}`;
  console.warn(
    `durable-telemetry: observeTaskHub: ${which} is observed already in this process; what is reported of one takes the place of the other's. Stop the first observation, or give each task hub its own name: { name: "..." }.`,
  );
}

/** The instances with one name and status. */
interface Group {
  readonly attributes: Attributes;
  /** Those of how long it has been idle, if it is running. */
  readonly ofIdle: Attributes | undefined;
  count: number;
  // In milliseconds since 1970; `undefined` if there is no instance, or no valid date.
  oldest: number | undefined;
  leastRecent: number | undefined;
}

class Observation implements TaskHubObservation {
  readonly #client: ObservableClient;
  readonly #name: string | undefined;
  /** What all that it reports has. */
  readonly #attributes: Attributes;
  readonly #limits: Required<{ [Name in Exclude<keyof ObserveTaskHubOptions, "name">]: number }>;
  readonly #timer: NodeJS.Timeout;
  #values = new BoundedValues();
  #gauges: Gauges | undefined;
  #provider: MeterProvider | undefined;
  #looking: Promise<void> | undefined;
  // Those of the last look that did not fail. A group stays when its last instance is gone, with the count 0: the metrics SDKs
  // (2.12, 3.1) export an observation again and again if it is not replaced by another one.
  #groups: ReadonlyMap<string, Group> = new Map();
  #isComplete = false;
  #lookedAt: number | undefined;
  // The same moment by the clock, in milliseconds since 1970. Ages are those of then: while looks fail, nobody knows whether an
  // instance that was pending for a second still is.
  #agesAt = 0;
  #isStopped = false;

  constructor(client: ObservableClient, options: ObserveTaskHubOptions) {
    const { name, interval = 60_000, timeout = 30_000, maxInstances = 10_000, nameLimit = 200 } = options;
    this.#client = client;
    this.#name = name;
    this.#attributes = name === undefined ? {} : { [ATTR_HUB_NAME]: name };
    const before = [...observations].filter((each) => each.#name === name);
    if (before.some((each) => !each.#isStopped)) warnOfSameName(name);
    for (const each of before) if (each.#isStopped) this.#replace(each);
    observations.add(this);
    this.#limits = { interval, timeout, maxInstances, nameLimit };
    this.#timer = setInterval(() => void this.look(), interval);
    this.#timer.unref();
    void this.look();
  }

  look(): Promise<void> {
    // A look that takes longer than the interval is not overtaken.
    return (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)));
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    // The gauges stay: without them the metrics SDKs (2.12, 3.1) would export what was seen last for ever.
    this.#groups = emptied(this.#groups);
    this.#isComplete = false;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  // Otherwise each observation that was ever stopped would be asked for its zeros at each export.
  #replace(stopped: Observation): void {
    observations.delete(stopped);
    stopped.#gauges?.remove();
    // Another provider has none of its numbers.
    if (stopped.#provider !== metrics.getMeterProvider()) return;
    this.#groups = new Map([...this.#groups, ...stopped.#groups]);
    this.#values = stopped.#values;
    this.#lookedAt = stopped.#lookedAt;
  }

  async #look(): Promise<void> {
    if (this.#isStopped) return;
    this.#register();
    // Without a provider nobody gets what the backend would be asked for.
    if (this.#gauges === undefined) return;
    const hub = this.#name === undefined ? "the task hub" : `the task hub ${JSON.stringify(this.#name)}`;
    try {
      const groups = new Map<string, Group>();
      const reached = await this.#read(groups);
      if (this.#isStopped) return;
      this.#groups = new Map([...emptied(this.#groups), ...groups]);
      this.#isComplete = reached === undefined;
      this.#lookedAt = performance.now();
      this.#agesAt = Date.now();
      if (reached !== undefined)
        logLoss(
          `observeTaskHub: a look at ${hub} ended at its limit ${reached} (${this.#limits[reached]}); instances after that are not counted`,
        );
    } catch (error) {
      // Who stops it may close the client before the last look is over.
      if (this.#isStopped) return;
      this.#isComplete = false;
      isolated.fault(`the instances of ${hub} are not known`, error);
    }
  }

  // The limit that it reached, if it did not read all instances.
  async #read(groups: Map<string, Group>): Promise<"timeout" | "maxInstances" | undefined> {
    const { timeout, maxInstances } = this.#limits;
    const statuses = Object.keys(statusNames).map(Number);
    const found = this.#client.getAllInstances({ statuses, pageSize, fetchInputsAndOutputs: false });
    // An iteration can be ended only where it yields, and the SDK's over instances does not where a page is empty.
    const pages = (found.asPages?.() ?? pagesOf(found))[Symbol.asyncIterator]();
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), timeout);
    timer.unref();
    let count = 0;
    try {
      while (!this.#isStopped) {
        const next = await Promise.race([pages.next(), late.promise]);
        if (next === undefined) break;
        if (next.done === true) return undefined;
        for (const instance of next.value.values) {
          if (count === maxInstances) return "maxInstances";
          this.#add(groups, instance);
          count += 1;
        }
      }
    } finally {
      clearTimeout(timer);
      // What still comes is nobody's.
      isolated.start("a look at the task hub was not closed", () => pages.return?.());
    }
    // A hub that does not answer is not an empty one.
    if (count === 0) throw new Error(`it did not answer within ${timeout} ms`);
    return "timeout";
  }

  #add(groups: Map<string, Group>, { name, runtimeStatus, createdAt, lastUpdatedAt }: ObservedInstance): void {
    const status = statusNames[runtimeStatus];
    if (status === undefined) return;
    const folded = this.#values.fold({ [ATTR_TASK_NAME]: name }, this.#limits.nameLimit);
    const key = `${status} ${folded[ATTR_TASK_NAME]}`;
    const created = millisecondsOf(createdAt);
    const updated = millisecondsOf(lastUpdatedAt);
    const group = groups.get(key);
    if (group === undefined) {
      const ofIdle: Attributes = { ...this.#attributes, ...folded };
      groups.set(key, {
        attributes: { ...ofIdle, [ATTR_TASK_STATUS]: status },
        ofIdle: runtimeStatus === running ? ofIdle : undefined,
        count: 1,
        oldest: created,
        leastRecent: updated,
      });
    } else {
      group.count += 1;
      group.oldest = earlier(group.oldest, created);
      group.leastRecent = earlier(group.leastRecent, updated);
    }
  }

  // In seconds. The task hub has dates of its own clock.
  #age(time: number | undefined): number {
    return time === undefined ? 0 : Math.max(0, (this.#agesAt - time) / 1000);
  }

  // A provider that is registered late, or replaces another, is used from the next look on.
  #register(): void {
    const provider = metrics.getMeterProvider();
    if (provider === this.#provider) return;
    this.#gauges?.remove();
    this.#provider = provider;
    this.#gauges = isolated.run("there are no gauges of the task hub", () =>
      gaugesOf(provider.getMeter(SCOPE_NAME, version), this.#reports),
    );
  }

  readonly #reports: Reports = {
    "durabletask.hub.orchestrations": (result) => {
      for (const { attributes, count } of this.#groups.values()) result.observe(count, attributes);
    },
    "durabletask.hub.oldest.age": (result) => {
      for (const { attributes, oldest } of this.#groups.values()) result.observe(this.#age(oldest), attributes);
    },
    "durabletask.hub.oldest.idle": (result) => {
      for (const { ofIdle, leastRecent } of this.#groups.values())
        if (ofIdle !== undefined) result.observe(this.#age(leastRecent), ofIdle);
    },
    "durabletask.hub.observation.complete": (result) => result.observe(this.#isComplete ? 1 : 0, this.#attributes),
    "durabletask.hub.observation.age": (result) => {
      if (this.#lookedAt !== undefined) result.observe((performance.now() - this.#lookedAt) / 1000, this.#attributes);
    },
  };
}

async function* pagesOf(instances: AsyncIterable<ObservedInstance>): AsyncGenerator<{ values: ObservedInstance[] }> {
  for await (const instance of instances) yield { values: [instance] };
}

// The same groups, without instances.
function emptied(groups: ReadonlyMap<string, Group>): ReadonlyMap<string, Group> {
  const empty = { count: 0, oldest: undefined, leastRecent: undefined };
  return new Map(Array.from(groups, ([key, { attributes, ofIdle }]) => [key, { attributes, ofIdle, ...empty }]));
}

// An invalid date has no age: exporters write one that is not a number as `null`, which collectors refuse. Nor has that of
// 1970: the SDK has it in place of one that the task hub did not send.
function millisecondsOf(date: Date): number | undefined {
  return date.getTime() || undefined;
}

const earlier = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || (other !== undefined && other < one) ? other : one;

/** The instruments of {@link observeTaskHub}. */
export type HubInstrumentName =
  | "durabletask.hub.orchestrations"
  | "durabletask.hub.oldest.age"
  | "durabletask.hub.oldest.idle"
  | "durabletask.hub.observation.complete"
  | "durabletask.hub.observation.age";

type Reports = Readonly<Record<HubInstrumentName, (result: ObservableResult) => void>>;

export const hubDefinitions: Readonly<
  Record<HubInstrumentName, { readonly unit: string; readonly description: string }>
> = {
  "durabletask.hub.orchestrations": {
    unit: "{orchestration}",
    description: "Orchestrations of the task hub that have not finished.",
  },
  "durabletask.hub.oldest.age": {
    unit: "s",
    description: "Time from when the oldest orchestration that has not finished was created to the last look.",
  },
  "durabletask.hub.oldest.idle": {
    unit: "s",
    description: "Time from the last change of the running orchestration that has waited longest to the last look.",
  },
  "durabletask.hub.observation.complete": {
    unit: "1",
    description: "Whether the last look saw all orchestrations: 1, or 0 if it reached a limit or failed.",
  },
  "durabletask.hub.observation.age": {
    unit: "s",
    description: "Time since the last look that did not fail.",
  },
};

interface Gauges {
  remove(): void;
}

function gaugesOf(meter: Meter, reports: Reports): Gauges | undefined {
  if (meter === createNoopMeter()) return undefined;
  const created = Object.entries(reports).map(([name, report]): (() => void) => {
    const gauge: ObservableGauge = meter.createObservableGauge(name, hubDefinitions[name as HubInstrumentName]);
    const callback = (result: ObservableResult): void => {
      isolated.run(`${name} was not reported`, () => report(result));
    };
    gauge.addCallback(callback);
    return () => gauge.removeCallback(callback);
  });
  return { remove: () => created.forEach((remove) => isolated.run("a gauge was not removed", remove)) };
}
