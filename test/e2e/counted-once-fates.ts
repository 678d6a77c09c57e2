/** What became of each fact when processes died: recorded by one of them, lost with one, or, what must never be, recorded twice. */
import { measured } from "./counted-once-history.ts";
import { tally } from "../metrics/expected-measurements.ts";
import type { WorkItemAccount } from "./counted-once-account.ts";
import type { Outcome, Process } from "./counted-once-place.ts";

/** What became of what there was to tell of a work item. */
export interface Fate {
  readonly key: string;
  /** What there was to tell once the hub had taken its response, in short. */
  readonly due: readonly string[];
  /** What of this no process has recorded. */
  readonly missing: readonly string[];
  /** What was recorded that was not due, or was recorded already. */
  readonly surplus: readonly string[];
  /** The processes that knew that the hub had taken their response. */
  readonly acceptedBy: readonly Process[];
}

/** What `texts` has beyond `others`, each as often as it is there. */
export function beyond(texts: readonly string[], others: readonly string[]): string[] {
  const left = tally(others);
  return texts.filter((text) => {
    const count = left[text] ?? 0;
    left[text] = count - 1;
    return count <= 0;
  });
}

/** The fates of all work items. */
export function fatesOf({ workItems, processes }: Outcome): readonly Fate[] {
  return workItems.map(({ key, measurements, logs }): Fate => {
    const accounts = processes.flatMap((process) => {
      const account = process.account.workItems.get(key);
      return account === undefined ? [] : [{ process, account }];
    });
    const due = [...measurements.map(measured), ...logs];
    const recorded = accounts.flatMap(({ account }) => [...account.measurements, ...account.logs]);
    const acceptedBy = accounts.flatMap(({ process, account }) => (isAccepted(account) ? [process] : []));
    return { key, due, missing: beyond(due, recorded), surplus: beyond(recorded, due), acceptedBy };
  });
}

const isAccepted = ({ step }: WorkItemAccount): boolean => step === "accepted" || step === "recorded";

/** Where a process was in its work when it was killed. */
export interface Death {
  /** Responses that it had sent and whose acknowledgement it had not received, as far as no other process had to do the work again. */
  readonly unacknowledged: readonly Fate[];
  /** What it had started to record, and not recorded whole. */
  readonly recording: readonly Fate[];
}

/** Where this process was when it was killed. */
export function deathOf({ account }: Process, fates: readonly Fate[]): Death {
  const step = (fate: Fate): string | undefined => account.workItems.get(fate.key)?.step;
  return {
    unacknowledged: fates.filter((fate) => step(fate) === "answers" && fate.acceptedBy.length === 0),
    recording: fates.filter((fate) => step(fate) === "accepted"),
  };
}
