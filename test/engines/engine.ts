/**
 * Task hubs that other people wrote, as programs of their own on loopback: each folder beside this file that has a
 * `go.mod` embeds one. Go builds it at first use into `node_modules/.cache/engines`.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type EngineName = "durabletask-go";

export interface EngineOptions {
  /** The URL of a PostgreSQL database; without one the hub keeps its state in a SQLite database in memory. */
  readonly postgres?: string;
  /** The URL of an OTLP/HTTP receiver for the spans that the engine itself makes; it makes none without. */
  readonly otlp?: string;
  /** How long a hub that died keeps the work items that it had, as Go writes it: `2s`. */
  readonly lockTimeout?: string;
}

/** A running engine. */
export interface Engine extends AsyncDisposable {
  /** For `hostAddress`. */
  readonly address: string;
  /** Ends it well: its spans are exported. */
  stop(): Promise<void>;
  /** Ends it at once, with SIGKILL. */
  kill(): Promise<void>;
}

// To build an engine takes minutes where Go has not built its modules yet.
const must = process.env["ENGINES"] === "1";
const folder = fileURLToPath(new URL(".", import.meta.url));
const cache = fileURLToPath(new URL("../../node_modules/.cache/engines", import.meta.url));
const buildTimeout = 600_000;
const binaries = new Map<EngineName, string>();

/**
 * Builds an engine unless that is done, and tells whether it is there. Where there is no Go, or no network for its
 * modules, it says so in one line and returns `false`; where `ENGINES=1` is set, it throws.
 */
export function buildEngine(name: EngineName): boolean {
  if (binaries.has(name)) return true;
  try {
    binaries.set(name, build(name));
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (must) throw new Error(`The engine ${name} could not be built: ${reason}`, { cause: error });
    console.warn(`The tests with ${name} are skipped: ${reason}`);
    return false;
  }
}

function build(name: EngineName): string {
  const source = join(folder, name);
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum", "main.go"]) hash.update(readFileSync(join(source, file)));
  const binary = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(binary)) return binary;
  if (!must) throw new Error("set ENGINES=1 to build it, which takes Go and some minutes");
  mkdirSync(cache, { recursive: true });
  const lock = `${binary}.lock`;
  if (!isFirst(lock)) return builtElsewhere(binary, lock);
  try {
    return compile(source, binary);
  } finally {
    rmSync(lock, { force: true });
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

function builtElsewhere(binary: string, lock: string): string {
  const slot = new Int32Array(new SharedArrayBuffer(4));
  for (const end = Date.now() + buildTimeout; existsSync(lock) && Date.now() < end;) Atomics.wait(slot, 0, 0, 100);
  if (!existsSync(binary)) throw new Error("another process could not build it");
  return binary;
}

function compile(source: string, binary: string): string {
  const output = `${binary}.${process.pid}`;
  const built = spawnSync("go", ["build", "-o", output, "."], { cwd: source, encoding: "utf8", timeout: buildTimeout });
  if (built.error !== undefined)
    throw new Error(`\`go\` did not run (${built.error.message}). Install Go 1.24 or newer.`, { cause: built.error });
  if (built.status !== 0)
    throw new Error(`\`go build\` failed: ${built.stderr.trim().split("\n").slice(-3).join(" | ")}`);
  renameSync(output, binary);
  return binary;
}

/** Starts an engine on a free port. @throws Error with what it printed, if it ends instead. */
export async function startEngine(
  name: EngineName,
  { postgres, otlp, lockTimeout }: EngineOptions = {},
): Promise<Engine> {
  const binary = binaries.get(name);
  if (binary === undefined) throw new Error(`Call buildEngine("${name}") first.`);
  const args = [
    ...(postgres === undefined ? [] : ["-postgres", postgres]),
    ...(otlp === undefined ? [] : ["-otlp", new URL(otlp).host]),
    ...(lockTimeout === undefined ? [] : ["-lock-timeout", lockTimeout]),
  ];
  // Its input ends with this process, and so does it.
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"] });
  const address = await addressOf(child, name);
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  };
  return {
    address,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => end("SIGTERM"),
  };
}

async function addressOf(child: ChildProcess, name: EngineName): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      output = `${output}${line}\n`.slice(-4000);
      const [, address] = /^listening on (.+)$/.exec(line) ?? [];
      if (address !== undefined) resolve(address);
    });
  }
  child.once("error", reject);
  child.once("exit", (code, signal) => reject(new Error(`${name} ended at its start (${signal ?? code}): ${output}`)));
  return promise;
}
