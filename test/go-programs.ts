/**
 * Builds the programs in Go that the tests use, each from a folder with a `go.mod`. As a program of its own,
 * `node test/go-programs.ts`, it builds those that CI requires, as CI does while it checks other things.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

interface GoProgram {
  /** The folder of its `go.mod`. */
  readonly folder: string;
  /** The package to build, where it is not the folder itself. */
  readonly main?: string;
  readonly tags?: string;
  /** Whether CI builds it. */
  readonly isInCi: boolean;
}

export type ProgramName = "durabletask-go" | "dapr-durabletask-go" | "jaeger" | "prometheus" | "promtool";

const programs: Readonly<Record<ProgramName, GoProgram>> = {
  "durabletask-go": { folder: "engines/durabletask-go", isInCi: true },
  "dapr-durabletask-go": { folder: "engines/dapr-durabletask-go", isInCi: true },
  jaeger: { folder: "viewers/jaeger", main: "github.com/jaegertracing/jaeger/cmd/jaeger", isInCi: false },
  // Without the discovery of services, which nothing here needs, it is half as large.
  prometheus: {
    folder: "prometheus/prometheus-3",
    main: "github.com/prometheus/prometheus/cmd/prometheus",
    tags: "remove_all_sd,netgo",
    isInCi: false,
  },
  promtool: {
    folder: "prometheus/prometheus-3",
    main: "github.com/prometheus/prometheus/cmd/promtool",
    tags: "remove_all_sd,netgo",
    isInCi: false,
  },
};

const isSet = (name: string): boolean => process.env[name] !== undefined && process.env[name] !== "";
// To build a program takes minutes where Go has not built its modules yet, so that is done only if somebody wants it.
const isWanted = ({ isInCi }: GoProgram): boolean => process.env["ENGINES"] === "1" || (isInCi && isSet("CI"));
const cache =
  process.env["GO_PROGRAMS_CACHE"] ?? fileURLToPath(new URL("../node_modules/.cache/go-programs", import.meta.url));
// On two cores that have other work; an engine takes two minutes on two that have none.
const buildTimeout = 1_800_000;

/** Why a program is not there; no error, but a reason to skip what needs it. */
export class NotBuilt extends Error {}

/**
 * Builds a program unless that is done.
 *
 * @param must whether to build it; without, only if it was built before.
 * @returns its path.
 * @throws NotBuilt if it must not be built; any other error if there is no Go, or no network for its modules.
 */
export function build(name: ProgramName, must = true): string {
  const source = fileURLToPath(new URL(programs[name].folder, import.meta.url));
  const hash = createHash("sha256");
  for (const file of globSync(["go.mod", "go.sum", "*.go"], { cwd: source }).toSorted())
    hash.update(readFileSync(join(source, file)));
  const program = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;
  const [, version = ""] = /^go (\S+)$/m.exec(readFileSync(join(source, "go.mod"), "utf8")) ?? [];
  const go = `Go ${version} or newer`;
  if (!must) throw new NotBuilt(`set ENGINES=1 to build ${name}, which takes ${go} and some minutes`);
  mkdirSync(cache, { recursive: true });
  const lock = `${program}.lock`;
  if (!isFirst(lock)) return builtElsewhere(program, lock);
  try {
    return compile(name, source, program, go);
  } finally {
    rmSync(lock, { force: true });
  }
}

/**
 * The same for tests: builds it where `ENGINES=1` or, for what CI requires, CI is set. Elsewhere tests are skipped without the program: it says why
 * in one line, and returns `undefined`.
 */
export function buildOrSkip(name: ProgramName): string | undefined {
  try {
    return build(name, isWanted(programs[name]));
  } catch (error) {
    if (!(error instanceof NotBuilt)) throw error;
    console.warn(`The tests with ${name} are skipped: ${error.message}.`);
    return undefined;
  }
}

// Several test files start at once, and a build takes both cores for a minute.
function isFirst(lock: string): boolean {
  try {
    // One that was killed has left its lock.
    if (existsSync(lock) && Date.now() - statSync(lock).mtimeMs > buildTimeout) rmSync(lock, { force: true });
    closeSync(openSync(lock, "wx"));
    return true;
  } catch {
    return false;
  }
}

function builtElsewhere(program: string, lock: string): string {
  const slot = new Int32Array(new SharedArrayBuffer(4));
  for (const end = Date.now() + buildTimeout; existsSync(lock) && Date.now() < end;) Atomics.wait(slot, 0, 0, 100);
  if (!existsSync(program)) throw new Error(`Another process could not build ${basename(dirname(program))}.`);
  return program;
}

function compile(name: ProgramName, source: string, program: string, go: string): string {
  const output = `${program}.${process.pid}`;
  const { main = ".", tags = "" } = programs[name];
  const args = ["build", "-tags", tags, "-ldflags", "-s -w", "-o", output, main];
  const built = spawnSync("go", args, { cwd: source, encoding: "utf8", timeout: buildTimeout });
  if (built.error !== undefined)
    throw new Error(`${name} could not be built: \`go\` did not run (${built.error.message}). Install ${go}.`, {
      cause: built.error,
    });
  if (built.status !== 0)
    throw new Error(`${name} could not be built: ${built.stderr.trim().split("\n").slice(-3).join(" | ")}`);
  renameSync(output, program);
  return program;
}

if (import.meta.main) {
  for (const name of (Object.keys(programs) as ProgramName[]).filter((each) => programs[each].isInCi)) {
    const start = Date.now();
    try {
      console.log(`${build(name)} (${Math.round((Date.now() - start) / 1000)} s)`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    }
  }
}
