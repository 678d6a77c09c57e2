/**
 * What the package costs, beside its targets: `npm run bench`; see docs/performance.md.
 *
 * `node --expose-gc bench/main.ts [--only WORDS] [--base COMMIT|DIR] [--seconds 120] [--json]`
 */
import { parseArgs } from "node:util";
import { baseDirectory } from "./base.ts";
import type { Figures } from "./group.ts";
import { groups } from "./groups/index.ts";
import type { GroupQuestion } from "./programs/group.ts";
import { startProgram } from "./programs/program.ts";
import { headerLine, rowOf, textOf, type Row } from "./table.ts";
import { targets, type TargetName } from "./targets.ts";

const { values: args } = parseArgs({
  options: {
    /** Runs the rows that have all of these words in their name. */
    only: { type: "string", default: "" },
    /** Another build of this package: a commit, or a checkout with a dist. */
    base: { type: "string" },
    /** How long all rows may take together, by the clock. */
    seconds: { type: "string", default: "120" },
    json: { type: "boolean", default: false },
  },
});

const words = args.only.toLowerCase().split(/\s+/);
const isWanted = (name: TargetName): boolean =>
  words.every((word) => `${name} ${targets[name].name}`.toLowerCase().includes(word));
if (!Object.keys(targets).some((name) => isWanted(name as TargetName))) {
  throw new Error(
    `--only "${args.only}" fits no row; the rows are:\n${Object.values(targets)
      .map(({ name }) => `  ${name}`)
      .join("\n")}`,
  );
}
const base = args.base === undefined ? [] : [baseDirectory(args.base)];
const secondsPerWeight = Number(args.seconds) / groups.reduce((sum, { weight }) => sum + weight, 0);

if (!args.json) console.log(headerLine);
const rows: Row[] = [];
for (const [index, group] of groups.entries()) {
  const wanted = group.targets.filter(isWanted);
  if (wanted.length === 0) continue;
  const figures = await measured(index, group.weight * secondsPerWeight);
  for (const name of wanted) {
    const row = rowOf(targets[name], figures[name] ?? {});
    rows.push(row);
    if (!args.json) console.log(textOf(row));
  }
}
if (args.json) console.log(JSON.stringify(rows, undefined, 2));

/** Measures a group in a process of its own. */
async function measured(index: number, seconds: number): Promise<Figures> {
  await using program = await startProgram<GroupQuestion, Figures>("group", [String(index), ...base]);
  return await program.ask({ seconds });
}
