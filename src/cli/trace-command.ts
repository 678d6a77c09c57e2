import { createReadStream, writeFileSync } from "node:fs";
import { printable } from "../testing/waterfall/display-width.ts";
import { buildSpanForest } from "../testing/waterfall/span-tree.ts";
import { renderTraceHtml } from "../testing/waterfall/trace-html.ts";
import { renderTraceSvg } from "../testing/waterfall/trace-svg.ts";
import { analyse, byUrgency, verdictOf, type Verdict } from "./analysis.ts";
import type { TraceArguments } from "./arguments.ts";
import type { FileSpan } from "./input/file-span.ts";
import { SpanReader, type InputProblem } from "./input/read-spans.ts";
import { traceObject } from "./json-report.ts";
import { hasColor, painter } from "./paint.ts";
import { summary, traceLine, traceReport } from "./text-report.ts";

/** All traces are whole; some are not; the usage or the input is wrong. */
export type ExitCode = 0 | 1 | 2;

/** Where a command writes to: a line, or several. */
export interface Output {
  readonly out: (lines: string) => void;
  readonly error: (lines: string) => void;
}

// A page with more takes a browser minutes. The heading, the time scale and the legend of a trace count as ten spans.
const pageLimits = { most: 20_000, ofEachTrace: 10 };
// What `renderTraceSvg` draws: of more, it would choose the earliest, and says so in the picture.
const pictureLimits = { most: 200, ofEachTrace: 0 };
const mostLines = 100;

/** Runs `durable-telemetry trace`. */
export async function traceCommand(options: TraceArguments, output: Output): Promise<ExitCode> {
  const detailed = options.html !== undefined;
  const reader = new SpanReader({ traceId: options.trace, detailed, remoteParents: options.remoteParents });
  for (const file of options.files) await reader.read(file, chunksOf(file));
  // It quotes the files, which may have anything in them.
  const fault = (message: string): void => output.error(printable(`durable-telemetry: ${message}`));

  const verdicts: Verdict[] = [];
  for (const spans of reader.traces.values()) {
    const analysis = analyse(spans, options.remoteParents);
    if (analysis !== undefined) verdicts.push(verdictOf(analysis));
  }
  verdicts.sort(byUrgency);
  const report = options.json ? jsonReport : textReport;
  // A program that reads the JSON needs it without traces too: it has the problems of the files.
  if (options.json || verdicts.length > 0) report(verdicts, reader, options, output);

  let isComplete = reader.problems.length === 0;
  for (const problem of reader.problems) fault(inputText(problem));
  if (reader.moreProblems > 0) fault(`… and ${reader.moreProblems} more problems`);
  if (verdicts.length === 0 && isComplete) {
    isComplete = false;
    const which = options.trace === undefined ? "There are no spans" : `There is no trace ${options.trace}`;
    fault(`${which} in ${options.files.join(", ")}.`);
  }
  if (verdicts.length > 0 && !draw(verdicts, reader.traces, options, fault)) isComplete = false;
  if (!isComplete) return 2;
  return verdicts.some(({ problems }) => problems > 0) ? 1 : 0;
}

type Report = (verdicts: readonly Verdict[], reader: SpanReader, options: TraceArguments, output: Output) => void;

const textReport: Report = (verdicts, { traces, spans }, { limit, remoteParents }, { out }) => {
  const color = hasColor();
  const paint = painter(color);
  out(summary(verdicts, spans, paint));
  for (const { traceId } of verdicts.slice(0, limit)) {
    const ofTrace = traces.get(traceId) ?? [];
    const analysis = analyse(ofTrace, remoteParents);
    if (analysis !== undefined) out(`\n${traceReport(analysis, ofTrace, paint, color)}`);
  }
  const others = verdicts.slice(limit);
  if (others.length === 0) return;
  out(limit === 0 ? "" : `\nOther traces (--limit shows more of them in full):`);
  for (const verdict of others.slice(0, mostLines)) out(`  ${traceLine(verdict)}`);
  if (others.length > mostLines) out(`  … and ${others.length - mostLines} more; --json has all`);
};

const jsonReport: Report = (verdicts, { traces, spans, problems, moreProblems }, { remoteParents }, { out }) => {
  // Trace by trace: all of them may not fit into one string.
  out(`{"spans":${spans},"traces":[`);
  verdicts.forEach(({ traceId }, index) => {
    const analysis = analyse(traces.get(traceId) ?? [], remoteParents);
    if (analysis !== undefined)
      out(`${JSON.stringify(traceObject(analysis))}${index < verdicts.length - 1 ? "," : ""}`);
  });
  out(`],"problems":${JSON.stringify(problems)},"moreProblems":${moreProblems}}`);
};

/** Writes the pictures. @returns whether it could. */
function draw(
  verdicts: readonly Verdict[],
  traces: ReadonlyMap<string, readonly FileSpan[]>,
  { html, svg }: TraceArguments,
  fault: (message: string) => void,
): boolean {
  const files = [
    { file: html, render: renderTraceHtml, ...pageLimits },
    { file: svg, render: renderTraceSvg, ...pictureLimits },
  ];
  let isWritten = true;
  for (const { file, render, most, ofEachTrace } of files) {
    if (file === undefined) continue;
    const drawn: FileSpan[] = [];
    let count = 0;
    let cut = 0;
    for (const { traceId } of verdicts) {
      const spans = traces.get(traceId) ?? [];
      if (count > 0 && drawn.length + spans.length + (count + 1) * ofEachTrace > most) break;
      const shown = render === renderTraceHtml ? firstOf(spans, most) : spans;
      cut = spans.length - shown.length;
      for (const span of shown) drawn.push(span);
      count += 1;
    }
    const left = verdicts.length - count;
    try {
      writeFileSync(file, render(drawn));
    } catch (error) {
      fault(`${file} can't be written: ${error instanceof Error ? error.message : String(error)}`);
      isWritten = false;
      continue;
    }
    if (cut > 0) fault(`${file} leaves out ${cut} of ${drawn.length + cut} spans of ${verdicts[0]?.traceId}.`);
    if (left > 0) fault(`${file} leaves out ${left} of ${verdicts.length} traces: --trace chooses one.`);
  }
  return isWritten;
}

/** The first spans in the order of the tree: none of them is without its parent for being among the first. */
function firstOf(spans: readonly FileSpan[], most: number): readonly FileSpan[] {
  if (spans.length <= most) return spans;
  return buildSpanForest(spans).traces.flatMap(({ nodes }) => nodes.slice(0, most).map(({ span }) => span));
}

function inputText({ file, message, position }: InputProblem): string {
  const where = position === undefined ? "" : `:${position.line} (byte ${position.byte})`;
  return `${file === "-" ? "standard input" : file}${where}: ${message}`;
}

function chunksOf(file: string): AsyncIterable<Uint8Array> {
  return file === "-" ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 });
}
