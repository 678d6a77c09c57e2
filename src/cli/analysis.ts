import { problemsOf, type TraceProblem } from "../testing/recorder/trace-problems.ts";
import { criticalPath, type PathStep } from "../testing/waterfall/critical-path.ts";
import { buildSpanForest, type TraceTree } from "../testing/waterfall/span-tree.ts";
import { subjectText } from "../testing/waterfall/subject.ts";
import type { FileSpan } from "./input/file-span.ts";
import { waitingIn, type Waiting } from "./waiting.ts";

/** What is said of a trace. */
export interface Analysis {
  readonly trace: TraceTree<FileSpan>;
  /** What keeps it from being whole (telemetry.md S1, I4). */
  readonly problems: readonly TraceProblem[];
  readonly waiting: readonly Waiting[];
  readonly path: readonly PathStep<FileSpan>[];
  readonly failed: number;
}

/** What is kept of every trace, to choose which are shown in full. */
export interface Verdict {
  readonly traceId: string;
  /** What it is about. */
  readonly subject: string;
  readonly problems: number;
  readonly waiting: number;
  readonly failed: number;
  readonly start: bigint;
  readonly duration: bigint;
}

const isOpen = (span: FileSpan): boolean => !span.hasEnded;

/** Analyses the spans of one trace. */
export function analyse(spans: readonly FileSpan[], remoteParents: ReadonlySet<string>): Analysis | undefined {
  const [trace] = buildSpanForest(spans).traces;
  if (trace === undefined) return undefined;
  return {
    trace,
    problems: problemsOf(trace, isOpen, remoteParents),
    waiting: waitingIn(trace, isOpen, remoteParents),
    path: criticalPath(trace),
    failed: trace.nodes.filter((node) => node.failed).length,
  };
}

export function verdictOf({ trace, problems, waiting, failed }: Analysis): Verdict {
  return {
    traceId: trace.traceId,
    subject: subjectText(trace),
    problems: problems.length,
    waiting: waiting.length,
    failed,
    start: trace.start,
    duration: trace.end - trace.start,
  };
}

/** First what is not whole, then what waits, then what failed, then what took longest. */
export function byUrgency(a: Verdict, b: Verdict): number {
  const flag = (count: number): number => (count > 0 ? 1 : 0);
  return (
    flag(b.problems) - flag(a.problems) ||
    flag(b.waiting) - flag(a.waiting) ||
    flag(b.failed) - flag(a.failed) ||
    Number(b.duration - a.duration) ||
    Number(a.start - b.start)
  );
}
