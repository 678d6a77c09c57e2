/** `durable-telemetry`, as a process of its own, on the built package. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { root } from "../docs/markdown.ts";
import { inherited } from "../docs/workspace.ts";

export const program: string = fileURLToPath(new URL("dist/cli.mjs", root));

/** What a run ended with. */
export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The most memory that it had, in megabytes. */
  readonly memory: number;
}

/** How to run it. */
interface RunOptions {
  /** What is written to its standard input. */
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Options of Node.js. */
  readonly nodeOptions?: readonly string[];
}

const reportMemory = 'data:text/javascript,process.on("exit",()=>process.send?.(process.resourceUsage().maxRSS/1024))';

/** Runs it to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = spawn(process.execPath, [...(options.nodeOptions ?? []), "--import", reportMemory, program, ...args], {
    cwd: options.cwd,
    env: { ...inherited(), ...options.env },
    stdio: ["pipe", "pipe", "pipe", "ipc"],
  });
  let [stdout, stderr, memory] = ["", "", 0];
  child.on("message", (megabytes: number) => (memory = megabytes));
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin?.on("error", () => {}).end(options.input ?? "");
  await once(child, "close");
  return { code: child.exitCode, stdout, stderr, memory };
}

/** A line of OTLP JSON, as a file exporter writes it. */
export function otlpLine(spans: readonly unknown[]): string {
  const bytes = JsonTraceSerializer.serializeRequest(spans as ReadableSpan[]);
  return `${Buffer.from(bytes ?? []).toString()}\n`;
}
