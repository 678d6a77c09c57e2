/** Workflows of many shapes, and the spans that the trace of each one has: for the tests of sampling. */

/** What one orchestration does, in this order; it is the input of the orchestrator `plan`. */
export interface Plan {
  /** Activities one after the other, each in an episode of its own. */
  readonly steps: number;
  /** Activities at once. */
  readonly parallel: number;
  /** Timers. */
  readonly timers: number;
  /** An activity that fails at each of its two attempts. */
  readonly failing: boolean;
  /** What a sub-orchestration does. */
  readonly child?: Plan;
}

/** The plan of the orchestration with this number; neighbours differ. */
export function planOf(number: number): Plan {
  const plan: Plan = {
    steps: 1 + (number % 2),
    parallel: number % 5 === 0 ? 3 : 0,
    timers: number % 7 === 0 ? 1 : 0,
    failing: number % 9 === 0,
  };
  return number % 4 === 0 ? { ...plan, child: { steps: 1, parallel: 0, timers: 0, failing: false } } : plan;
}

/** The spans of a plan's trace as `KIND name < KIND name of the parent`, sorted; `above` is what the orchestration hangs on. */
export function spansOf(plan: Plan, above = "root"): string[] {
  const orchestration = "SERVER orchestration:plan";
  const times = (count: number, ...lines: readonly string[]): string[] =>
    Array.from({ length: count }, () => lines).flat();
  const activity = (name: string): string[] => [
    `CLIENT activity:${name} < ${orchestration}`,
    `SERVER activity:${name} < CLIENT activity:${name}`,
    `INTERNAL in activity < SERVER activity:${name}`,
    "CLIENT query < INTERNAL in activity",
  ];
  const child = `CLIENT orchestration:plan`;
  return [
    `${orchestration} < ${above}`,
    `INTERNAL in orchestrator < ${orchestration}`,
    ...times(plan.steps + plan.parallel, ...activity("step")),
    // The second attempt waits for a timer.
    ...times(plan.failing ? 2 : 0, ...activity("fail")),
    ...times(plan.timers + (plan.failing ? 1 : 0), `INTERNAL orchestration:plan:timer < ${orchestration}`),
    ...(plan.child === undefined ? [] : [`${child} < ${orchestration}`, ...spansOf(plan.child, child)]),
  ].toSorted();
}
