/** One thing to measure. */
export interface Variant {
  /** Does the work `count` times, and returns the CPU time that it took, in microseconds. */
  readonly cpuTime: (count: number) => Promise<number>;
}

/**
 * Work in this process.
 *
 * @param run does the work `count` times.
 * @param prepare is called before each measurement, and not measured.
 */
export function work(run: (count: number) => unknown, prepare: () => void = () => undefined): Variant {
  return {
    cpuTime: async (count) => {
      prepare();
      // What the work before has left to the caches and to the garbage collector is not counted.
      await run(Math.ceil(count / 4));
      collectYoung();
      const start = process.cpuUsage();
      await run(count);
      // Its own garbage is.
      collectYoung();
      const { user, system } = process.cpuUsage(start);
      return user + system;
    },
  };
}

export function collectYoung(): void {
  if (globalThis.gc === undefined) throw new Error("Run it with node --expose-gc.");
  globalThis.gc({ type: "minor" });
}

/** The CPU time of one variant's batches, in microseconds for one run, each beside the baseline's around it. */
export interface Sample {
  readonly cpu: number;
  readonly baseline: number;
}

/** How many times the baseline's CPU time a variant takes. */
export const ratio = ({ cpu, baseline }: Sample): number => cpu / baseline;

/** The CPU time that a variant takes beyond the baseline's. */
export const beyond = ({ cpu, baseline }: Sample): number => cpu - baseline;

/** Combines the samples of two variants that are of the same round. */
export function paired(
  first: readonly Sample[],
  second: readonly Sample[],
  combine: (first: Sample, second: Sample) => number,
): number[] {
  return first.flatMap((sample, round) => {
    const other = second[round];
    return other === undefined ? [] : [combine(sample, other)];
  });
}

const warmUpTime = 400_000;
const fewestRounds = 7;

/**
 * Measures variants beside a baseline. A machine's speed drifts, and other processes load it; so short batches
 * alternate, each variant's between two of the baseline's, and CPU time counts, not time by the clock.
 *
 * @param given the variants; one that is undefined gets no samples.
 * @param seconds how long to go on, by the clock; at least seven rounds.
 * @param batchTime how long a batch of the baseline takes, in microseconds of CPU time.
 * @returns the samples of each variant. Those with the same index are of the same round.
 */
export async function alternate<Name extends string>(
  baseline: Variant,
  given: Readonly<Record<Name, Variant | undefined>>,
  seconds: number,
  batchTime = 25_000,
): Promise<Record<Name, Sample[]>> {
  const names = Object.keys(given) as Name[];
  const variants = names.flatMap((name) => (given[name] === undefined ? [] : [{ name, variant: given[name] }]));
  const until = performance.now() + seconds * 1000;
  const count = await warmUp(baseline, batchTime);
  for (const { variant } of variants) await warmUp(variant, batchTime);

  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as unknown as Record<Name, Sample[]>;
  let before = await baseline.cpuTime(count);
  for (let round = 0; round < fewestRounds || performance.now() < until; round += 1) {
    for (const { name, variant } of variants) {
      const cpu = await variant.cpuTime(count);
      const after = await baseline.cpuTime(count);
      samples[name].push({ cpu: cpu / count, baseline: (before + after) / 2 / count });
      before = after;
    }
  }
  return samples;
}

/** Runs a variant until its code is compiled; returns how many runs a batch needs. */
async function warmUp(variant: Variant, batchTime: number): Promise<number> {
  let count = 1;
  for (let total = 0; ;) {
    const time = await variant.cpuTime(count);
    total += time;
    if (total >= warmUpTime) return Math.max(1, Math.round((batchTime * count) / time));
    if (time < batchTime) count = Math.ceil(count * Math.min(4, batchTime / time));
  }
}
