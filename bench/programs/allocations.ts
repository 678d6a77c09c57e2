/**
 * What a variant allocates, in a process whose new space holds a whole measurement. Its argument is the directory of the base
 * build, if any; it answers with the bytes for a step of the variant that it is asked for.
 */
import { GCProfiler } from "node:v8";
import { loadBuild } from "../builds.ts";
import { inMemoryWorkflow } from "../in-memory.ts";
import { sampled, useProviders } from "../providers.ts";
import { answerQuestions } from "./program.ts";

export type AllocationVariant = "bare" | "current" | "base";

const [baseDirectory] = process.argv.slice(2);
const steps = 10;
const orchestrations = 20;
useProviders(sampled);
const workflows = {
  bare: inMemoryWorkflow(steps),
  current: inMemoryWorkflow(steps, (await loadBuild()).attachDefault),
  base:
    baseDirectory === undefined ? undefined : inMemoryWorkflow(steps, (await loadBuild(baseDirectory)).attachDefault),
};
for (const workflow of Object.values(workflows)) await workflow?.run(1000);

answerQuestions(async (variant: AllocationVariant) => {
  globalThis.gc?.();
  const profiler = new GCProfiler();
  profiler.start();
  const before = process.memoryUsage().heapUsed;
  await workflows[variant]?.run(orchestrations);
  const allocated = process.memoryUsage().heapUsed - before;
  const collections = profiler.stop()?.statistics.length ?? 0;
  if (collections > 0) throw new Error("The garbage collector ran during a measurement.");
  return allocated / orchestrations / steps;
});
