#!/usr/bin/env node
import { version } from "../version.ts";
import { readArguments, usage, UsageError } from "./arguments.ts";
import { traceCommand, type ExitCode, type Output } from "./trace-command.ts";

const output: Output = {
  out: (lines) => void process.stdout.write(`${lines}\n`),
  error: (lines) => void process.stderr.write(`${lines}\n`),
};

// Whoever reads the output may have read enough, as `head` does.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit();
  output.error(`durable-telemetry: The report can't be written: ${message}`);
  process.exit(2);
});
// There is nobody to tell, and the exit code says it.
process.stderr.on("error", () => {});

process.exitCode = await run(process.argv.slice(2));

async function run(args: readonly string[]): Promise<ExitCode> {
  try {
    const command = readArguments(args);
    if (command.name === "trace") return await traceCommand(command.options, output);
    output.out(command.name === "help" ? usage.trimEnd() : version);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    output.error(`durable-telemetry: ${error.message}\nTry: durable-telemetry --help`);
    return 2;
  }
}
