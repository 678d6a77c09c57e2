import { alternate, beyond, type Variant } from "../alternate.ts";
import type { Build } from "../builds.ts";
import type { Group } from "../group.ts";
import { noCache, quoteInput, quoting, quotes } from "../quotes.ts";
import { useProviders } from "../providers.ts";
import { median, spread } from "../spread.ts";

/** An activity that does nothing, with one input of 1 KiB: a hit in the default store beyond a middleware that does nothing. */
export const cacheHit: Group = {
  targets: ["cacheHit"],
  weight: 1,
  measure: async ({ current, base, seconds }) => {
    useProviders(undefined);
    const json = quoteInput(1024, 1);
    const hits = ({ withDurableTelemetry, caching }: Build): Variant =>
      quotes(quoting(withDurableTelemetry, caching({ activities: { quote: { ttl: "1h" } } })), () => json);
    const bare = quotes(quoting(current.withDurableTelemetry, noCache), () => json);
    const samples = await alternate(bare, { current: hits(current), base: base && hits(base) }, seconds);
    const baseline = median(samples.current.map((sample) => sample.baseline));
    const ofBase = base === undefined ? "" : `; the base build's hit ${median(samples.base.map(beyond)).toFixed(1)} µs`;
    return {
      cacheHit: {
        value: spread(samples.current.map(beyond)),
        note: `the activity without a cache ${baseline.toFixed(1)} µs${ofBase}`,
      },
    };
  },
};
