/** What a process's ledger says. */
import { readFileSync } from "node:fs";
import { isLevel, labelOf, measured, type EventRecord, type Measurement } from "./counted-once-history.ts";
import type { Entry, Step } from "./counted-once-ledger.ts";

/** What a process has recorded. */
export interface Recorded {
  /** Without those of levels. */
  readonly measurements: readonly Measurement[];
  readonly logs: readonly EventRecord[];
}

/** What a process did with a work item. */
export interface WorkItemAccount {
  /** What it had come to at its end. */
  readonly step: Step;
  readonly ran: boolean;
  /** What it recorded since it knew that its response was taken, in short. */
  readonly measurements: readonly string[];
  readonly logs: readonly string[];
}

/** The account of a process. */
export interface Account {
  readonly exported: Recorded;
  /** What it had when it ended. */
  readonly left: Recorded;
  readonly workItems: ReadonlyMap<string, WorkItemAccount>;
  /** What it recorded in no work item's name, in short: the starts of activities, which are logged as they happen. */
  readonly besides: readonly string[];
  /** All entries in short, from the first one of a work item of this instance. */
  readonly entriesFrom: (instanceId: string) => readonly string[];
}

export function readLedger(file: string): Account {
  // Nothing follows the last end of a line, unless the process was killed right there.
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  const entries = lines.map((line): Entry => JSON.parse(line));
  const flushed = entries.findLastIndex(({ kind }) => kind === "flushed") + 1;
  return {
    exported: recordedIn(entries.slice(0, flushed)),
    left: recordedIn(entries.slice(flushed)),
    ...attributed(entries),
    entriesFrom(instanceId) {
      const first = entries.findIndex((entry) => "workItem" in entry && entry.workItem.startsWith(`${instanceId} `));
      return first === -1 ? [] : entries.slice(first).map(shortOf);
    },
  };
}

function recordedIn(entries: readonly Entry[]): Recorded {
  return {
    measurements: entries.flatMap((entry) => (entry.kind === "measurement" && !isLevel(entry) ? [entry] : [])),
    logs: entries.flatMap((entry) => (entry.kind === "log" ? [entry] : [])),
  };
}

// A process makes all records of a work item at once, between two entries of that work item.
function attributed(entries: readonly Entry[]): Pick<Account, "workItems" | "besides"> {
  const workItems = new Map<string, { step: Step; ran: boolean; measurements: string[]; logs: string[] }>();
  const besides: string[] = [];
  let recording: { measurements: string[]; logs: string[] } | undefined;
  for (const entry of entries) {
    if (entry.kind === "measurement") {
      if (!isLevel(entry)) (recording?.measurements ?? besides).push(measured(entry));
    } else if (entry.kind === "log") {
      (recording?.logs ?? besides).push(labelOf(entry));
    } else if (entry.kind !== "flushed") {
      const { kind: step, workItem } = entry;
      const account = workItems.get(workItem) ?? { step, ran: false, measurements: [], logs: [] };
      workItems.set(workItem, account);
      account.step = step;
      if (step === "runs") account.ran = true;
      recording = step === "accepted" ? account : undefined;
    }
  }
  return { workItems, besides };
}

function shortOf(entry: Entry): string {
  if (entry.kind === "measurement") return isLevel(entry) ? `active ${entry.value}` : entry.instrument;
  if (entry.kind === "log") return labelOf(entry);
  return entry.kind === "flushed" ? entry.kind : `${entry.workItem} ${entry.kind}`;
}
