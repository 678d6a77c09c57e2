import type { Group } from "../group.ts";
import type { AllocationVariant } from "../programs/allocations.ts";
import { startProgram } from "../programs/program.ts";
import { median, spread } from "../spread.ts";

const rounds = 9;
// The new space is larger than all that is allocated between two collections: what it has more is what was allocated.
const flags = ["--min-semi-space-size=256", "--max-semi-space-size=256"];

/** The bytes that the default pipeline allocates for a step on the in-memory worker, beyond the bare SDK. */
export const allocation: Group = {
  targets: ["allocation"],
  weight: 1,
  measure: async ({ base }) => {
    await using program = await startProgram<AllocationVariant, number>(
      "allocations",
      base === undefined ? [] : [base.directory],
      flags,
    );
    const beyondBare = async (variant: AllocationVariant): Promise<number> =>
      (await program.ask(variant)) - (await program.ask("bare"));
    const own: number[] = [];
    const ofBase: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      own.push(await beyondBare("current"));
      if (base !== undefined) ofBase.push(await beyondBare("base"));
    }
    const kibibytes = (bytes: readonly number[]): string => `${(median(bytes) / 1024).toFixed(1)} KiB`;
    return {
      allocation: {
        value: base && spread(ofBase.map((bytes, round) => (own[round] ?? Number.NaN) / bytes)),
        note: base === undefined ? kibibytes(own) : `${kibibytes(own)} / ${kibibytes(ofBase)}`,
      },
    };
  },
};
