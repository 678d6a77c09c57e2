/** The programs of a test as processes of their own. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** A running program. */
export interface Program {
  /** The next line that it prints. @throws Error with its output, if it ends instead */
  line(): Promise<string>;
  /** Writes a line to it. */
  write(line: string): void;
  /** Ends its input, and waits until it has ended. @throws Error unless it ends well */
  end(): Promise<void>;
  /** Ends it at once, with SIGKILL. */
  kill(): Promise<void>;
}

/** Starts a program in this folder, or one with a path of its own. What it writes to stderr is a fault. */
export function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Program {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(process.execPath, [path, ...args], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = `${errors}${text}`.slice(-4000)));
  const closed = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async line() {
      const { value, done } = await lines.next();
      if (done !== true) return value;
      await closed;
      throw new Error(`${file} ended (${child.signalCode ?? child.exitCode}): ${errors}`);
    },
    write: (line) => void child.stdin.write(`${line}\n`),
    async end() {
      child.stdin.end();
      while ((await lines.next()).done !== true);
      await closed;
      if (child.exitCode !== 0 || errors !== "")
        throw new Error(`${file} ended with ${child.signalCode ?? child.exitCode}: ${errors}`);
    },
    async kill() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}
