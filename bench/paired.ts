/** One thing to measure. */
export interface Variant {
  readonly name: string;
  /** Called before each batch. */
  readonly prepare?: () => void;
  readonly run: () => Promise<unknown>;
}

/** How a variant compares with the baseline. */
export interface Comparison {
  readonly name: string;
  /** The median of CPU time over the baseline's, each pair measured side by side. */
  readonly ratio: number;
  /** The baseline's CPU time for one run, in microseconds. */
  readonly baseline: number;
}

/**
 * Compares variants with a baseline in CPU time. A machine's speed drifts over seconds, so short batches alternate:
 * each variant's batch stands between two of the baseline's, and what is reported is the median of these pairs' ratios.
 *
 * @param batch runs in a batch.
 * @param rounds batches of each variant.
 */
export async function compare(baseline: Variant, variants: readonly Variant[], batch: number, rounds: number): Promise<Comparison[]> {
  const time = async ({ prepare, run }: Variant): Promise<number> => {
    prepare?.();
    const start = process.cpuUsage();
    for (let count = 0; count < batch; count += 1) {
      await run();
      // Out of the microtask queue, as a worker is between work items.
      await new Promise(setImmediate);
    }
    const { user, system } = process.cpuUsage(start);
    return user + system;
  };
  for (const variant of [baseline, ...variants]) for (let count = 0; count < 10; count += 1) await time(variant);

  const ratios = new Map(variants.map(({ name }) => [name, [] as number[]]));
  const baselines: number[] = [];
  let before = await time(baseline);
  for (let round = 0; round < rounds; round += 1) {
    for (const variant of variants) {
      const own = await time(variant);
      // It also pays for garbage that the variant has left, and is not counted.
      await time(baseline);
      const after = await time(baseline);
      ratios.get(variant.name)?.push(own / ((before + after) / 2));
      baselines.push(after);
      before = after;
    }
  }
  return variants.map(({ name }) => ({ name, ratio: median(ratios.get(name) ?? []), baseline: median(baselines) / batch }));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}
