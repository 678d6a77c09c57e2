import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** A command that can be run. */
export interface TraceArguments {
  readonly files: readonly string[];
  readonly html: string | undefined;
  readonly svg: string | undefined;
  /** A trace ID, or how one begins. */
  readonly trace: string | undefined;
  /** How many traces are shown in full. */
  readonly limit: number;
  readonly remoteParents: ReadonlySet<string>;
  readonly json: boolean;
}

export type Command =
  | { readonly name: "trace"; readonly options: TraceArguments }
  | { readonly name: "help" }
  | { readonly name: "version" };

/** What is wrong with the arguments. */
export class UsageError extends Error {}

export const usage: string = `Usage: durable-telemetry trace FILE... [options]

Reports for each trace in the files whether it is whole, and why not; draws its waterfall; lists the steps of its
critical path, and what it waits for. FILE is OTLP JSON (of a collector's or an SDK's file exporter, one document or
lines) or Jaeger's JSON; - is the standard input.

  --html FILE          write an HTML page with the waterfalls
  --svg FILE           write a picture of them
  --json               print the report as JSON
  --trace ID           read only this trace; the ID's first digits suffice
  --limit N            show N traces in full: those that are not whole first, then those that wait, those with
                       failures, and the slowest (10 by default)
  --remote-parent ID   a span that was recorded elsewhere: its children are not orphans; repeat it for more
  --help, --version

Exit codes: 0 all traces are whole; 1 some are not; 2 wrong usage, or a file that could not be read or written.
`;

const options = {
  html: { type: "string" },
  svg: { type: "string" },
  json: { type: "boolean" },
  trace: { type: "string" },
  limit: { type: "string" },
  "remote-parent": { type: "string", multiple: true },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

/** @throws {UsageError} if the arguments are not those of a command. */
export function readArguments(args: readonly string[]): Command {
  const { values, positionals } = parsed(args);
  if (values.help === true) return { name: "help" };
  if (values.version === true) return { name: "version" };
  const [command, ...files] = positionals;
  if (command === undefined) throw new UsageError("Name a command: trace.");
  if (command !== "trace") throw new UsageError(`There is no command ${JSON.stringify(command)}. There is: trace.`);
  if (files.length === 0) throw new UsageError("Name a file with traces, or - for the standard input.");
  if (files.filter((file) => file === "-").length > 1) throw new UsageError("The standard input can be read once.");
  const { html, svg, json = false, limit, trace } = values;
  // A slip would cost the traces.
  const taken = new Set(files.map((file) => resolve(file)));
  for (const output of [html, svg]) {
    if (output === undefined) continue;
    if (taken.has(resolve(output))) throw new UsageError(`${output} would be overwritten: name another file.`);
    taken.add(resolve(output));
  }
  return {
    name: "trace",
    options: {
      files,
      html,
      svg,
      json,
      limit: limit === undefined ? 10 : wholeNumber(limit),
      trace: trace === undefined ? undefined : hexDigits("--trace", trace, 32),
      remoteParents: new Set(
        (values["remote-parent"] ?? []).map((id) => hexDigits("--remote-parent", id, 16).padStart(16, "0")),
      ),
    },
  };
}

function parsed(
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const unknown = /'(-[^'\s]*)/.exec(message)?.[1];
    if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || unknown === undefined) throw new UsageError(message);
    const known = Object.keys(options).map((name) => `--${name}`);
    throw new UsageError(`There is no option ${unknown}. There are: ${known.join(", ")}.`);
  }
}

function wholeNumber(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new UsageError(`--limit must be a whole number, not ${JSON.stringify(value)}.`);
  return Number(value);
}

function hexDigits(option: string, value: string, most: number): string {
  if (!/^[0-9a-f]+$/i.test(value) || value.length > most)
    throw new UsageError(`${option} must have hex digits, ${most} at most, not ${JSON.stringify(value)}.`);
  return value.toLowerCase();
}
