import { aString, checkOptions, type OptionRules } from "../../options.ts";
import { categories, categoryOf, type Category } from "./category.ts";
import { dark, light, type Palette } from "./colors.ts";
import { displayWidth, shorten } from "./display-width.ts";
import { formatDuration } from "./duration.ts";
import { escapeMarkup } from "./markup.ts";
import { plural } from "./plural.ts";
import { marksOf, toRows, type Row } from "./rows.ts";
import { subjectText } from "./subject.ts";
import { buildSpanForest, type FinishedSpan, type SpanNode, type TraceTree } from "./span-tree.ts";
import { timeMarks } from "./time-scale.ts";

/** Options of {@link renderTraceSvg}. */
export interface RenderTraceSvgOptions {
  /** The most spans that are drawn, from 1 to 10,000; 200 by default. The picture says how many are left out. */
  readonly maximumSpans?: number | undefined;
  /** The title, which is drawn and which a screen reader reads. By default the first trace's orchestration. */
  readonly title?: string | undefined;
}

const rules: OptionRules<RenderTraceSvgOptions> = {
  // It has an error of its own.
  maximumSpans: { is: "a whole number", test: () => true },
  title: aString,
};

/**
 * Renders finished spans as an SVG picture of their waterfalls, for a README, a ticket or a report. It is readable in a
 * light and in a dark theme, needs no script, font or network, and has a title and a description for screen readers.
 *
 * @param spans finished spans in any order, of any number of traces; entries that can't be read as spans are counted
 *   in the last line.
 * @returns an SVG document of 960 units in width.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 * @throws {RangeError} if `maximumSpans` is no whole number from 1 to 10,000.
 *
 * @example
 * ```ts
 * writeFileSync("order.svg", renderTraceSvg(recorder.spans(), { title: "An order" }));
 * ```
 */
export function renderTraceSvg(spans: Iterable<FinishedSpan>, options: RenderTraceSvgOptions = {}): string {
  checkOptions("renderTraceSvg", options, rules);
  const { maximumSpans: maximum = 200 } = options;
  if (!Number.isInteger(maximum) || maximum < 1 || maximum > 10_000)
    throw new RangeError(`maximumSpans must be a whole number from 1 to 10000, not ${String(maximum)}.`);
  const { traces, unreadable } = buildSpanForest(spans);
  let top = margin;
  let left = maximum;
  const used = new Set<Category>();
  const parts: string[] = [];
  const descriptions: string[] = [];
  for (const [index, trace] of traces.entries()) {
    if (left === 0) break;
    const shown = toRows(trace).slice(0, left);
    left -= shown.length;
    for (const { node } of shown) used.add(categoryOf(node));
    const drawn = drawTrace(trace, shown, top, index === 0 ? options.title : undefined);
    parts.push(drawn.markup);
    descriptions.push(describe(trace));
    top = drawn.bottom + gapBetween;
  }
  const total = traces.reduce((sum, { nodes }) => sum + nodes.length, 0);
  const notes = [
    ...(total > maximum ? [`${plural(total - maximum, "more span is", "more spans are")} not shown.`] : []),
    ...(unreadable > 0 ? [`${plural(unreadable, "entry", "entries")} could not be read as a span.`] : []),
    ...(total === 0 ? ["No spans to show."] : []),
  ];
  for (const note of notes) {
    parts.push(text(margin, top + 4, "quiet", note));
    top += rowHeight;
  }
  if (total > 0) {
    parts.push(drawLegend(used, top));
    top += rowHeight;
  }
  const title = options.title ?? (traces[0] === undefined ? "No spans to show" : subjectText(traces[0]));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" role="img" aria-labelledby="title desc">`,
    `<title id="title">${escapeMarkup(title)}</title>`,
    `<desc id="desc">${escapeMarkup([...descriptions, ...notes].join(" "))}</desc>`,
    `<style>${styleSheet}</style>`,
    `<rect class="page" width="${width}" height="${top}" rx="8"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

const width = 960;
const margin = 20;
const rowHeight = 22;
const gapBetween = 22;
const timelineAt = 424;
/** Where the durations end. */
const tookAt = timelineAt - 12;
const timeline = width - margin - timelineAt;
/** Of a monospaced character at 12 units. */
const characterWidth = 7.23;
const indentation = 13;
/** Deeper rows are not indented further. */
const deepest = 12;
const tookWidth = 66;
const noteHeight = 16;
/** The width of the shortest bar. */
const shortest = 2;

const mono = `ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace`;
const sans = `system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif`;

const colorRules = ({ background, text: ink, quiet, line, failed, warning, bars }: Palette): string =>
  [
    `.page{fill:${background};stroke:${line}}`,
    `.ink{fill:${ink}}.quiet{fill:${quiet}}.line,.branch{stroke:${line}}`,
    `.failed{fill:${failed}}.warning{fill:${warning}}`,
    ...Object.entries(bars).map(([category, color]) => `.${category}{fill:${color}}`),
  ].join("");

const styleSheet = [
  `text{font:12px ${mono}}.sans{font-family:${sans}}.title{font:600 15px ${sans}}.small{font-size:11px}`,
  ".end{text-anchor:end}.middle{text-anchor:middle}.branch{fill:none}",
  colorRules(light),
  `@media (prefers-color-scheme:dark){${colorRules(dark)}}`,
].join("");

/** In words, for those who don't see the picture. */
function describe(trace: TraceTree): string {
  const names = (nodes: readonly SpanNode[]): string =>
    shorten([...new Set(nodes.map(({ name }) => name))].join(", "), 200);
  const failed = trace.nodes.filter((node) => node.failed);
  const faulty = trace.nodes.filter((node) => marksOf(node).length > 0);
  const count = plural(trace.nodes.length, "span", "spans");
  const parts = [`A waterfall of ${count} over ${formatDuration(trace.end - trace.start)}: ${subjectText(trace)}.`];
  if (failed.length > 0) parts.push(`${failed.length} failed: ${names(failed)}.`);
  if (faulty.length > 0) parts.push(`${faulty.length} marked as ${[...new Set(faulty.flatMap(marksOf))].join(", ")}.`);
  return parts.join(" ");
}

interface Drawn {
  readonly markup: string;
  readonly bottom: number;
}

function drawTrace(trace: TraceTree, rows: readonly Row[], top: number, title: string | undefined): Drawn {
  const duration = trace.end - trace.start;
  const failed = trace.nodes.filter((node) => node.failed).length;
  const axis = top + 56;
  const parts: string[] = [];
  const ys: number[] = [];
  let y = axis + 10;
  for (const { notes } of rows) {
    ys.push(y);
    y += rowHeight + notes.length * noteHeight;
  }
  for (const { at, text: mark } of timeMarks(0, Number(duration), 5)) {
    const x = duration === 0n ? timelineAt : position(trace, trace.start + BigInt(Math.round(at)));
    const anchor = x > width - margin - 24 ? " end" : x < timelineAt + 12 ? "" : " middle";
    parts.push(
      `<path class="line" d="M${round(x)} ${axis + 6}V${round(y)}"/>`,
      text(x, axis, `small quiet${anchor}`, mark),
    );
  }
  const summary = `${plural(trace.nodes.length, "span", "spans")} · ${formatDuration(duration)}`;
  const failures = failed > 0 ? `<tspan class="quiet"> · </tspan><tspan class="failed">${failed} failed</tspan>` : "";
  parts.push(
    text(margin, top + 13, "title ink", shorten(title ?? subjectText(trace), 70)),
    text(width - margin, top + 13, "small end quiet", trace.traceId),
    `<text x="${margin}" y="${top + 33}" class="sans quiet">${summary}${failures}</text>`,
  );
  const parents: number[] = [];
  rows.forEach((row, index) => {
    const at = ys[index] ?? 0;
    parts.push(drawRow(row, trace, at, parents[row.depth - 1]));
    parents[row.depth] = at;
  });
  return { markup: parts.join("\n"), bottom: y };
}

function drawRow(row: Row, trace: TraceTree, y: number, parentY: number | undefined): string {
  const { node } = row;
  const x = margin + Math.min(row.depth, deepest) * indentation;
  const middle = y + rowHeight / 2;
  const baseline = round(middle + 4);
  const columns = Math.floor((tookAt - tookWidth - x) / characterWidth);
  const status = node.failed ? "✗ " : "";
  const marks = shorten(row.marks, columns - status.length - 6);
  const name = shorten(row.name, columns - status.length - displayWidth(marks));
  const left = columns - status.length - displayWidth(name) - displayWidth(marks);
  const [kind = ""] = [`${row.kind} ${row.attempt}`, row.attempt, row.kind]
    .map((each) => ` ${each.trim()}`)
    .filter((each) => each.length > 1 && each.length <= left);
  const parts = [
    `<title>${escapeMarkup(`${row.name}${row.marks} · ${row.kind} · ${row.start} · ${row.took}${node.failed ? " · failed" : ""}`)}</title>`,
    `<text x="${x}" y="${baseline}"><tspan class="${node.failed ? "failed" : "ink"}">${escapeMarkup(status + name)}</tspan>` +
      `<tspan class="warning">${escapeMarkup(marks)}</tspan><tspan class="quiet">${kind}</tspan></text>`,
    text(tookAt, baseline, "end quiet", row.took),
    drawBar(row, trace, y),
  ];
  if (parentY !== undefined && row.depth <= deepest) {
    const trunk = x - indentation + 3.5;
    parts.unshift(`<path class="branch" d="M${trunk} ${parentY + rowHeight - 4}V${middle}H${x - 2}"/>`);
  }
  row.notes.forEach((note, index) => {
    const below = round(y + rowHeight + index * noteHeight + 10);
    const message = shorten(`↳ ${note.text}`, Math.floor((width - margin - x) / characterWidth));
    parts.push(text(x, below, note.about === "failure" ? "failed" : "warning", message));
  });
  return `<g class="row" data-depth="${row.depth}">${parts.join("")}</g>`;
}

function drawBar({ node }: Row, trace: TraceTree, y: number): string {
  const start = position(trace, node.start);
  const length = node.end === undefined ? 0 : position(trace, node.end) - start;
  const style = node.failed ? "failed" : categoryOf(node);
  // What waits or is queued is drawn thinner than what works. Every span is seen, however short it is.
  const height = thin.has(categoryOf(node)) ? 6 : 12;
  const x = Math.min(start, width - margin - shortest);
  const top = y + (rowHeight - height) / 2;
  return `<rect class="${style}" x="${round(x)}" y="${top}" width="${round(Math.max(length, shortest))}" height="${height}" rx="2"/>`;
}

const thin: ReadonlySet<Category> = new Set(["scheduled", "wait"]);

function position(trace: TraceTree, time: bigint): number {
  const duration = Number(trace.end - trace.start);
  return timelineAt + (duration === 0 ? 0 : (Number(time - trace.start) / duration) * timeline);
}

function drawLegend(used: ReadonlySet<Category>, y: number): string {
  const parts: string[] = [];
  let x = margin;
  for (const [category, label] of Object.entries(categories)) {
    if (!used.has(category as Category)) continue;
    const height = thin.has(category as Category) ? 6 : 10;
    parts.push(
      `<rect class="${category}" x="${x}" y="${y + (10 - height) / 2}" width="14" height="${height}" rx="2"/>`,
      text(x + 20, y + 9, "sans small quiet", label),
    );
    x += 46 + label.length * 6;
  }
  return parts.join("");
}

function text(x: number, y: number, style: string, content: string): string {
  return `<text x="${round(x)}" y="${round(y)}" class="${style}">${escapeMarkup(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
