/**
 * What the package costs, beside its targets: `npm run bench`; see docs/performance.md.
 *
 * `node --expose-gc bench/main.ts [--only WORDS] [--base COMMIT|DIR] [--seconds 150] [--json]`
 */
import { parseArgs } from "node:util";
import { loadBase } from "./base.ts";
import { loadBuild } from "./builds.ts";
import type { Group } from "./group.ts";
import { cacheHit } from "./groups/cache-hit.ts";
import { inMemory } from "./groups/in-memory.ts";
import { requestPath } from "./groups/request-path.ts";
import { headerLine, rowOf, textOf, type Row } from "./table.ts";
import { targets, type TargetName } from "./targets.ts";

const { values: args } = parseArgs({
  options: {
    /** Runs the rows that have all of these words in their name. */
    only: { type: "string", default: "" },
    /** Another build of this package: a commit, or a checkout with a dist. */
    base: { type: "string" },
    /** How long all rows may take together, by the clock. */
    seconds: { type: "string", default: "150" },
    json: { type: "boolean", default: false },
  },
});

const groups: readonly Group[] = [inMemory, requestPath, cacheHit];
const words = args.only.toLowerCase().split(/\s+/);
const isWanted = (name: TargetName): boolean => words.every((word) => `${name} ${targets[name].name}`.toLowerCase().includes(word));
const wanted = groups.filter((group) => group.targets.some(isWanted));
if (wanted.length === 0) throw new Error(`--only "${args.only}" fits no row; the rows are:\n${Object.values(targets).map(({ name }) => `  ${name}`).join("\n")}`);

const current = await loadBuild();
const base = args.base === undefined ? undefined : await loadBase(args.base);
const secondsPerWeight = Number(args.seconds) / groups.reduce((sum, { weight }) => sum + weight, 0);

if (!args.json) console.log(headerLine);
const rows: Row[] = [];
for (const group of wanted) {
  const figures = await group.measure({ current, base, seconds: group.weight * secondsPerWeight });
  for (const name of group.targets.filter(isWanted)) {
    const row = rowOf(targets[name], figures[name] ?? {});
    rows.push(row);
    if (!args.json) console.log(textOf(row));
  }
}
if (args.json) console.log(JSON.stringify(rows, undefined, 2));
process.exit(0);
