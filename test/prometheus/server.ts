/** A real Prometheus server, as a child process, for as long as a test needs it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

/** Where a program is in PATH; `undefined` if it is not there. */
function programPath(name: string): string | undefined {
  const candidates = (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, name));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const prometheus = programPath("prometheus");
const promtool = programPath("promtool");

/** Whether the tests can run here. Where CI is set they must, and fail without the programs. */
export const isInstalled: boolean = prometheus !== undefined && promtool !== undefined;
const missing =
  "Prometheus (prometheus and promtool) is not in PATH; Debian and Ubuntu have it as the package `prometheus`.";
if (!isInstalled && !process.env["CI"]) console.warn(`${missing} Its tests are skipped.`);

/** One result of an instant query: a series' labels, and its value. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A rule that the server has loaded. */
export interface Rule {
  readonly type: "recording" | "alerting";
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

/** How a server is started. */
export interface PrometheusOptions {
  /** The program; the one in PATH by default. */
  readonly program?: string;
  /** Host and port that it scrapes. */
  readonly target?: string;
  /** The path of a file of rules. */
  readonly ruleFile: string;
  /** Sections of its configuration, such as `otlp`. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  readonly flags?: readonly string[];
}

/** A server that runs. */
export interface PrometheusServer extends AsyncDisposable {
  readonly url: string;
  /** Evaluates a query, at `time` (seconds since the epoch) or now. */
  query(query: string, time?: number): Promise<readonly Sample[]>;
  rules(): Promise<readonly Rule[]>;
  /** The values that a label has in some series. */
  labelValues(label: string, selector: string): Promise<readonly string[]>;
  /** Resolves with the time of the first good scrape that began after `time`, in seconds since the epoch. */
  scrapedAfter(time: number): Promise<number>;
  /** Asks again until `look` gives something, for a minute at most. */
  until<T>(what: string, look: () => Promise<T | undefined>): Promise<T>;
}

/** What `promtool` says about a file. */
export function check(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  if (promtool === undefined) throw new Error(missing);
  return checkWith(promtool, ...args);
}

/** What the `promtool` at a path says. */
export function checkWith(program: string, ...args: readonly string[]): ReturnType<typeof check> {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined) throw error;
  return { status, output: stdout + stderr };
}

const interval = "500ms";

/** Starts a server on loopback that evaluates a file of rules. */
export async function startPrometheus({
  program = prometheus,
  target,
  ruleFile,
  configuration: own = {},
  flags = [],
}: PrometheusOptions): Promise<PrometheusServer> {
  if (program === undefined) throw new Error(missing);
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-prometheus-"));
  const configuration = {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: [ruleFile],
    scrape_configs: target === undefined ? [] : [{ job_name: "worker", static_configs: [{ targets: [target] }] }],
    ...own,
  };
  // JSON is YAML.
  writeFileSync(join(directory, "prometheus.yml"), JSON.stringify(configuration));
  const child = spawn(
    program,
    ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0", ...flags],
    {
      cwd: directory,
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const closed = once(child, "close");
  const stop = async (): Promise<void> => {
    child.kill();
    await closed;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const url = await Promise.race([
      ready(child.stderr),
      once(child, "error").then(([error]) => Promise.reject(error as Error)),
      closed.then(([code]) => Promise.reject(new Error(`Prometheus ended with ${String(code)} before it was ready.`))),
    ]);
    return new Api(url, stop);
  } catch (error) {
    child.kill();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** Reads the log until the server says that it is ready; the port was its own choice. */
async function ready(log: NodeJS.ReadableStream): Promise<string> {
  let address: string | undefined;
  const lines: string[] = [];
  for await (const line of createInterface(log)) {
    lines.push(line);
    address ??= /msg="Listening on".* address=(\S+)/.exec(line)?.[1];
    if (address !== undefined && line.includes("Server is ready to receive web requests")) {
      // Nobody reads on, and a full pipe would stop the server.
      log.resume();
      return `http://${address}`;
    }
  }
  throw new Error(`Prometheus did not start:\n${lines.join("\n")}`);
}

class Api implements PrometheusServer {
  readonly url: string;
  readonly #stop: () => Promise<void>;

  constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
  }

  async query(query: string, time?: number): Promise<readonly Sample[]> {
    const { result } = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      "query",
      {
        query,
        ...(time === undefined ? {} : { time: String(time) }),
      },
    );
    return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  async rules(): Promise<readonly Rule[]> {
    const { groups } = await this.#get<{ groups: { rules: Rule[] }[] }>("rules", {});
    return groups.flatMap(({ rules }) => rules);
  }

  labelValues(label: string, selector: string): Promise<readonly string[]> {
    return this.#get(`label/${encodeURIComponent(label)}/values`, { "match[]": selector });
  }

  scrapedAfter(time: number): Promise<number> {
    return this.until("a scrape", async () => {
      const [[up], [at]] = await Promise.all([
        this.query('up{job="worker"}'),
        this.query('timestamp(up{job="worker"})'),
      ]);
      return up?.value === 1 && at !== undefined && at.value > time ? at.value : undefined;
    });
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      const found = await look();
      if (found !== undefined) return found;
      await delay(50);
    }
    throw new Error(`Prometheus did not come to ${what} in a minute.`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }

  async #get<T>(path: string, parameters: Record<string, string>): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string };
    if (status !== "success") throw new Error(`Prometheus refused ${JSON.stringify(parameters)}: ${error}`);
    return data;
  }
}
