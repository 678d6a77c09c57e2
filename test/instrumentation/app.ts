/** Runs the applications in `fixtures/` as processes of their own, against a hub and a receiver in this one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { NoOpLogger, TaskHubGrpcClient, type OrchestrationState } from "@microsoft/durabletask-js";
import { startLocalSidecar } from "../../src/testing/sidecar/index.ts";
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from "../otlp/receiver.ts";

/** How an application ended, and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An application that runs. */
export interface App extends AsyncDisposable {
  /** Waits until `text` is on the standard output. */
  printed(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Has the application stop its worker and come to its end. */
  end(): Promise<Ended>;
  readonly ended: Promise<Ended>;
}

/** How an application is started. */
export interface AppOptions {
  readonly nodeArgs?: readonly string[];
  /** Its variables; it inherits none. */
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Where its command line is; by default the repository. */
  readonly cwd?: string;
}

/** A task hub and a receiver that belong to one test, so that tests may run side by side. */
export interface Backend extends AsyncDisposable {
  /** Where the hub is. */
  readonly address: string;
  readonly receiver: OtlpReceiver;
  /**
   * Starts an application on the hub, exporting to the receiver, with zero-code telemetry unless `nodeArgs` say
   * otherwise; waits until its worker has started.
   */
  start(name: string, options?: AppOptions): Promise<App>;
  /** Runs an orchestration to its end. */
  run(name: string): Promise<OrchestrationState | undefined>;
}

/** Starts a {@link Backend}. */
export async function startBackend(): Promise<Backend> {
  const receiver = await startReceiver();
  const sidecar = await startLocalSidecar();
  const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger: new NoOpLogger() });
  return {
    address: sidecar.address,
    receiver,
    async start(name, { nodeArgs = register, env, args = [], ...options } = {}) {
      const app = startApp(name, {
        ...options,
        nodeArgs,
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_NODE_RESOURCE_DETECTORS: "none", ...env },
        args: [sidecar.address, ...args],
      });
      await app.printed("started");
      return app;
    },
    run: async (name) => client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration(name), true, 25),
    async [Symbol.asyncDispose]() {
      await client.stop();
      await sidecar.close();
      await receiver.close();
    },
  };
}

/** The command line of zero-code telemetry. */
export const register: readonly string[] = ["--import", "durable-telemetry/register"];

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Starts `fixtures/NAME`, or a file by its URL. */
export function startApp(name: string, { nodeArgs = [], env = {}, args = [], cwd = root }: AppOptions = {}): App {
  const file = fileURLToPath(new URL(name, new URL("fixtures/", import.meta.url)));
  return startCommand(process.execPath, [...nodeArgs, file, ...args], cwd, env);
}

/** Starts a program; it inherits no variables. */
export function startCommand(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): App {
  const child = spawn(command, args, { cwd, env: { ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, signal: child.signalCode, stdout, stderr }));
  return {
    async printed(text) {
      while (!stdout.includes(text)) {
        const isOver = await Promise.race([once(child.stdout, "data").then(() => false), ended.then(() => true)]);
        if (isOver && !stdout.includes(text))
          throw new Error(`The application ended without printing "${text}":\n${stdout}${stderr}`);
      }
    },
    kill: (signal) => void child.kill(signal),
    end: () => {
      child.stdin.end();
      return ended;
    },
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** One line for each span: its name and kind, then its parent's; sorted. A parent that is not there is `missing`. */
export function tree(spans: readonly ReceivedSpan[]): readonly string[] {
  const byId = new Map(spans.map((span) => [`${span.traceId} ${span.spanId}`, span]));
  const parentOf = ({ traceId, parentSpanId }: ReceivedSpan): string => {
    if (parentSpanId === undefined) return "root";
    const parent = byId.get(`${traceId} ${parentSpanId}`);
    return parent === undefined ? "missing" : `${parent.name} ${parent.kind}`;
  };
  return spans.map((span) => `${span.name} ${span.kind} < ${parentOf(span)}`).toSorted();
}

/** The trace of the applications' orchestration `main`, when it is whole. */
export const wholeTrace: readonly string[] = [
  "activity:step CLIENT < orchestration:main SERVER",
  "activity:step CLIENT < orchestration:main SERVER",
  "activity:step SERVER < activity:step CLIENT",
  "activity:step SERVER < activity:step CLIENT",
  "orchestration:main SERVER < root",
];
