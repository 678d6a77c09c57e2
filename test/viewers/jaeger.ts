/** Jaeger, as a program of its own on loopback. Go builds it at first use, from its module. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** A running Jaeger that keeps traces in memory. */
export interface Jaeger extends AsyncDisposable {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`, by the protocol. */
  readonly endpoints: Readonly<Record<"http/protobuf" | "grpc", string>>;
  /** The URL of its query API. */
  readonly query: string;
}

/** Where the command keeps what it builds. */
export const cache: string = fileURLToPath(new URL("../../node_modules/.cache/viewers", import.meta.url));
const source = fileURLToPath(new URL("jaeger", import.meta.url));
const program = "github.com/jaegertracing/jaeger/cmd/jaeger";
const [buildTimeout, startTimeout] = [30 * 60_000, 60_000];

/** Builds Jaeger unless that is done. @returns the binary's path @throws Error that says what is missing */
export function buildJaeger(): string {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) hash.update(readFileSync(join(source, file)));
  const binary = join(cache, `jaeger-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(binary)) return binary;
  console.log("Building Jaeger, which takes some minutes …");
  mkdirSync(cache, { recursive: true });
  const output = `${binary}.${process.pid}`;
  const { error, status, stderr } = spawnSync("go", ["build", "-ldflags", "-s -w", "-o", output, program], {
    cwd: source,
    encoding: "utf8",
    timeout: buildTimeout,
  });
  if (error !== undefined)
    throw new Error(`\`go\` did not run (${error.message}). Install Go 1.24 or newer.`, { cause: error });
  if (status !== 0)
    throw new Error(`\`go build ${program}\` failed: ${stderr.trim().split("\n").slice(-3).join(" | ")}`);
  renameSync(output, binary);
  return binary;
}

/** Starts Jaeger on free ports. @throws Error with what it printed, if it ends instead */
export async function startJaeger(binary: string): Promise<Jaeger> {
  // Another program may take a port between the look and the start.
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(binary);
    } catch (error) {
      if (attempt === 3 || !String(error).includes("address already in use")) throw error;
    }
  }
}

async function start(binary: string): Promise<Jaeger> {
  const [http, grpc, query, queryGrpc] = await freeAddresses(4);
  const folder = mkdtempSync(join(tmpdir(), "jaeger-"));
  const config = join(folder, "config.yaml");
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(configuration({ http, grpc, query, queryGrpc })));
  const child = spawn(binary, ["--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output = `${output}${text}`.slice(-2000)));
  const closed = once(child, "close");
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await closed;
    rmSync(folder, { recursive: true });
  };
  const url = `http://${query}`;
  for (const end = Date.now() + startTimeout; ;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      await stop();
      throw new Error(`Jaeger ended at its start (${child.signalCode ?? child.exitCode}): ${output.trim()}`);
    }
    if (await answers(`${url}/api/services`)) break;
    if (Date.now() > end) {
      await stop();
      throw new Error(`Jaeger did not answer within ${startTimeout / 1000} seconds: ${output.trim()}`);
    }
    await setTimeout(100);
  }
  return {
    endpoints: { "http/protobuf": `http://${http}`, grpc: `http://${grpc}` },
    query: url,
    [Symbol.asyncDispose]: stop,
  };
}

function configuration(at: Readonly<Record<"http" | "grpc" | "query" | "queryGrpc", string | undefined>>): object {
  return {
    service: {
      extensions: ["jaeger_storage", "jaeger_query"],
      pipelines: { traces: { receivers: ["otlp"], exporters: ["jaeger_storage_exporter"] } },
      telemetry: { metrics: { level: "none" }, logs: { level: "warn" } },
    },
    extensions: {
      jaeger_storage: { backends: { memory: { memory: { max_traces: 10_000 } } } },
      // Its own traces would go to whoever listens on port 4318.
      jaeger_query: {
        enable_tracing: false,
        storage: { traces: "memory" },
        http: { endpoint: at.query },
        grpc: { endpoint: at.queryGrpc },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: at.http }, grpc: { endpoint: at.grpc } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: "memory" } },
  };
}

async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const addresses = servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return addresses;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
