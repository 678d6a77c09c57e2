import { problemText } from "../testing/recorder/trace-problems.ts";
import { kindName } from "../testing/waterfall/rows.ts";
import { subjectOf } from "../testing/waterfall/subject.ts";
import type { Analysis } from "./analysis.ts";
import { waitingText } from "./text-report.ts";

/** A trace as an object of the report in JSON. Times are in milliseconds; `share` is a fraction of the duration. */
export function traceObject(analysis: Analysis): object {
  const { trace, problems, waiting, path, failed } = analysis;
  const duration = trace.end - trace.start;
  return {
    traceId: trace.traceId,
    ...subjectOf(trace),
    spans: trace.nodes.length,
    failed,
    start: new Date(Number(trace.start / 1_000_000n)).toISOString(),
    duration: milliseconds(duration),
    whole: problems.length === 0,
    problems: problems.map((problem) => ({ ...problem, text: problemText(problem) })),
    criticalPath: path.map(({ node, time }) => ({
      name: node?.name ?? null,
      kind: node === undefined ? null : kindName(node.kind),
      spanId: node?.spanId ?? null,
      time: milliseconds(time),
      share: duration === 0n ? 0 : Number((Number(time) / Number(duration)).toFixed(6)),
    })),
    waiting: waiting.map((each) => ({
      what: each.what,
      name: each.name,
      instanceId: each.instanceId ?? null,
      since: milliseconds(each.since - trace.start),
      text: waitingText(each, analysis),
    })),
  };
}

function milliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e6;
}
