import { existsSync, readFileSync } from "node:fs";
import type { Profiler } from "node:inspector";
import { SourceMap, type SourceMapPayload } from "node:module";
import { dirname, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The time that a profile found in one function itself, without the functions that it calls. */
export interface SelfTime {
  readonly owner: string;
  /** The source file; for what is not this package's, the file as it is installed. */
  readonly file: string;
  readonly line: number;
  readonly name: string;
  /** In microseconds. */
  time: number;
}

/** The self time of each function in a profile, the longest first; time when the process was idle is left out. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): readonly SelfTime[] {
  const byNode = new Map<number, number>();
  samples.forEach((id, index) => byNode.set(id, (byNode.get(id) ?? 0) + (timeDeltas[index] ?? 0)));
  const byFunction = new Map<string, SelfTime>();
  for (const { id, callFrame } of nodes) {
    const { url, functionName, lineNumber, columnNumber } = callFrame;
    const time = byNode.get(id) ?? 0;
    if (time === 0 || functionName === "(idle)" || url === "node:inspector") continue;
    const key = `${functionName} ${url} ${lineNumber}`;
    const known = byFunction.get(key);
    if (known !== undefined) known.time += time;
    else
      byFunction.set(key, {
        ...originOf(url, functionName, lineNumber + 1, columnNumber),
        name: functionName || "(anonymous)",
        time,
      });
  }
  return [...byFunction.values()].toSorted((a, b) => b.time - a.time);
}

const owners: readonly (readonly [prefix: string, owner: string])[] = [
  ["@opentelemetry/", "OpenTelemetry"],
  ["@microsoft/durabletask-js/", "Durable Task SDK"],
  ["@grpc/", "gRPC"],
];

function originOf(
  url: string,
  functionName: string,
  line: number,
  column: number,
): Pick<SelfTime, "owner" | "file" | "line"> {
  if (functionName === "(garbage collector)") return { owner: "garbage collector", file: functionName, line };
  if (!url.startsWith("file:") && !url.startsWith("/"))
    return { owner: "Node.js and V8", file: url || functionName, line };
  const path = url.startsWith("file:") ? fileURLToPath(url) : url;
  if (dirname(path) === import.meta.dirname)
    return { owner: "benchmark", file: path.slice(import.meta.dirname.length + 1), line };
  const [, installed] = path.split(`${sep}node_modules${sep}`);
  if (installed === undefined) return { owner: "durable-telemetry", ...sourceOf(path, line, column) };
  return {
    owner: owners.find(([prefix]) => installed.startsWith(prefix))?.[1] ?? "other packages",
    file: installed,
    line,
  };
}

const sourceMaps = new Map<string, SourceMap | undefined>();

/** Where a line of a file in dist comes from, if the build has source maps. */
function sourceOf(path: string, line: number, column: number): Pick<SelfTime, "file" | "line"> {
  if (!sourceMaps.has(path)) {
    const map = `${path}.map`;
    sourceMaps.set(
      path,
      existsSync(map) ? new SourceMap(JSON.parse(readFileSync(map, "utf8")) as SourceMapPayload) : undefined,
    );
  }
  const entry = sourceMaps.get(path)?.findEntry(line - 1, column);
  if (entry === undefined || !("originalSource" in entry)) return { file: path, line };
  const source = entry.originalSource.replace(/^(\.\.\/)+/, "");
  return { file: source, line: entry.originalLine + 1 };
}
