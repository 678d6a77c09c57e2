import util from "node:util";
import { aBoolean, checkOptions, type OptionRules } from "../../options.ts";
import { displayWidth, padEnd, padStart, printable, shorten } from "./display-width.ts";
import { formatDuration } from "./duration.ts";
import { buildSpanForest, type FinishedSpan, type SpanNode, type TraceTree } from "./span-tree.ts";
import { plural } from "./plural.ts";
import { toRows, type Row } from "./rows.ts";

/** Options of {@link renderTrace}. */
export interface RenderTraceOptions {
  /**
   * Whether to colour the text. By default `node:util`'s `styleText` decides for `process.stdout`: yes if it is a
   * terminal with colours, unless `NO_COLOR` or `FORCE_COLOR` is set.
   */
  readonly color?: boolean | undefined;
  /** The longest line, in columns; less than 60 counts as 60, and more than 1000 as 1000. By default the terminal's width, or 100 without a terminal. */
  readonly width?: number | undefined;
}

const rules: OptionRules<RenderTraceOptions> = {
  color: aBoolean,
  width: { is: "a number", test: (value) => typeof value === "number" },
};

/**
 * Renders finished spans as waterfalls for the terminal, one block for each trace: the tree of its spans with their
 * status, kind, start offset and duration, and a bar on the trace's time scale.
 *
 * Spans that break telemetry.md S1 are marked: `[orphan]` (the parent is not among the spans),
 * `[duplicate]` (an earlier span has the same ID), `[cycle]` (the span is its own ancestor), `[no end]`,
 * `[ends before its start]`. A span whose parent is in another process is a root, marked `[remote parent]`.
 *
 * @param spans finished spans in any order, of any number of traces; entries that can't be read as spans are counted
 *   below the last trace.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @returns lines separated by `\n`, without one at the end.
 *
 * @example
 * ```ts
 * const memory = new InMemorySpanExporter();
 * // … run something with `new SimpleSpanProcessor(memory)` as a span processor …
 * console.log(renderTrace(memory.getFinishedSpans()));
 * ```
 */
export function renderTrace(spans: Iterable<FinishedSpan>, options: RenderTraceOptions = {}): string {
  checkOptions("renderTrace", options, rules);
  const paint = painter(options.color);
  const width = lineWidth(options.width);
  const { traces, unreadable } = buildSpanForest(spans);
  const blocks = traces.map((trace) => renderTree(trace, width, paint).join("\n"));
  if (unreadable > 0) {
    blocks.push(paint("yellow", `${plural(unreadable, "entry", "entries")} could not be read as a span.`));
  }
  return blocks.length === 0 ? "No spans to show." : blocks.join("\n\n");
}

type Format = Parameters<typeof util.styleText>[0];
type Paint = (format: Format, text: string) => string;

function painter(color: boolean | undefined): Paint {
  // styleText itself is asked what it would do, so NO_COLOR, FORCE_COLOR and the terminal's depth need no rules here.
  const colored = color ?? util.styleText("bold", ".", { stream: process.stdout }) !== ".";
  if (!colored) return (_format, text) => text;
  return (format, text) => (text === "" ? "" : util.styleText(format, text, { validateStream: false }));
}

const defaultWidth = 100;
const minimumWidth = 60;
const maximumWidth = 1000;

function lineWidth(asked: number | undefined): number {
  const width = asked ?? process.stdout.columns ?? defaultWidth;
  return Number.isFinite(width) ? Math.min(maximumWidth, Math.max(minimumWidth, Math.floor(width))) : defaultWidth;
}

/** The columns' widths. */
interface Layout {
  readonly line: number;
  readonly tree: number;
  /** 0 where there is no room for the kind. */
  readonly kind: number;
  readonly start: number;
  readonly took: number;
  readonly bar: number;
}

const gap = "  ";

function layOut(rows: readonly Row[], line: number): Layout {
  const widest = (title: string, text: (row: Row) => string): number =>
    rows.reduce((width, row) => Math.max(width, displayWidth(text(row))), title.length);
  const start = widest("start", (row) => row.start);
  const took = widest("took", (row) => row.took);
  const kind = line < narrow ? 0 : widest("kind", (row) => row.kind);
  const fixed = ["✓ ".length, gap.length + start, gap.length + took, gap.length, kind === 0 ? 0 : gap.length + kind];
  // The tree and the bars share what is left; neither can starve the other.
  const shared = fixed.reduce((left, columns) => left - columns, line);
  const tree = Math.min(
    widest("span", (row) => row.branch + row.name + row.marks),
    Math.floor((shared * 2) / 3),
  );
  return { line, tree, kind, start, took, bar: shared - tree };
}

/** Lines shorter than this have no kind column. */
const narrow = 80;

function renderTree(trace: TraceTree, width: number, paint: Paint): string[] {
  const rows = toRows(trace);
  const layout = layOut(rows, width);
  const total = formatDuration(trace.end - trace.start);
  const lines = [heading(trace, total, paint), paint("dim", columnTitles(layout, total))];
  for (const row of rows) {
    lines.push(renderRow(row, trace, layout, paint));
    for (const note of row.notes) {
      const below = `  ${endOf(row.below, Math.floor(width / 2))}↳ `;
      const text = shorten(note.text, width - below.length);
      lines.push(paint("dim", below) + paint(note.about === "failure" ? "red" : "yellow", text));
    }
  }
  return lines;
}

function columnTitles(layout: Layout, total: string): string {
  const titles = [
    `  ${padEnd("span", layout.tree)}`,
    ...(layout.kind > 0 ? [padEnd("kind", layout.kind)] : []),
    padStart("start", layout.start),
    padStart("took", layout.took),
    `0${padStart(total, layout.bar - 1)}`,
  ];
  return titles.join(gap);
}

function renderRow(row: Row, trace: TraceTree, layout: Layout, paint: Paint): string {
  const { node } = row;
  const cells = [
    `${node.failed ? paint("red", "✗") : paint("green", "✓")} ${treeCell(row, layout.tree, paint)}`,
    ...(layout.kind > 0 ? [paint("dim", padEnd(row.kind, layout.kind))] : []),
    paint("dim", padStart(row.start, layout.start)),
    padStart(row.took, layout.took),
    paint(node.failed ? "red" : (barColors[node.kind] ?? "gray"), drawBar(node, trace, layout.bar)),
  ];
  return cells.join(gap);
}

/** By OpenTelemetry's `SpanKind`. */
const barColors: readonly (Format | undefined)[] = ["yellow", "cyan", "blue", "magenta", "magenta"];

function heading(trace: TraceTree, total: string, paint: Paint): string {
  const count = (test: (node: SpanNode) => boolean): number => trace.nodes.filter(test).length;
  const failed = count((node) => node.failed);
  const orphans = count((node) => node.parentage === "orphan");
  const summary = [
    paint("bold", `Trace ${printable(trace.traceId)}`),
    plural(trace.nodes.length, "span", "spans"),
    total,
    ...(failed > 0 ? [paint("red", `${failed} failed`)] : []),
    ...(orphans > 0 ? [paint("yellow", plural(orphans, "orphan", "orphans"))] : []),
  ];
  return summary.join(" · ");
}

function treeCell(row: Row, columns: number, paint: Paint): string {
  // Deep branches and marks give way where there is no room for all, so that some of the name is always there.
  const left = columns - displayWidth(row.name + row.marks);
  const branch = endOf(row.branch, Math.max(left, Math.floor(columns / 2)));
  const room = columns - branch.length;
  const marked = shorten(row.marks, room - Math.min(displayWidth(row.name), leastName));
  const name = shorten(row.name, room - displayWidth(marked));
  const rest = " ".repeat(Math.max(0, room - displayWidth(name) - displayWidth(marked)));
  return paint("dim", branch) + (row.node.failed ? paint("red", name) : name) + paint("yellow", marked) + rest;
}

const leastName = 6;

/** The branches next to a name; what is cut off on the left is marked by a sign. */
function endOf(branches: string, columns: number): string {
  return branches.length > columns ? `⋯${branches.slice(1 - columns)}` : branches;
}

/**
 * A span's bar, with a precision of half a column. Every span is seen: the shortest is half a column, and one
 * that takes no time at all is a tick.
 */
function drawBar(node: SpanNode, trace: TraceTree, columns: number): string {
  const halves = columns * 2;
  const total = Number(trace.end - trace.start);
  const at = (time: bigint): number => (total === 0 ? 0 : Math.round((Number(time - trace.start) / total) * halves));
  if (node.end === undefined || node.end === node.start) {
    return `${" ".repeat(Math.min(columns - 1, Math.floor(at(node.start) / 2)))}┃`;
  }
  const from = Math.min(at(node.start), halves - 1);
  const to = Math.max(at(node.end), from + 1);
  const opening = from % 2 === 1 ? "╺" : "";
  const closing = to % 2 === 1 ? "╸" : "";
  const whole = Math.floor(to / 2) - Math.ceil(from / 2);
  return " ".repeat(Math.floor(from / 2)) + opening + "━".repeat(whole) + closing;
}
