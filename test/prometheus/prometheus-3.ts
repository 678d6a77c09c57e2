/**
 * Prometheus 3, which Debian does not have: it receives OTLP, and knows names with dots. Go builds it from the module that
 * `prometheus-3/go.mod` names, into `node_modules/.cache/prometheus`, where `ENGINES=1` asks for it: it takes minutes.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Prometheus3 {
  /** The paths of the programs. */
  readonly prometheus: string;
  readonly promtool: string;
}

const source = fileURLToPath(new URL("prometheus-3", import.meta.url));
const cache = fileURLToPath(new URL("../../node_modules/.cache/prometheus", import.meta.url));
const must = process.env["ENGINES"] === "1";

/** Its programs, if they are there or `ENGINES=1` is set. */
export function prometheus3(): Prometheus3 | undefined {
  const directory = join(
    cache,
    createHash("sha256")
      .update(readFileSync(join(source, "go.mod")))
      .digest("hex")
      .slice(0, 16),
  );
  const programs = { prometheus: join(directory, "prometheus"), promtool: join(directory, "promtool") };
  if (Object.values(programs).every((file) => existsSync(file))) return programs;
  if (!must) {
    console.warn(
      "The tests with Prometheus 3 are skipped: set ENGINES=1 to build it, which takes Go and some minutes.",
    );
    return undefined;
  }
  const unfinished = `${directory}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  // Without the discovery of services, which nothing here needs, it is half as large.
  const packages = Object.keys(programs).map((name) => `github.com/prometheus/prometheus/cmd/${name}`);
  const { status, stderr, error } = spawnSync(
    "go",
    ["build", "-tags", "remove_all_sd,netgo", "-ldflags", "-s -w", "-o", `${unfinished}/`, ...packages],
    { cwd: source, encoding: "utf8", timeout: 1_200_000 },
  );
  if (error !== undefined) throw new Error(`\`go\` did not run: ${error.message}`, { cause: error });
  if (status !== 0) throw new Error(`\`go build\` failed: ${stderr.trim().split("\n").slice(-3).join(" | ")}`);
  // Another test file may have been faster.
  if (existsSync(directory)) rmSync(unfinished, { recursive: true });
  else renameSync(unfinished, directory);
  return programs;
}
