/**
 * Measures one group in a process of its own, so that the code of one group is not compiled for the objects of another.
 * Its arguments are the group's index, its seconds, and the directory of the base build, if any.
 */
import { loadBuild } from "./builds.ts";
import { groups } from "./groups/index.ts";

const [index, seconds, base] = process.argv.slice(2);
const group = groups[Number(index)];
if (group === undefined) throw new Error(`There is no group ${index}.`);
const figures = await group.measure({
  current: await loadBuild(),
  base: base === undefined ? undefined : await loadBuild(base),
  seconds: Number(seconds),
});
process.send?.(figures, () => process.exit(0));
