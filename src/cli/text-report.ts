import { problemText } from "../testing/recorder/trace-problems.ts";
import { padStart, printable, shorten } from "../testing/waterfall/display-width.ts";
import { formatDuration } from "../testing/waterfall/duration.ts";
import { plural } from "../testing/waterfall/plural.ts";
import { renderTrace } from "../testing/waterfall/render-trace.ts";
import { kindName, offsetText } from "../testing/waterfall/rows.ts";
import { subjectText } from "../testing/waterfall/subject.ts";
import type { Analysis, Verdict } from "./analysis.ts";
import type { FileSpan } from "./input/file-span.ts";
import type { Paint } from "./paint.ts";
import type { Waiting } from "./waiting.ts";

// Nobody reads more than this in a terminal.
const mostRows = 1000;
const mostProblems = 20;
const mostWaiting = 20;
const mostSteps = 12;
/** Of a name, in columns: some are whole SQL statements. */
const longestName = 80;

/** The summary of all traces. */
export function summary(verdicts: readonly Verdict[], spans: number, paint: Paint): string {
  const count = (test: (verdict: Verdict) => boolean): number => verdicts.filter(test).length;
  const broken = count(({ problems }) => problems > 0);
  const waiting = count((verdict) => verdict.waiting > 0);
  const failed = count((verdict) => verdict.failed > 0);
  const parts = [
    `${plural(spans, "span", "spans")} in ${plural(verdicts.length, "trace", "traces")}`,
    paint("green", `${verdicts.length - broken} whole`),
    ...(broken > 0 ? [paint("red", `${broken} not whole`)] : []),
    ...(waiting > 0 ? [paint("yellow", `${waiting} waiting`)] : []),
    ...(failed > 0 ? [paint("red", `${failed} with failures`)] : []),
  ];
  return parts.join(" · ");
}

/** A trace in full. */
export function traceReport(analysis: Analysis, spans: readonly FileSpan[], paint: Paint, color: boolean): string {
  const { trace, problems, waiting } = analysis;
  const drawn =
    spans.length > mostRows
      ? `Trace ${trace.traceId} · ${spans.length} spans: too many to draw here; --html draws them.`
      : renderTrace(spans, { color });
  const title = `${paint("bold", shorten(subjectText(trace), longestName * 2))}${problems.length === 0 ? paint("green", " is whole.") : paint("red", " is not whole:")}`;
  return [
    drawn,
    "",
    title,
    ...limited(
      problems.map((each) => `  ${problemText({ ...each, name: short(each.name) })}`),
      mostProblems,
      "more problems",
    ),
    ...criticalPathLines(analysis, paint),
    ...(waiting.length === 0 ? [] : [paint("bold", "Waiting")]),
    ...limited(
      waiting.map((each) => printable(`  ${waitingText({ ...each, name: short(each.name) }, analysis)}`)),
      mostWaiting,
      "more",
    ),
  ].join("\n");
}

/** A trace in one line. */
export function traceLine(verdict: Verdict): string {
  const { traceId, subject, problems, waiting, failed, duration } = verdict;
  const parts = [
    traceId,
    shorten(subject, longestName),
    formatDuration(duration),
    problems === 0 ? "whole" : `not whole: ${plural(problems, "problem", "problems")}`,
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ];
  return parts.join(" · ");
}

function criticalPathLines({ trace, path }: Analysis, paint: Paint): readonly string[] {
  const total = trace.end - trace.start;
  if (total === 0n) return [];
  const shown = path.toSorted((a, b) => Number(b.time - a.time)).slice(0, mostSteps);
  // In the order in which they happened.
  const steps = path.filter((step) => shown.includes(step));
  const rest = path.reduce((sum, { time }) => sum + time, 0n) - steps.reduce((sum, { time }) => sum + time, 0n);
  const line = (time: bigint, text: string): string =>
    `  ${padStart(share(time, total), 6)}  ${padStart(formatDuration(time), 8)}  ${text}`;
  return [
    paint("bold", `Critical path, ${formatDuration(total)}`),
    ...steps.map(({ node, time }) =>
      line(time, node === undefined ? "no span" : `${short(node.name)} ${kindName(node.kind)}`),
    ),
    ...(rest > 0n ? [line(rest, plural(path.length - steps.length, "other step", "other steps"))] : []),
  ];
}

function short(name: string): string {
  return shorten(printable(name), longestName);
}

/** A part of the trace's duration, in per cent. */
function share(time: bigint, total: bigint): string {
  return `${((Number(time) / Number(total)) * 100).toFixed(1)} %`;
}

/** What waits, in words. */
export function waitingText({ what, name, instanceId, since, spans }: Waiting, { trace }: Analysis): string {
  const at = offsetText(since, trace);
  const of = instanceId === undefined ? "" : ` of ${instanceId}`;
  if (what === "open") return `${name}${of} has not ended since ${at}`;
  if (what === "not run") return `${name}${of} was sent off at ${at}, and there is no span of its run`;
  const whose = instanceId === undefined ? "An orchestration" : `The orchestration ${instanceId}`;
  return `${whose} has not finished, or its span is missing: ${plural(spans, "span", "spans")} below it, the last is ${name} at ${at}`;
}

function limited(lines: readonly string[], most: number, what: string): readonly string[] {
  return lines.length <= most ? lines : [...lines.slice(0, most), `  … and ${lines.length - most} ${what}`];
}
