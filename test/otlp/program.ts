/** Runs the small programs in `fixtures/` as processes of their own, as a user would. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProgram extends AsyncDisposable {
  /** Waits until `text` is on the standard output, and returns what is there by then. */
  printed(text: string): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Ends the program's standard input; programs that wait for that go on. */
  goOn(): void;
  readonly result: Promise<ProgramResult>;
}

export interface ProgramOptions {
  /** Variables of the program; it inherits none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Handed to the program as JSON. */
  readonly input?: unknown;
  readonly nodeArgs?: readonly string[];
}

/** Starts `fixtures/NAME.ts`. */
export function startProgram(
  name: string,
  { env = {}, input = {}, nodeArgs = [] }: ProgramOptions = {},
): RunningProgram {
  const file = fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, [...nodeArgs, file, JSON.stringify(input)], { env: { ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close");
  const finish = async (): Promise<ProgramResult> => {
    await closed;
    return { stdout, stderr, code: child.exitCode, signal: child.signalCode };
  };
  const result = finish();
  return {
    printed: async (text) => {
      while (!stdout.includes(text)) {
        const ended = await Promise.race([once(child.stdout, "data").then(() => false), result.then(() => true)]);
        if (ended && !stdout.includes(text))
          throw new Error(`The program ended without printing "${text}":\n${stdout}${stderr}`);
      }
      return stdout;
    },
    kill: (signal) => void child.kill(signal),
    goOn: () => void child.stdin.end(),
    result,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await result;
    },
  };
}

/** Runs `fixtures/NAME.ts` to its end, which must be a good one. */
export async function runProgram(name: string, options: ProgramOptions = {}): Promise<ProgramResult> {
  await using program = startProgram(name, options);
  program.goOn();
  const result = await program.result;
  if (result.code !== 0)
    throw new Error(`${name} ended with ${result.code ?? result.signal}:\n${result.stdout}${result.stderr}`);
  return result;
}
