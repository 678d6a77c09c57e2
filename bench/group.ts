import type { Build } from "./builds.ts";
import type { Spread } from "./spread.ts";
import type { TargetName } from "./targets.ts";

/** What was measured for a target. */
export interface Figure {
  /** Missing where another build is needed, and none is given. */
  readonly value?: Spread | undefined;
  /** What the figure is made of. */
  readonly note?: string;
}

export type Figures = Readonly<Partial<Record<TargetName, Figure>>>;

export interface Options {
  readonly current: Build;
  /** Another build of this package to compare with. */
  readonly base: Build | undefined;
  /** How long the group may take, by the clock. */
  readonly seconds: number;
}

/** Targets that are measured together, in the same rounds. */
export interface Group {
  readonly targets: readonly TargetName[];
  /** Its share of the benchmark's time. */
  readonly weight: number;
  measure(options: Options): Promise<Figures>;
}
