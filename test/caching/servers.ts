/** Real stores, as child processes on loopback for as long as a test needs them. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";

/** A server that can be killed and started again on the same port, with the data that it has on disk. */
export interface StoreServer extends AsyncDisposable {
  readonly port: number;
  /** Resolves when it is gone, as after a power cut. */
  kill(): Promise<void>;
  /** Resolves when it takes connections. */
  start(): Promise<void>;
}

function find(program: string): string | undefined {
  // Debian keeps PostgreSQL's programs out of PATH.
  const debian = globSync(`/usr/lib/postgresql/*/bin/${program}`);
  const inPath = (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((directory) => (directory === "" ? [] : globSync(join(directory, program))));
  return [...debian, ...inPath][0];
}

const redis = find("redis-server");
const [postgres, initdb] = [find("postgres"), find("initdb")];
const must = process.env["CI"] !== undefined && process.env["CI"] !== "";

/** Whether tests with Redis are skipped, and those with PostgreSQL: never where CI is set, where they then fail. */
export const skipRedis: boolean = redis === undefined && !must;
export const skipPostgres: boolean = (postgres === undefined || initdb === undefined) && !must;
if (skipRedis)
  console.warn(
    "redis-server is not in PATH: its tests are skipped. Debian and Ubuntu have it as the package `redis-server`.",
  );
if (skipPostgres)
  console.warn(
    "PostgreSQL (postgres and initdb) is not there: its tests are skipped. Debian and Ubuntu have it as the package `postgresql`.",
  );

async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  await once(server.close(), "close");
  if (typeof address !== "object" || address === null) throw new Error("There is no free port.");
  return address.port;
}

interface Program {
  readonly command: string;
  readonly args: (port: number) => readonly string[];
  /** What it prints when it takes connections. */
  readonly ready: string;
  readonly directory: string;
  readonly as?: { readonly uid: number; readonly gid: number } | undefined;
}

async function serve({ command, args, ready, directory, as }: Program): Promise<StoreServer> {
  const port = await freePort();
  let child: ChildProcess | undefined;
  const server: StoreServer = {
    port,
    async start() {
      // With what it serves its data from in the child's own group, it dies as one.
      const started = spawn(command, args(port), {
        cwd: directory,
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
        ...as,
      });
      child = started;
      let output = "";
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      for (const stream of [started.stdout, started.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          output += `${line}\n`;
          if (line.includes(ready)) resolve();
        });
      }
      started.once("error", reject);
      started.once("exit", () => reject(new Error(`${command} ended: ${output}`)));
      await promise;
    },
    async kill() {
      if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      process.kill(-child.pid, "SIGKILL");
      await gone;
    },
    async [Symbol.asyncDispose]() {
      await server.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

/** Starts Redis, with nothing on disk. */
export async function startRedis(): Promise<StoreServer & { readonly url: string }> {
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-redis-"));
  const server = await serve({
    command: redis ?? "redis-server",
    args: (port) => ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
    ready: "Ready to accept connections",
    directory,
  });
  return {
    ...server,
    url: `redis://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Starts PostgreSQL with a new database. */
export async function startPostgres(): Promise<StoreServer & { readonly url: string }> {
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-postgres-"));
  const as = unprivileged();
  if (as !== undefined) chownSync(directory, as.uid, as.gid);
  const made = spawnSync(
    initdb ?? "initdb",
    ["-D", join(directory, "data"), "-U", "cache", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
    {
      cwd: directory,
      encoding: "utf8",
      ...as,
    },
  );
  if (made.error !== undefined || made.status !== 0) throw made.error ?? new Error(made.stderr);
  const command = initdb === undefined ? "postgres" : join(dirname(initdb), "postgres");
  const server = await serve({
    command,
    args: (port) => ["-D", join(directory, "data"), "-p", String(port), "-h", "127.0.0.1", "-k", directory],
    ready: "database system is ready to accept connections",
    directory,
    as,
  });
  return {
    ...server,
    url: `postgresql://cache@127.0.0.1:${server.port}/postgres`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

// PostgreSQL refuses to run as root.
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(spawnSync("id", [flag, "nobody"], { encoding: "utf8" }).stdout);
  return { uid: id("-u"), gid: id("-g") };
}
