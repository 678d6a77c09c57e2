/**
 * Tries all set-ups, and writes the table in docs/distributions.md: `npm run distributions`. It installs a gigabyte and
 * takes a quarter of an hour. With words, `npm run distributions azure`, it tries the set-ups whose names contain one of them, and
 * keeps the rows of the others.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pack } from "./package.ts";
import { Project } from "./project.ts";
import { logsOf, metricsOf, stacks, versionOf, type Stack } from "./stacks.ts";
import { install, runWorkflow, type Installed, type Trial } from "./trial.ts";

const page = new URL("../../docs/distributions.md", import.meta.url);
const [begin, end] = ["<!-- distributions: npm run distributions -->", "<!-- /distributions -->"];
const head = [
  "| set-up | version | its SDK | what you do | traces | log records | metrics | adds | remarks |",
  "|---|---|---|---|---|---|---|---|---|",
];

const words = process.argv.slice(2).map((word) => word.toLowerCase());
const wanted = stacks.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.toLowerCase().includes(word)),
);

using tarball = await pack();
const tried = new Map<string, string>();
for (const stack of wanted) {
  console.error(`${stack.name} …`);
  const row = await rowOf(stack);
  console.error(row);
  tried.set(firstCell(stack), row);
}
const [before = "", rest = ""] = readFileSync(page, "utf8").split(begin);
const present = rest.split("\n");
const rows = stacks.flatMap(
  (stack) => tried.get(firstCell(stack)) ?? present.find((line) => line.startsWith(`| ${firstCell(stack)} |`)) ?? [],
);
writeFileSync(page, `${before}${begin}\n${[...head, ...rows].join("\n")}\n${rest.slice(rest.indexOf(end))}`);

function firstCell({ name, link }: Stack): string {
  return `[${name}](${link})`;
}

async function rowOf(stack: Stack): Promise<string> {
  const cells = [firstCell(stack), versionOf(stack), stack.sdk, stack.needed];
  using project = new Project();
  try {
    const installed = await install(project, stack, tarball.path);
    const trial = await runWorkflow(project, stack);
    return asRow([
      ...cells,
      traces(stack, trial),
      part(trial.logs, logsOf(stack)),
      part(trial.metrics, metricsOf),
      added(installed),
      remarks(stack, installed, trial),
    ]);
  } catch (error) {
    const [reason = ""] = String(error)
      .split("\n")
      .slice(1)
      .filter((line) => /error (code|ERESOLVE|notarget)/.test(line));
    return asRow([
      ...cells,
      "",
      "",
      "",
      "",
      `not installed: ${reason.replace(/^npm error /, "") || String(error).slice(0, 200)}`,
    ]);
  }
}

function asRow(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function traces({ orchestrations, signals }: Stack, { whole, absent, torn, orphans, tooShort }: Trial): string {
  if (!signals.traces && whole === 0) return "none of this package's";
  const problems = [
    torn > 0 ? `${torn} torn, ${orphans} orphans` : "",
    tooShort > 0 ? `${tooShort} too short` : "",
  ].filter((text) => text !== "");
  return [`${whole} of ${orchestrations} whole`, absent > 0 ? `${absent} left out` : "", ...problems]
    .filter((text) => text !== "")
    .join(", ");
}

function part(arrived: number, all: number): string {
  if (arrived === 0) return "none";
  return arrived === all ? `all (${all})` : `${arrived} of ${all}`;
}

function added({ packages, megabytes }: Installed): string {
  return `${packages} packages, ${megabytes.toFixed(1)} MB`;
}

function remarks(stack: Stack, { complaints, isCi, api }: Installed, { ended, lines, results }: Trial): string {
  return [
    stack.remarks,
    complaints.length > 0 ? "npm complains about peers" : "",
    isCi ? "" : "`npm ci` fails",
    api.length === 1 ? "" : `${api.length} copies of the API`,
    ended.code === 0 && results.length === stack.orchestrations ? "" : "the workflow does not run",
    lines.length > 0 ? `${lines.length} line${lines.length === 1 ? "" : "s"} printed` : "",
  ]
    .filter((text) => text !== "")
    .join("; ");
}
