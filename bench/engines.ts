/**
 * Workers and hubs of durabletask-go that share one PostgreSQL, with this package and without: `npm run bench:engines`; see
 * docs/engines.md. It needs Go and PostgreSQL.
 *
 * `node bench/engines.ts [--set-ups 1x1,2x1,2x2,4x2] [--orchestrations 100] [--steps 5] [--rounds 4]`
 */
import { parseArgs } from "node:util";
import { NoOpLogger, OrchestrationStatus, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { startPostgres } from "../test/caching/servers.ts";
import { buildEngine, startEngines } from "../test/engines/engine.ts";
import type { EngineWorkerQuestion, EngineWorkerVariant, EngineWorkerWork } from "./programs/engine-worker.ts";
import { startProgram, type Program } from "./programs/program.ts";
import { median } from "./spread.ts";

const { values: args } = parseArgs({
  options: {
    /** Numbers of workers and hubs. */
    "set-ups": { type: "string", default: "1x1,2x1,2x2,4x2" },
    /** In a round of one variant. */
    orchestrations: { type: "string", default: "100" },
    /** Activities of an orchestration, one after the other. */
    steps: { type: "string", default: "5" },
    rounds: { type: "string", default: "4" },
  },
});
const [orchestrations, steps, rounds] = [Number(args.orchestrations), Number(args.steps), Number(args.rounds)];
/** How many run at a time. */
const lanes = 16;

/** Hubs, workers, and a client of each hub, over a database of their own. */
interface Side extends AsyncDisposable {
  /** Runs a round; its duration in milliseconds. */
  run(round: number): Promise<number>;
  /** What all workers took so far, in microseconds. */
  cpuTime(): Promise<number>;
  /** What all workers did so far. */
  work(): Promise<EngineWorkerWork>;
}

async function startSide(variant: EngineWorkerVariant, workers: number, hubs: number): Promise<Side> {
  const resources = new AsyncDisposableStack();
  const database = resources.use(await startPostgres());
  const engines = await startEngines(hubs, { postgres: database.url, isolation: "repeatable read" });
  for (const engine of engines) resources.use(engine);
  const clients = engines.map(({ address }) => {
    const client = new TaskHubGrpcClient({ hostAddress: address, logger: new NoOpLogger() });
    resources.defer(() => client.stop());
    return client;
  });
  const programs: Program<EngineWorkerQuestion, number | EngineWorkerWork>[] = [];
  for (let worker = 0; worker < workers; worker += 1)
    programs.push(resources.use(await startProgram("engine-worker", [engines[worker % hubs]?.address ?? "", variant])));
  return {
    async run(round) {
      const start = performance.now();
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < orchestrations) {
          const number = next++;
          const client = clients[number % clients.length];
          const id = await client?.scheduleNewOrchestration("steps", steps, { instanceId: `${round}-${number}` });
          const state = await client?.waitForOrchestrationCompletion(id ?? "", true, 120);
          const expected = String((steps * (steps + 1)) / 2);
          if (state?.runtimeStatus !== OrchestrationStatus.COMPLETED || state.serializedOutput !== expected)
            throw new Error(`An orchestration ended with ${state?.serializedOutput}.`);
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      return performance.now() - start;
    },
    async cpuTime() {
      const times = await Promise.all(programs.map((program) => program.ask("cpuTime")));
      return times.reduce<number>((sum, time) => sum + Number(time), 0);
    },
    async work() {
      const all = (await Promise.all(programs.map((program) => program.ask("work")))) as EngineWorkerWork[];
      return {
        activities: all.reduce((sum, { activities }) => sum + activities, 0),
        spans: all.flatMap(({ spans }) => spans),
      };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** What each round of one side took. */
interface Measured {
  readonly stepsPerSecond: number[];
  /** In microseconds for a step, of all workers together. */
  readonly cpuTime: number[];
}

buildEngine(true);
console.log(
  `${orchestrations} orchestrations of ${steps} activities in a round, ${rounds} rounds of each in turn; medians. A step is one episode and one activity.`,
);
console.log(
  "| workers x hubs | steps/s, bare | steps/s, with us | worker CPU, bare | worker CPU, with us | activities run | their spans | spans of orchestrations | doubled |",
);
console.log("|---|---|---|---|---|---|---|---|---|");
for (const setUp of args["set-ups"].split(",")) await measure(setUp);
process.exit(0);

async function measure(setUp: string): Promise<void> {
  const [workers = 1, hubs = 1] = setUp.split("x").map(Number);
  await using bare = await startSide("bare", workers, hubs);
  await using decorated = await startSide("defaults", workers, hubs);
  const [ofBare, ofDecorated]: Measured[] = [
    { stepsPerSecond: [], cpuTime: [] },
    { stepsPerSecond: [], cpuTime: [] },
  ];
  // The first round compiles the code.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [side, figures] of [[bare, ofBare] as const, [decorated, ofDecorated] as const]) {
      const before = await side.cpuTime();
      const milliseconds = await side.run(round);
      const cpuTime = (await side.cpuTime()) - before;
      if (round === 0) continue;
      figures?.stepsPerSecond.push((orchestrations * steps * 1000) / milliseconds);
      figures?.cpuTime.push(cpuTime / (orchestrations * steps));
    }
  }
  const total = await decorated.work();
  const expected = orchestrations * (rounds + 1);
  const ofActivities = total.spans.filter(({ type }) => type === "activity");
  const ofOrchestrations = total.spans.filter(({ type }) => type === "orchestration");
  const doubled = total.spans.length - new Set(total.spans.map(({ id }) => id)).size;
  const bareActivities = (await bare.work()).activities;
  const middle = (values: readonly number[] = []): number => Math.round(median(values));
  const cells = [
    setUp,
    middle(ofBare?.stepsPerSecond),
    middle(ofDecorated?.stepsPerSecond),
    `${middle(ofBare?.cpuTime)} µs`,
    `${middle(ofDecorated?.cpuTime)} µs`,
    `${bareActivities} and ${total.activities} of ${expected * steps}`,
    ofActivities.length,
    `${ofOrchestrations.length} of ${expected}`,
    doubled,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
