/** A task hub that other people wrote, `microsoft/durabletask-go`, as a program of its own on loopback. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { build, buildOrSkip } from "../go-programs.ts";

export interface EngineOptions {
  /** The TCP port; any free one without. */
  readonly port?: number;
  /** The URL of a PostgreSQL database; without one the hub keeps its state in a SQLite database in memory. */
  readonly postgres?: string;
  /** The isolation level in PostgreSQL; its default is "read committed". */
  readonly isolation?: "repeatable read";
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

let program: string | undefined;

/** Builds the engine unless that is done, and tells whether it is there. @param must whether to build it in any case. */
export function buildEngine(must = false): boolean {
  program ??= must ? build("durabletask-go") : buildOrSkip("durabletask-go");
  return program !== undefined;
}

/** Starts an engine on a free port. @throws Error with what it printed, if it ends instead. */
export async function startEngine({
  port,
  postgres,
  isolation,
  otlp,
  lockTimeout,
}: EngineOptions = {}): Promise<Engine> {
  if (program === undefined) throw new Error("Call buildEngine() first.");
  const args = [
    ...(port === undefined ? [] : ["-port", String(port)]),
    ...(postgres === undefined ? [] : ["-postgres", postgres]),
    ...(isolation === undefined ? [] : ["-isolation", isolation]),
    ...(otlp === undefined ? [] : ["-otlp", new URL(otlp).host]),
    ...(lockTimeout === undefined ? [] : ["-lock-timeout", lockTimeout]),
  ];
  // Its input ends with this process, and so does it.
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const address = await addressOf(child);
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

/** Starts several, one after the other: those that share a database must not create its tables at once. */
export async function startEngines(count: number, options: EngineOptions): Promise<readonly Engine[]> {
  const engines: Engine[] = [];
  while (engines.length < count) engines.push(await startEngine(options));
  return engines;
}

async function addressOf(child: ChildProcess): Promise<string> {
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
  child.once("exit", (code, signal) =>
    reject(new Error(`The engine ended at its start (${signal ?? code}): ${output}`)),
  );
  return promise;
}
