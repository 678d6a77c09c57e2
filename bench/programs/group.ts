/**
 * Measures one group in a process of its own, so that the code of one group is not compiled for the objects of another. Its
 * arguments are the group's index and the directory of the base build, if any.
 */
import { loadBuild } from "../builds.ts";
import { groups } from "../groups/index.ts";
import { answerQuestions } from "./program.ts";

/** How long the group may take, by the clock. */
export interface GroupQuestion {
  readonly seconds: number;
}

const [index, baseDirectory] = process.argv.slice(2);
const group = groups[Number(index)];
if (group === undefined) throw new Error(`There is no group ${index}.`);
const current = await loadBuild();
const base = baseDirectory === undefined ? undefined : await loadBuild(baseDirectory);

answerQuestions(async ({ seconds }: GroupQuestion) => await group.measure({ current, base, seconds }));
