/** The parts of `docs/dashboards.md` that are generated: what is recorded, what is shown, and the runbook of the alerts. */
import { alerts, defaults, recorded, rows } from "./catalogue.ts";
import { spellingOf } from "./spelling.ts";

const spelling = spellingOf("plain");

const parts: Readonly<Record<string, () => string>> = {
  recorded: () =>
    table(
      ["series", "what it tells"],
      recorded(spelling, defaults).map(({ name, description }) => [`\`${name}\``, description]),
    ),
  panels: () =>
    table(
      ["row", "panel", "what it shows, and what to do"],
      rows.flatMap(({ title, panels }) => panels.map((panel) => [title, panel.title, panel.description])),
    ),
  runbook: () =>
    alerts(spelling, defaults)
      .map(({ name, severity, meaning, steps }) =>
        [
          `### ${name}`,
          "",
          `Severity \`${severity}\`. ${meaning}`,
          "",
          ...steps.map((step, index) => `${index + 1}. ${step}`),
        ].join("\n"),
      )
      .join("\n\n"),
};

/** The page, with its generated parts as the catalogue has them now: each is between `<!-- NAME -->` and `<!-- end -->`. */
export function withGenerated(page: string): string {
  return Object.entries(parts).reduce((text, [name, generate]) => {
    const start = `<!-- ${name} -->\n`;
    const from = text.indexOf(start);
    const to = text.indexOf("\n<!-- end -->", from);
    if (from === -1 || to === -1) throw new Error(`The page has no part between ${start.trim()} and <!-- end -->.`);
    return text.slice(0, from + start.length) + generate() + text.slice(to);
  }, page);
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...lines.map(line)].join("\n");
}
