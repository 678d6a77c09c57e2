import { createHash } from "node:crypto";
import { aString, checkOptions, type OptionRules } from "../../options.ts";
import { categories, categoryOf } from "./category.ts";
import { criticalPath } from "./critical-path.ts";
import { formatDuration } from "./duration.ts";
import { printable, printableLines } from "./display-width.ts";
import { escapeMarkup } from "./markup.ts";
import { runPage } from "./page-script.js";
import { pageStyle } from "./page-style.ts";
import { plural } from "./plural.ts";
import { marksOf, offsetText, toRows, type Row } from "./rows.ts";
import { buildSpanForest, nanoseconds, type FinishedSpan, type SpanNode, type TraceTree } from "./span-tree.ts";
import { subjectOf, subjectText } from "./subject.ts";
import { timeMarks } from "./time-scale.ts";
import { valueText } from "./value-text.ts";

/** Options of {@link renderTraceHtml}. */
export interface RenderTraceHtmlOptions {
  /** The page's title. By default the first trace's orchestration. */
  readonly title?: string | undefined;
}

const rules: OptionRules<RenderTraceHtmlOptions> = { title: aString };

/**
 * Renders finished spans as an HTML page with a waterfall for each trace: zoom, collapsing, search, the critical path,
 * and all attributes, events and links of a span on a click. It works with the keyboard, in a light and in a dark theme.
 *
 * The page is one file and needs no network: its content security policy forbids all requests. Strings of spans are
 * escaped, and the policy allows no script but the page's own.
 *
 * @param spans finished spans in any order, of any number of traces; entries that can't be read as spans are counted
 *   below the last trace. The page stays fast up to some thousand spans.
 * @returns an HTML document.
 * @throws TypeError for unknown options and wrong types; it names the key and what is allowed.
 *
 * @example
 * ```ts
 * writeFileSync("order.html", renderTraceHtml(recorder.spans()));
 * ```
 */
export function renderTraceHtml(spans: Iterable<FinishedSpan>, options: RenderTraceHtmlOptions = {}): string {
  checkOptions("renderTraceHtml", options, rules);
  const { traces, unreadable } = buildSpanForest(spans);
  const sections = traces.map((trace, index) => traceSection(trace, index));
  const total = traces.reduce((sum, { nodes }) => sum + nodes.length, 0);
  const title = escapeMarkup(options.title ?? titleOf(traces));
  // An application's bundler may put calls of its helper into the functions: `__name` is that of esbuild with `keepNames`.
  const script = `const __name = (value) => value;(${runPage.toString()})(${timeMarks.toString()})`;
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${createHash("sha256").update(script).digest("base64")}'; base-uri 'none'; form-action 'none'`;
  // In a script element, only "<" could end the element or begin a comment.
  const data = JSON.stringify(sections.map(({ duration, spans: facts }) => ({ duration, spans: facts })));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${title} · ${plural(total, "span", "spans")}</title>
<style>${pageStyle}</style>
</head>
<body>
<header class="top">
<h1>${title}</h1>
<input id="find" type="search" placeholder="Find names, attributes, IDs" aria-label="Find spans" autocomplete="off" spellcheck="false"><output id="found" for="find"></output>
<div class="group" role="group" aria-label="Zoom"><button type="button" data-do="out" aria-label="Zoom out">−</button><button type="button" data-do="reset">Fit</button><button type="button" data-do="in" aria-label="Zoom in">+</button></div>
<div class="group" role="group" aria-label="Tree"><button type="button" data-do="collapse">Collapse</button><button type="button" data-do="expand">Expand</button></div>
<button type="button" data-do="theme">Theme</button>
</header>
<main>
${sections.length > 1 ? contents(sections) : ""}
${sections.map(({ markup }) => markup).join("\n")}
${total === 0 ? `<p class="trace">No spans to show.</p>` : ""}
${unreadable > 0 ? `<p class="odd">${plural(unreadable, "entry", "entries")} could not be read as a span.</p>` : ""}
</main>
<aside id="details" aria-label="Details of the selected span" tabindex="-1" hidden></aside>
<footer>${shortcuts.map(([keys, what]) => `<span>${keys.map((key) => `<kbd>${key}</kbd>`).join(" ")} ${what}</span>`).join("")}<span>Drag across the time scale to zoom.</span></footer>
<script type="application/json" id="spans">${data.replaceAll("<", "\\u003c")}</script>
<script>${script}</script>
</body>
</html>
`;
}

function titleOf([first, ...others]: readonly TraceTree[]): string {
  if (first === undefined) return "No spans to show";
  const subject = subjectText(first);
  return others.length === 0 ? subject : `${subject} and ${plural(others.length, "more trace", "more traces")}`;
}

const shortcuts: readonly (readonly [keys: readonly string[], what: string])[] = [
  [["↑", "↓"], "move"],
  [["←", "→"], "collapse, expand"],
  [["Enter"], "details"],
  [["Esc"], "close"],
  [["+", "−", "0"], "zoom"],
  [["z"], "zoom to the span"],
  [["[", "]"], "pan"],
  [["/"], "find"],
  [["n"], "next failure"],
  [["c", "e"], "collapse, expand all"],
  [["t"], "theme"],
];

interface Section {
  readonly name: string;
  readonly failed: number;
  readonly took: string;
  readonly duration: number;
  readonly spans: readonly SpanFacts[];
  readonly markup: string;
}

/** What the page's script knows of a span. */
interface SpanFacts {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly message: string;
  readonly notes: readonly string[];
  /** Its start and length as fractions of the trace. */
  readonly s: number;
  readonly w: number;
  readonly facts: Pairs;
  readonly attributes: Pairs;
  readonly events: readonly { readonly name: string; readonly at: string; readonly attributes: Pairs }[];
  readonly links: readonly { readonly title: string; readonly attributes: Pairs }[];
}

type Pairs = readonly (readonly [key: string, value: string])[];

// A longer list is no help: the search finds traces too.
const mostLinks = 100;

function contents(sections: readonly Section[]): string {
  const items = sections
    .slice(0, mostLinks)
    .map(
      ({ name, took, failed }, index) =>
        `<li><a href="#trace-${index}">${escapeMarkup(name)}</a> ${took}${failed > 0 ? ` <span class="bad">${failed} failed</span>` : ""}</li>`,
    );
  if (sections.length > mostLinks) items.push(`<li>and ${sections.length - mostLinks} more</li>`);
  return `<nav aria-label="Traces"><ul class="traces">${items.join("")}</ul></nav>`;
}

function traceSection(trace: TraceTree, index: number): Section {
  const rows = toRows(trace);
  const path = criticalPath(trace);
  const onPath = new Map(path.map((step) => [step.node, step]));
  const duration = Number(trace.end - trace.start);
  // A microsecond of an orchestration that waited for ten days.
  const fraction = (time: bigint): number => (duration === 0 ? 0 : Number((Number(time) / duration).toFixed(12)));
  const place = (from: bigint, to: bigint): string => `--s:${fraction(from - trace.start)};--w:${fraction(to - from)}`;
  const failed = trace.nodes.filter((node) => node.failed).length;
  const marked = trace.nodes.filter((node) => marksOf(node).length > 0).length;
  const services = new Set(trace.nodes.flatMap((node) => serviceOf(node) ?? []));
  const took = formatDuration(trace.end - trace.start);
  const { name, instanceId } = subjectOf(trace);
  const used = new Set(rows.map(({ node }) => categoryOf(node)));

  const drawn = rows.map((row, at) => {
    const { node } = row;
    const share = onPath.get(node);
    const classes = ["row", categoryOf(node), ...(node.failed ? ["failed"] : [])].join(" ");
    const expanded = node.children.length > 0 ? ` aria-expanded="true"` : "";
    const marks = marksOf(node).map((mark) => `<span class="mark odd">${mark}</span>`);
    if (row.attempt !== "") marks.unshift(`<span class="mark">${row.attempt}</span>`);
    const below = node.children.length > 0 ? `<span class="more">${descendants(rows, at)} below</span>` : "";
    const critical = (share?.segments ?? []).map(([from, to]) => `<u style="${place(from, to)}"></u>`).join("");
    const edge = node.start === trace.end && duration > 0 ? ` class="edge"` : "";
    const notes = row.notes.map(
      ({ about, text }) => `<span class="note ${about === "failure" ? "bad" : "odd"}">${escapeMarkup(text)}</span>`,
    );
    return (
      `<div class="${classes}" role="row" aria-level="${row.depth + 1}"${expanded} tabindex="${at === 0 ? 0 : -1}" data-trace="${index}" data-span="${at}" style="--depth:${row.depth};${place(node.start, node.end ?? node.start)}">` +
      `<span class="name" role="rowheader"><span class="twist"></span>${node.failed ? `<span class="state" role="img" aria-label="failed">✗</span>` : ""}<b title="${escapeMarkup(row.name)}">${escapeMarkup(row.name)}</b>${marks.join("")}${below}</span>` +
      `<span class="kind" role="gridcell">${row.kind}</span><span class="start" role="gridcell">${row.start}</span><span class="took" role="gridcell">${row.took}</span>` +
      `<span class="lane" role="gridcell"><i${edge}></i>${critical}</span>${notes.join("")}</div>`
    );
  });
  const legend = Object.entries(categories)
    .filter(([category]) => used.has(category as keyof typeof categories))
    .map(([category, label]) => `<span class="${category}"><span class="lane"><i></i></span>${label}</span>`);
  const facts = [
    `<span>${plural(rows.length, "span", "spans")}</span>`,
    `<span>${took}</span>`,
    ...(failed > 0 ? [`<span class="bad">${failed} failed</span>`] : []),
    ...(marked > 0 ? [`<span class="odd">${marked} marked</span>`] : []),
    ...(services.size > 0 ? [`<span>${escapeMarkup([...services].join(", "))}</span>`] : []),
    `<span>${isoTime(trace.start)}</span>`,
    `<code>${escapeMarkup(trace.traceId)}</code>`,
  ];
  const markup = `<section class="trace" id="trace-${index}" aria-labelledby="name-${index}">
<h2 id="name-${index}">${escapeMarkup(name)}${instanceId === undefined ? "" : ` <small>${escapeMarkup(instanceId)}</small>`}</h2>
<p class="facts">${facts.join("")}</p>
<div class="grid" role="treegrid" aria-labelledby="name-${index}" aria-readonly="true">
<div class="row head" role="row"><span class="name" role="columnheader">Span<span class="grip"></span></span><span class="kind" role="columnheader">Kind</span><span class="start" role="columnheader">Start</span><span class="took" role="columnheader">Duration</span><span class="ruler" role="columnheader" aria-label="Time"></span></div>
<div class="body" role="rowgroup">
${drawn.join("\n")}
</div></div>
<div class="legend">${legend.join("")}${duration > 0 ? `<span><span class="lane"><u></u></span>critical path</span>` : ""}</div>
</section>`;
  const spans = rows.map((row) => spanFacts(row, trace, onPath.get(row.node)?.time, fraction));
  return { name: instanceId ?? name, failed, took, duration, spans, markup };
}

/** How many rows are below the row at `index`. */
function descendants(rows: readonly Row[], index: number): number {
  const depth = rows[index]?.depth ?? 0;
  let last = index + 1;
  while ((rows[last]?.depth ?? -1) > depth) last += 1;
  return last - index - 1;
}

function spanFacts(
  row: Row,
  trace: TraceTree,
  critical: bigint | undefined,
  fraction: (time: bigint) => number,
): SpanFacts {
  const { node } = row;
  const { span } = node;
  const scope = span.instrumentationScope;
  const share = critical === undefined || trace.end === trace.start ? undefined : fraction(critical) * 100;
  const pairs: (readonly [string, string | undefined])[] = [
    ["kind", row.kind],
    ["status", node.failed ? "error" : span.status?.code === statusCodeOk ? "ok" : "unset"],
    ["start", `${row.start} (${isoTime(node.start)})`],
    ["duration", row.took],
    [
      "critical path",
      share === undefined ? undefined : `${share.toFixed(1)} % of the trace, ${formatDuration(critical ?? 0n)}`,
    ],
    ["service", serviceOf(node)],
    ["scope", scope === undefined ? undefined : [scope.name, scope.version ?? ""].join(" ").trim()],
    ["span ID", node.spanId],
    ["parent ID", node.parentSpanId],
    ["parent's trace", node.parentTraceId],
  ];
  return {
    id: node.spanId,
    name: printable(node.name),
    kind: row.kind,
    message: node.failed ? printableLines(node.message ?? "") : "",
    notes: row.notes.filter(({ about }) => about === "parent").map(({ text }) => text),
    s: fraction(node.start - trace.start),
    w: fraction((node.end ?? node.start) - node.start),
    facts: pairs.flatMap(([key, value]) =>
      value === undefined || value === "" ? [] : [[key, printable(value)] as const],
    ),
    attributes: pairsOf(span.attributes),
    events: (span.events ?? []).map(({ name, time, attributes }) => {
      const at = nanoseconds(time);
      return {
        name: printable(name),
        at: at === undefined ? "?" : offsetText(at, trace),
        attributes: pairsOf(attributes),
      };
    }),
    links: (span.links ?? []).map(({ context, attributes }) => ({
      title: printable(`${context.spanId} of ${context.traceId === trace.traceId ? "this trace" : context.traceId}`),
      attributes: pairsOf(attributes),
    })),
  };
}

const statusCodeOk = 1;

function serviceOf({ span }: SpanNode): string | undefined {
  const name = span.resource?.attributes?.["service.name"];
  return typeof name === "string" ? name : undefined;
}

function pairsOf(attributes: Readonly<Record<string, unknown>> | undefined): Pairs {
  return Object.entries(attributes ?? {}).map(([key, value]) => [printable(key), printableLines(valueText(value))]);
}

function isoTime(time: bigint): string {
  const date = new Date(Number(time / 1_000_000n));
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString();
}
