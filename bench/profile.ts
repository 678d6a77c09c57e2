/**
 * Where the CPU time of a step goes: runs the workflow on the SDK's in-memory worker, or on one over gRPC whose task hub is in
 * another process, under the CPU profiler, and prints self time by owner, by source file and by function.
 *
 * `node bench/profile.ts [--variant default|operator|noop|bare|sdk] [--over memory|grpc] [--seconds 5] [--steps 10] [--top 40] [--base DIR] [--out FILE]`
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { parseArgs } from "node:util";
import { NoOpLogger, TaskHubGrpcWorker } from "@microsoft/durabletask-js";
import { loadBuild, type Build } from "./builds.ts";
import { inMemoryWorkflow } from "./in-memory.ts";
import { startProgram } from "./programs/program.ts";
import type { HubQuestion } from "./programs/task-hub.ts";
import { sampled, useProviders } from "./providers.ts";
import { selfTimes, type SelfTime } from "./self-times.ts";
import { registerWorkflow } from "./workflow.ts";

const { values: args } = parseArgs({
  options: {
    /** "sdk" is the bare SDK with its own tracing, which it has over gRPC alone. */
    variant: { type: "string", default: "default" },
    over: { type: "string", default: "memory" },
    /** How much CPU time the measurement takes. */
    seconds: { type: "string", default: "5" },
    steps: { type: "string", default: "10" },
    top: { type: "string", default: "40" },
    base: { type: "string" },
    /** Where to write the profile for Chrome's DevTools. */
    out: { type: "string" },
  },
});

const steps = Number(args.steps);
const build = await loadBuild(args.base);
const variants: Record<string, Build["attachDefault"]> = {
  default: build.attachDefault,
  operator: (worker) => build.attachOperator(worker, true),
  noop: build.attachNoop,
  bare: () => undefined,
  sdk: () => undefined,
};
const attach = variants[args.variant];
if (attach === undefined) throw new Error(`--variant must be one of ${Object.keys(variants).join(", ")}.`);
if (["default", "operator", "sdk"].includes(args.variant)) useProviders(sampled);
const runWorkflow = args.over === "grpc" ? await overGrpc(attach) : inMemoryWorkflow(steps, attach).run;
await runWorkflow(args.over === "grpc" ? 100 : 500);

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.setSamplingInterval", { interval: 200 });
await session.post("Profiler.start");
const start = process.cpuUsage();
const cpuTime = (): number => {
  const { user, system } = process.cpuUsage(start);
  return user + system;
};
let orchestrations = 0;
for (; cpuTime() < Number(args.seconds) * 1e6; orchestrations += 20) await runWorkflow(20);
const cpuPerStep = cpuTime() / orchestrations / steps;
const { profile } = await session.post("Profiler.stop");
if (args.out !== undefined) writeFileSync(args.out, JSON.stringify(profile));

const functions = selfTimes(profile);
const total = functions.reduce((sum, { time }) => sum + time, 0);
// The profiler samples by the clock, and the process may wait for a CPU: only shares are taken from it.
const measured = (time: number): string => {
  const share = time / total;
  return `${(100 * share).toFixed(1)} %`.padStart(7) + `${(cpuPerStep * share).toFixed(2)} µs`.padStart(11);
};

function printGroups(title: string, keyOf: (each: SelfTime) => string, top: number): void {
  const groups = Map.groupBy(functions, keyOf);
  const sums = [...groups].map(([key, members]) => ({ key, time: members.reduce((sum, { time }) => sum + time, 0) }));
  console.log(`\n${title}`);
  for (const { key, time } of sums.toSorted((a, b) => b.time - a.time).slice(0, top))
    console.log(`${measured(time)}  ${key}`);
}

console.log(
  `${args.variant}, over ${args.over}: ${orchestrations} orchestrations of ${steps} steps; ${cpuPerStep.toFixed(1)} µs of CPU time for a step, with the profiler on`,
);
printGroups("Self time for a step, by owner", ({ owner }) => owner, 10);
printGroups("By file", ({ owner, file }) => `${owner.padEnd(17)}  ${file}`, 30);
console.log("\nBy function");
for (const { owner, file, line, name, time } of functions.slice(0, Number(args.top))) {
  console.log(`${measured(time)}  ${owner.padEnd(17)}  ${name}  ${file}:${line}`);
}
process.exit(0);

/** Runs the workflow on a worker in this process, through a task hub in another one. */
async function overGrpc(attachTo: (worker: object) => void): Promise<(count: number) => Promise<unknown>> {
  const hub = await startProgram<HubQuestion, unknown>("task-hub", []);
  const worker = new TaskHubGrpcWorker({ hostAddress: String(await hub.ask("address")), logger: new NoOpLogger() });
  attachTo(worker);
  await registerWorkflow(worker).start();
  return (count) => hub.ask({ orchestrations: count, steps });
}
