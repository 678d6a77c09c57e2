/**
 * What the activity cache costs beside a pipeline without it, in microseconds of CPU time for one activity, and what
 * memory it takes. `node --expose-gc bench/caching.ts`
 */
import { withDurableTelemetry, type CacheStore, type Middleware } from "durable-telemetry";
import { caching } from "durable-telemetry/middlewares";
import { alternate, beyond, ratio, type Sample, type Variant } from "./alternate.ts";
import { noCache, quoteInput, quoting, quotes } from "./quotes.ts";
import { median } from "./spread.ts";

const workerWith = (innermost: Middleware): ((json: string) => Promise<void>) =>
  quoting(withDurableTelemetry, innermost);

const options = { activities: { quote: { ttl: "1h" } } };
const entries = new Map<string, string>();
const promising: CacheStore = {
  get: async (key) => entries.get(key),
  set: async (key, value) => void entries.set(key, value),
  delete: async (key) => entries.delete(key),
};

const { gc } = globalThis;
const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
const memory = (): { heap: number; rss: number } => {
  gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, rss };
};
console.log("1,000,000 distinct inputs through the default store (10,000 entries, 64 MiB)");
const filled = workerWith(caching(options));
for (let count = 0; count <= 1_000_000; count += 1) {
  if (count % 200_000 === 0 || count === 10_000) {
    const { heap, rss } = memory();
    console.log(
      `  after ${count.toLocaleString("en").padStart(9)}: heap ${megabytes(heap)}, resident ${megabytes(rss)}`,
    );
  }
  await filled(`{"id":${count}}`);
}
console.log();

const bare = workerWith(noCache);
// As many as the default store takes: a cache that is of use has more than one entry.
const distinct = 10_000;
const seconds = 12;

async function measureHits(title: string, inputs: readonly string[]): Promise<void> {
  const inMemory = workerWith(caching(options));
  const promised = workerWith(caching({ ...options, store: promising }));
  entries.clear();
  for (const json of inputs) await Promise.all([inMemory(json), promised(json)]);
  // Each walks through all inputs, in the same order as the others.
  const over = (run: (json: string) => Promise<void>): Variant => {
    let next = 0;
    return quotes(run, () => inputs[(next += 1) % inputs.length] ?? "");
  };
  const samples = await alternate(
    over(bare),
    { again: over(bare), inMemory: over(inMemory), promised: over(promised) },
    seconds,
  );
  print(title, {
    "no cache again (noise)": samples.again,
    "a hit, store in memory": samples.inMemory,
    "a hit, store that answers with promises": samples.promised,
  });
}

async function measureMisses(size: number): Promise<void> {
  let next = distinct;
  const newInput = (): string => quoteInput(size, (next += 1));
  const { missing } = await alternate(
    quotes(bare, newInput),
    { missing: quotes(workerWith(caching(options)), newInput) },
    seconds / 2,
  );
  print(`A new input of ${size} bytes each time`, { "a miss, store in memory": missing });
}

function print(title: string, variants: Readonly<Record<string, readonly Sample[]>>): void {
  const baseline = median(
    Object.values(variants)
      .flat()
      .map((sample) => sample.baseline),
  );
  console.log(`${title} (no cache: ${baseline.toFixed(1)} µs for an activity)`);
  for (const [name, samples] of Object.entries(variants)) {
    console.log(
      `  ${name.padEnd(42)} x${median(samples.map(ratio)).toFixed(2)}  ${median(samples.map(beyond)).toFixed(1).padStart(6)} µs more`,
    );
  }
}

for (const size of [512, 1024, 16 * 1024]) {
  const inputs = Array.from({ length: distinct }, (_, id) => quoteInput(size, id));
  await measureHits(`One input of ${size} bytes`, inputs.slice(0, 1));
  await measureHits(`${distinct.toLocaleString("en")} distinct inputs of ${size} bytes`, inputs);
  await measureMisses(size);
}

process.exit(0);
