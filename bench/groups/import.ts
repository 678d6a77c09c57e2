import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import type { Group } from "../group.ts";
import { median, spread } from "../spread.ts";

const rounds = 15;

/** How long `import` takes in a new process that has loaded the OpenTelemetry API and the Durable Task SDK before. */
export const importing: Group = {
  targets: ["import"],
  weight: 1,
  measure: async ({ current, base }) => {
    const own: Times[] = [];
    const ofBase: Times[] = [];
    for (let round = 0; round < rounds; round += 1) {
      own.push(await timesOf(current.entry));
      if (base !== undefined) ofBase.push(await timesOf(base.entry));
    }
    const wall = (times: readonly Times[]): string =>
      `${median(times.map(({ byClock }) => byClock)).toFixed(1)} ms by the clock`;
    const baseNote =
      base === undefined
        ? ""
        : `; the base build ${median(ofBase.map(({ cpu }) => cpu)).toFixed(1)} ms, ${wall(ofBase)}`;
    return { import: { value: spread(own.map(({ cpu }) => cpu)), note: `CPU time; ${wall(own)}${baseNote}` } };
  },
};

/** In milliseconds. */
interface Times {
  readonly cpu: number;
  readonly byClock: number;
}

const program = (entry: string): string => `
  import "@opentelemetry/api";
  import "@microsoft/durabletask-js";
  const start = process.cpuUsage();
  const startedAt = performance.now();
  await import(${JSON.stringify(entry)});
  const byClock = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(start);
  console.log(JSON.stringify({ cpu: (user + system) / 1000, byClock }));
`;

async function timesOf(entry: string): Promise<Times> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program(entry)], {
    cwd: resolve(import.meta.dirname, "../.."),
  });
  return JSON.parse(stdout) as Times;
}
