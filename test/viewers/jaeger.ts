/** Jaeger, as a program of its own on loopback. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
const startTimeout = 60_000;

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
