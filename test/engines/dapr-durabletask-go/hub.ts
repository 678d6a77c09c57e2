/** The engine of Dapr's sidecar as a program of its own on loopback, which Go builds at first use into `node_modules/.cache/engines`. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const cache = fileURLToPath(new URL("../../../node_modules/.cache/engines", import.meta.url));
// To build an engine takes minutes where Go has not built its modules yet.
const must = process.env["ENGINES"] === "1";

/**
 * Builds the engine unless that is done. Where there is no Go, or no network for its modules, says so in one line.
 *
 * @returns the path of the program; `undefined` if there is none.
 * @throws Error where CI is set and it can't be built.
 */
export function buildHub(): string | undefined {
  try {
    return build();
  } catch (error) {
    if (must) throw error;
    console.warn(`The tests on Dapr's engine are skipped: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function build(): string {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum", "main.go"]) hash.update(readFileSync(join(folder, file)));
  const program = join(cache, `dapr-durabletask-go-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;
  if (!must) throw new Error("set ENGINES=1 to build it, which takes Go 1.26 or newer and some minutes");
  mkdirSync(cache, { recursive: true });
  // Another process may build the same: the last to rename wins, with the same program.
  const output = `${program}.${process.pid}`;
  const built = spawnSync("go", ["build", "-o", output, "."], { cwd: folder, encoding: "utf8", timeout: 600_000 });
  if (built.error !== undefined)
    throw new Error(`go did not run (${built.error.message}); install Go 1.26 or newer`, { cause: built.error });
  if (built.status !== 0) throw new Error(`go build failed: ${built.stderr.trim().split("\n").slice(-3).join(" | ")}`);
  renameSync(output, program);
  return program;
}

/** A running engine. */
export interface Hub extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts the engine on a free port.
 *
 * @param otlp the URL of an OTLP/HTTP receiver for the engine's own spans; it makes none without.
 * @throws Error with what it printed, if it ends instead.
 */
export async function startHub(program: string, { otlp }: { readonly otlp?: string } = {}): Promise<Hub> {
  const child = spawn(program, otlp === undefined ? [] : ["-otlp", new URL(otlp).host], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      output = `${output}${line}\n`.slice(-4000);
      const [, port] = /^listening on .*:(\d+)$/.exec(line) ?? [];
      if (port !== undefined) resolve(Number(port));
    });
  }
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`The engine ended at its start (${signal ?? code}): ${output}`)),
  );
  return {
    port: await promise,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.stdin.end();
      await gone;
    },
  };
}
