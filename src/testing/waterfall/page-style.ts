import { dark, light } from "./colors.ts";

const colors = [
  ...(["background", "raised", "text", "quiet", "line", "failed", "warning"] as const).map(
    (name) => `--${name}:light-dark(${light[name]},${dark[name]});`,
  ),
  ...Object.entries(light.bars).map(
    ([category, color]) => `--${category}:light-dark(${color},${dark.bars[category as keyof typeof dark.bars]});`,
  ),
].join("");

/** The style sheet of the HTML page. Bars end just outside of their lane: browsers can't place what is millions of pixels long. */
export const pageStyle: string = `
:root { color-scheme: light dark; ${colors}
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; --row: 26px; }
:root[data-theme=light] { color-scheme: light; }
:root[data-theme=dark] { color-scheme: dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--background); color: var(--text); font: 14px/1.45 var(--sans); }
button, input { font: inherit; color: inherit; background: var(--background); border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; }
button { cursor: pointer; }
button:hover { background: var(--raised); }
:focus-visible { outline: 2px solid var(--orchestration); outline-offset: 1px; }
[hidden] { display: none !important; }
h1, h2, h3, p, ul, dl, dd, ol { margin: 0; padding: 0; }
.top { position: sticky; top: 0; z-index: 3; height: 53px; display: flex; align-items: center; gap: 8px; padding: 0 24px; background: var(--background); border-bottom: 1px solid var(--line); }
.top h1 { font-size: 14px; font-weight: 600; margin-right: auto; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.top input { width: 240px; }
.top output { min-width: 62px; color: var(--quiet); font-size: 12px; font-variant-numeric: tabular-nums; }
.group { display: inline-flex; }
.group button { border-radius: 0; margin-left: -1px; min-width: 34px; }
.group button:first-child { border-radius: 6px 0 0 6px; margin: 0; }
.group button:last-child { border-radius: 0 6px 6px 0; }
main { padding: 8px 24px 40px; }
body.open main, body.open footer { margin-right: 400px; }
.traces { padding-top: 14px; display: flex; flex-wrap: wrap; gap: 6px 18px; list-style: none; font-size: 13px; }
.traces a { color: inherit; text-underline-offset: 3px; text-decoration-color: var(--quiet); }
.trace { padding-top: 20px; scroll-margin-top: 44px; }
.trace h2 { font-size: 20px; line-height: 1.3; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; }
.trace h2 small { font: 400 14px/1.3 var(--mono); letter-spacing: 0; color: var(--quiet); margin-left: 6px; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 4px 0 14px; color: var(--quiet); font-size: 13px; }
.facts code { font: 12px/1.6 var(--mono); }
.bad { color: var(--failed); } .odd { color: var(--warning); }
.grid { --from: 0; --zoom: 1; position: relative; }
.row { display: grid; grid-template-columns: var(--names, 400px) 72px 84px 84px minmax(160px, 1fr); grid-template-rows: var(--row); align-items: center; min-height: var(--row); border-radius: 4px; cursor: default; scroll-margin: 100px 0 40px; content-visibility: auto; contain-intrinsic-height: auto var(--row); }
.row > * { min-width: 0; }
.body .row { background: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px 14px) 12px 0 / calc(min(var(--depth, 0), 16) * 14px) 100% no-repeat; }
.body .row:hover { background-color: var(--raised); }
.body .row.selected { background-color: color-mix(in srgb, var(--orchestration) 13%, var(--background)); }
.row.dim > * { opacity: .38; }
.row.hit .name b { text-decoration: underline 2px var(--orchestration); text-underline-offset: 3px; }
.head { position: sticky; top: 53px; z-index: 2; background: var(--background); border-bottom: 1px solid var(--line); border-radius: 0; color: var(--quiet); font-size: 12px; content-visibility: visible; }
.head .start, .head .took { text-align: right; padding-right: 12px; }
.name { align-self: stretch; display: flex; align-items: center; gap: 6px; padding-right: 8px; white-space: nowrap; overflow: hidden; padding-left: calc(min(var(--depth, 0), 16) * 14px + 4px); }
.name b { font: 12.5px/1.4 var(--mono); font-weight: 450; overflow: hidden; text-overflow: ellipsis; }
.twist { flex: none; width: 16px; height: 16px; display: grid; place-items: center; border-radius: 4px; color: var(--quiet); }
.row[aria-expanded] .twist { cursor: pointer; }
.row[aria-expanded] .twist::before { content: ""; border: 4px solid transparent; border-left: 6px solid currentColor; border-right: 0; }
.row[aria-expanded=true] .twist::before { transform: rotate(90deg); }
.row[aria-expanded=false] .more { display: inline; }
.more { display: none; color: var(--quiet); font-size: 11px; }
.mark { flex: none; font-size: 11px; line-height: 16px; padding: 0 6px; border: 1px solid currentColor; border-radius: 9px; color: var(--quiet); }
.mark.odd { color: var(--warning); }
.failed .name b, .failed .state { color: var(--failed); }
.state { flex: none; font-weight: 700; }
.kind { color: var(--quiet); font-size: 12px; }
.start, .took { text-align: right; padding-right: 12px; font-size: 12px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.start { color: var(--quiet); }
.lane { position: relative; align-self: stretch; overflow: hidden; background: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px var(--step, 200%)) var(--phase, 0) 0; }
.lane i, .lane u { position: absolute; left: clamp(-4px, (var(--s) - var(--from)) * var(--zoom) * 100%, 100% + 4px); right: clamp(-4px, (1 - (var(--s) + var(--w) - var(--from)) * var(--zoom)) * 100%, 100% + 4px); }
.lane i { top: calc(var(--row) / 2 - 6px); height: 12px; min-width: 3px; border-radius: 2px; background: var(--bar); }
.lane i.edge { transform: translateX(-3px); }
.lane u { bottom: 1px; height: 2px; min-width: 1px; background: var(--text); opacity: .75; }
.orchestration { --bar: var(--orchestration); } .activity { --bar: var(--activity); } .event { --bar: var(--event); }
.code { --bar: var(--code); } .scheduled { --bar: var(--scheduled); } .wait { --bar: var(--wait); }
.row.failed { --bar: var(--failed); }
.scheduled .lane i { top: calc(var(--row) / 2 - 3px); height: 6px; }
.wait .lane i { top: calc(var(--row) / 2 - 5px); height: 10px; border: 1px solid var(--bar); background: repeating-linear-gradient(115deg, var(--bar) 0 3px, transparent 3px 6px); }
.note { grid-column: 1 / -1; padding: 0 8px 4px calc(min(var(--depth, 0), 16) * 14px + 26px); font-size: 12px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ruler { position: relative; height: 30px; overflow: hidden; cursor: col-resize; touch-action: none; user-select: none; font-size: 11px; font-variant-numeric: tabular-nums; }
.ruler span { position: absolute; bottom: 3px; padding-left: 4px; border-left: 1px solid var(--line); height: 16px; white-space: nowrap; }
.ruler mark { position: absolute; top: 0; bottom: 0; background: var(--orchestration); opacity: .25; }
.grip { position: absolute; right: 0; top: 4px; bottom: 4px; width: 9px; cursor: ew-resize; border-right: 2px solid var(--line); touch-action: none; }
.head .name { position: relative; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 14px; color: var(--quiet); font-size: 12px; }
.legend span { display: inline-flex; align-items: center; gap: 7px; }
.legend .lane { background: none; width: 18px; height: 16px; --row: 16px; --s: 0; --w: 1; --from: 0; --zoom: 1; }
#details { position: fixed; z-index: 4; top: 53px; right: 0; bottom: 0; width: 400px; overflow: auto; padding: 16px 20px 32px; background: var(--background); border-left: 1px solid var(--line); box-shadow: 0 8px 24px rgb(0 0 0 / .08); }
#details h2 { font: 600 14px/1.4 var(--mono); overflow-wrap: anywhere; padding-right: 40px; }
#details h3 { font-size: 12px; font-weight: 600; margin: 20px 0 6px; color: var(--quiet); }
#details .close { position: absolute; right: 12px; top: 12px; padding: 2px 9px; }
#details dl { display: grid; grid-template-columns: minmax(90px, 2fr) 3fr; font-size: 12.5px; }
#details dt, #details dd { padding: 4px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
#details dt { color: var(--quiet); padding-right: 12px; }
#details dd { font: 12px/1.5 var(--mono); white-space: pre-wrap; }
#details dl.wide { display: block; }
#details dl.wide dt { padding-bottom: 0; }
#details dl.wide dd { padding-top: 0; border-top: 0; }
#details .said { margin-top: 10px; padding: 8px 10px; border-left: 3px solid var(--failed); background: var(--raised); overflow-wrap: anywhere; white-space: pre-wrap; }
#details .said.odd { border-color: var(--warning); color: inherit; }
footer { padding: 0 24px 28px; color: var(--quiet); font-size: 12px; }
kbd { font: 11px/1 var(--mono); padding: 1px 5px; border: 1px solid var(--line); border-radius: 4px; }
footer span { display: inline-block; margin-right: 14px; }
@media (max-width: 1000px) {
  .row { grid-template-columns: var(--names, 300px) 84px minmax(120px, 1fr); }
  .kind, .start { display: none; }
  body.open main, body.open footer { margin-right: 0; margin-bottom: 46vh; }
  body.open .row { scroll-margin-bottom: 47vh; }
  #details { top: auto; left: 0; width: auto; height: 44vh; border: 0; border-top: 1px solid var(--line); }
}
@media (max-width: 640px) { .top h1, .top output { display: none; } .top input { flex: 1; min-width: 0; } .top, main, footer { padding-left: 12px; padding-right: 12px; } .row { grid-template-columns: var(--names, 46vw) 76px minmax(80px, 1fr); } }
@media print { .top, #details, footer { display: none !important; } .head { position: static; } .row { content-visibility: visible; } * { print-color-adjust: exact; } }
`.replaceAll(/\n\s*/g, "\n");
