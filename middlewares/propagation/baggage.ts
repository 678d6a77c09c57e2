import { propagation, type Baggage, type BaggageEntry } from "@opentelemetry/api";
import { aStringArray } from "../../src/options.ts";
import { activeContext, runIn } from "../../src/telemetry/active-context.ts";
import type { MiddlewareObject, WorkItem, WorkItemHooks } from "../../src/pipeline/index.ts";
import { isolated } from "./faults.ts";

/** An entry of the baggage stands under this prefix among the tags. */
export const baggagePrefix = "baggage.";

/**
 * The tags for entries of the active W3C baggage, for the client that schedules an orchestration: with
 * `propagate: { baggage }`, a worker hands them on. Entries that the active baggage does not have are left out.
 *
 * @param keys the keys of the entries. Their metadata is not carried.
 * @throws TypeError if `keys` is no array of strings.
 * @example
 * await client.scheduleNewOrchestration("order", input, { tags: { ...baggageTags(["tenant.id"]), tenant: "acme" } });
 */
export function baggageTags(keys: readonly string[]): Record<string, string> {
  if (!aStringArray.test(keys))
    throw new TypeError('baggageTags: the keys must be an array of strings, such as ["tenant.id"].');
  const baggage = propagation.getBaggage(activeContext());
  return Object.fromEntries(
    keys.flatMap((key) => {
      const entry = baggage?.getEntry(key);
      return entry === undefined ? [] : [[`${baggagePrefix}${key}`, entry.value]];
    }),
  );
}

/** Has the code of each work item run with the baggage that its tags carry. Inside `tracing`, whose context it extends. */
export function carriedBaggage(keys: readonly string[]): MiddlewareObject {
  const carried = keys.map((key) => ({ key, tag: `${baggagePrefix}${key}` }));
  return { name: "baggage", workItem: (item) => hooksOf(item, carried) };
}

/** An entry of the baggage, and the name of the tag that carries it. */
interface CarriedEntry {
  readonly key: string;
  readonly tag: string;
}

function hooksOf({ tags }: WorkItem, carried: readonly CarriedEntry[]): WorkItemHooks | undefined {
  let entries: [string, BaggageEntry][] | undefined;
  for (const { key, tag } of carried) {
    const value = tags[tag];
    if (value !== undefined) (entries ??= []).push([key, { value }]);
  }
  if (entries === undefined) return undefined;
  const baggage: Baggage = propagation.createBaggage(Object.fromEntries(entries));
  return {
    scope: (execute) => {
      const extended = isolated.run("baggage was lost", () => propagation.setBaggage(activeContext(), baggage));
      return extended === undefined ? execute() : runIn(extended, execute);
    },
  };
}
