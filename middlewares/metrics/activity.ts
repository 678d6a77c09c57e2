import type {
  Acknowledgement,
  ActivityOutcome,
  ActivityResponse,
  ActivityWorkItem,
  WorkItemHooks,
} from "../../src/pipeline/index.ts";
import { attributesOfTags } from "../../src/telemetry/tags.ts";
import { ActivityCacheOutcome } from "../../src/telemetry/handles.ts";
import { ATTR_CACHE_RESULT, ATTR_ERROR_TYPE, ATTR_TASK_NAME, ATTR_TASK_VERSION } from "../../src/telemetry/semconv.ts";
import { currentInstruments } from "./instruments.ts";

/** Measures one execution of an activity: from here to its response, recorded when the backend has accepted that. */
export class MeasuredActivity implements WorkItemHooks {
  readonly #item: ActivityWorkItem;
  readonly #nameLimit: number;
  readonly #startedAt: number = performance.now();
  #outcome: ActivityOutcome | undefined;
  // In seconds.
  #took = 0;
  // Counts it off where and as it was counted, also if another provider has come meanwhile, or the name limit is reached.
  #active: ((value: number) => void) | undefined;

  readonly #tags: Readonly<Record<string, string>> | undefined;

  constructor(item: ActivityWorkItem, nameLimit: number, tags?: readonly string[]) {
    this.#item = item;
    this.#nameLimit = nameLimit;
    this.#tags = tags && attributesOfTags(item.tags, tags);
    this.#active = currentInstruments()?.bound(
      "durabletask.activity.active",
      { [ATTR_TASK_NAME]: item.name, ...this.#tags },
      nameLimit,
    );
    this.#active?.(1);
  }

  onResponse({ outcome }: ActivityResponse): void {
    this.#took = (performance.now() - this.#startedAt) / 1000;
    this.#outcome = outcome;
    this.#countOff();
    this.#countCacheRequest();
  }

  onAcknowledged(acknowledgement: Acknowledgement): void {
    const outcome = this.#outcome;
    if (acknowledgement !== "accepted" || outcome === undefined) return;
    const { name, version } = this.#item;
    const labels = {
      [ATTR_TASK_NAME]: name,
      [ATTR_TASK_VERSION]: version,
      [ATTR_ERROR_TYPE]: outcome.status === "failed" ? outcome.failure.type : undefined,
      ...this.#tags,
    };
    currentInstruments()?.record("durabletask.activity.duration", this.#took, labels, this.#nameLimit);
  }

  // A result that can't be serialized has no response.
  onEnd(): void {
    this.#countOff();
  }

  #countOff(): void {
    this.#active?.(-1);
    this.#active = undefined;
  }

  // Counted as it was, whatever becomes of the response: what the cache was asked, it was asked.
  #countCacheRequest(): void {
    const outcome = this.#item.features.get(ActivityCacheOutcome);
    if (outcome === undefined) return;
    const labels = { [ATTR_TASK_NAME]: this.#item.name, [ATTR_CACHE_RESULT]: outcome, ...this.#tags };
    currentInstruments()?.record("durabletask.activity.cache.requests", 1, labels, this.#nameLimit);
  }
}
