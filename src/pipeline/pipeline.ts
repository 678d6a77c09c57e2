import { toMember, type FunctionScope, type Member } from "./middleware.ts";
import type { Stage } from "./stage.ts";

/** Where a middleware is put: right before (outside of) or right after (inside of) a named one (contract.md R5). */
export interface Position {
  readonly before?: string | undefined;
  readonly after?: string | undefined;
}

/** A worker's ordered list of middleware, outermost first (contract.md R1 to R5). */
export class Pipeline {
  readonly #isRunning: () => boolean;
  #members: readonly Member[] = [];
  /** The names of the members, outermost first. */
  names: readonly string[] = [];
  /** The stages around an orchestration, outermost first; empty if there are none. */
  orchestration: readonly Stage<NonNullable<Member["orchestration"]>>[] = [];
  /** The stages around an activity, outermost first. */
  activity: readonly Stage<NonNullable<Member["activity"]>>[] = [];
  /** What has hooks around whole work items, outermost first. */
  workItem: readonly Stage<NonNullable<Member["workItem"]>>[] = [];

  /** @param isRunning whether the worker runs; then the list can't change (R4). */
  constructor(isRunning: () => boolean) {
    this.#isRunning = isRunning;
  }

  /**
   * Adds a middleware: innermost, or where `position` says.
   *
   * @throws Error if the worker runs (R4), or a name is taken or unknown (R5).
   * @throws TypeError if `middleware` or `position` is not one.
   */
  add(middleware: unknown, scope: FunctionScope, position: Position = {}): void {
    this.#replace((members) => {
      const member = named(toMember(middleware, scope), members);
      const index = place(position, members);
      return [...members.slice(0, index), member, ...members.slice(index)];
    });
  }

  /** Takes a whole list, or nothing of it if a member is refused. */
  addAll(middlewares: readonly unknown[]): void {
    this.#replace((members) =>
      middlewares.reduce<readonly Member[]>((added, each) => [...added, named(toMember(each, "both"), added)], members),
    );
  }

  #replace(change: (members: readonly Member[]) => readonly Member[]): void {
    if (this.#isRunning()) throw new Error("Cannot add middleware while the worker is running.");
    this.#members = change(this.#members);
    this.names = this.#members.map(({ name }) => name);
    this.orchestration = this.#members.flatMap(({ name, orchestration: run }) =>
      run === undefined ? [] : [{ name, run }],
    );
    this.activity = this.#members.flatMap(({ name, activity: run }) => (run === undefined ? [] : [{ name, run }]));
    this.workItem = this.#members.flatMap(({ name, workItem: run }) => (run === undefined ? [] : [{ name, run }]));
  }
}

// A function without a name gets one, so that every member can be named in errors and positions.
function named(member: Member, members: readonly Member[]): Member {
  const taken = new Set(members.map(({ name }) => name));
  if (member.name !== "") {
    if (!taken.has(member.name)) return member;
    throw new Error(`There is already a middleware "${member.name}" (${list(members)}); give this one another name.`);
  }
  let number = 1;
  while (taken.has(`middleware-${number}`)) number += 1;
  return { ...member, name: `middleware-${number}` };
}

function place(position: Position, members: readonly Member[]): number {
  if (typeof position !== "object" || position === null) {
    throw new TypeError('use: the position must be an object such as { before: "tracing" }.');
  }
  const unknown = Object.keys(position).find((key) => key !== "before" && key !== "after");
  if (unknown !== undefined)
    throw new TypeError(`use: unknown option "${unknown}"; a position has "before" or "after".`);
  const { before, after } = position;
  if (before === undefined && after === undefined) return members.length;
  if (before !== undefined && after !== undefined) throw new TypeError('use: give "before" or "after", not both.');
  const anchor = before ?? after;
  const index = members.findIndex(({ name }) => name === anchor);
  if (index === -1) throw new Error(`There is no middleware "${String(anchor)}"; there are: ${list(members)}.`);
  return before === undefined ? index + 1 : index;
}

function list(members: readonly Member[]): string {
  return members.length === 0 ? "none yet" : members.map(({ name }) => name).join(", ");
}
