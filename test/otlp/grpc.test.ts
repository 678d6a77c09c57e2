import { once } from "node:events";
import net, { createServer } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MockOtlpServer } from "@elastic/mockotlpserver";
import { trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { describe, expect, it, vi } from "vitest";
import { deadCollector, startHungCollector } from "./collectors.ts";
import { runProgram } from "./program.ts";

const env = { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };

// The receiver of the other tests sees bytes on HTTP; over gRPC it is the server's own decoding that is looked at.
async function startGrpcServer(): Promise<{
  readonly server: MockOtlpServer;
  readonly requests: unknown[];
  readonly metadata: unknown[];
}> {
  const requests: unknown[] = [];
  const metadata: unknown[] = [];
  const server = new MockOtlpServer({
    services: ["grpc"],
    grpcHostname: "127.0.0.1",
    grpcPort: 0,
    logLevel: "fatal",
    onTrace: (request) => requests.push(request),
    onMetrics: (request) => requests.push(request),
    onLogs: (request) => requests.push(request),
    onRequest: (request) => metadata.push(request.metadata?.getMap()),
  });
  await server.start();
  return { server, requests, metadata };
}

describe("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", () => {
  it.each([
    [
      "the option endpoint",
      (host: string) => ({ options: { endpoint: `http://${host}`, headers: { key: "code" } } }),
      () => ({}),
    ],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      () => ({}),
      (host: string) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://${host}`, OTEL_EXPORTER_OTLP_HEADERS: "key=code" }),
    ],
    [
      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT without a scheme",
      () => ({ options: { headers: { key: "code" } } }),
      (host: string) => ({
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: host,
        OTEL_EXPORTER_OTLP_INSECURE: "true",
        OTEL_EXPORTER_OTLP_HEADERS: "key=env",
      }),
    ],
  ])("sends spans and headers over gRPC to %s", async (_what, input, variables) => {
    const { server, requests, metadata } = await startGrpcServer();
    try {
      const host = server.grpcUrl?.host ?? "";
      await runProgram("emit-spans", { env: { ...env, ...variables(host) }, input: input(host) });
      expect(requests).toMatchObject([
        { resourceSpans: [{ scopeSpans: [{ spans: [{ name: "pay 0" }, { name: "order" }] }] }] },
      ]);
      expect(metadata).toMatchObject([{ key: "code" }]);
    } finally {
      await server.close();
    }
  });

  it("sends metrics and log records too, each with headers of its own", async () => {
    const { server, requests, metadata } = await startGrpcServer();
    try {
      const options = {
        endpoint: `http://${server.grpcUrl?.host}`,
        metrics: { headers: { key: "metrics" } },
        logs: { headers: { key: "logs" } },
      };
      await runProgram("emit-signals", { env, input: { options: { ...options, traces: false } } });
      expect(requests).toHaveLength(2);
      expect(requests).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ resourceMetrics: [expect.anything()] }),
          expect.objectContaining({ resourceLogs: [expect.anything()] }),
        ]),
      );
      expect(metadata).toEqual(
        expect.arrayContaining([expect.objectContaining({ key: "metrics" }), expect.objectContaining({ key: "logs" })]),
      );
      expect(JSON.stringify(requests)).toContain('"orders"');
      expect(JSON.stringify(requests)).toContain('"closing"');
    } finally {
      await server.close();
    }
  });

  it("K1 a dead collector costs one line", async () => {
    const endpoint = deadCollector;
    const { stderr } = await runProgram("in-flight", { env, input: { options: { endpoint, shutdownTimeout: 1000 } } });
    expect(stderr).toMatch(
      /^durable-telemetry: cannot export 2 spans to http:\/\/127\.0\.0\.1:\d+\/ \(.*ECONNREFUSED.*\); workflows go on without it\n$/,
    );
  });

  it("a collector that was down for long is tried every few seconds, so that one that is back is found", async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const endpoint = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const telemetry = setupOtlp({ endpoint, protocol: "grpc", metrics: false, logs: false, shutdownTimeout: 1 });
    // Two minutes, in seconds; sockets need real turns of the event loop.
    for (let second = 0; second < 120; second += 1) {
      trace.getTracer("test").startSpan("span").end();
      await vi.advanceTimersByTimeAsync(1000);
      for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    }
    vi.useRealTimers();
    await telemetry.shutdown();
    warn.mockRestore();
    server.close();
    expect(connections).toBeGreaterThan(15);
  });

  it("K1 a hung collector costs one line, and shutdown ends in time", async () => {
    await using collector = await startHungCollector();
    const { stderr, stdout } = await runProgram("in-flight", {
      env,
      input: { options: { endpoint: collector.url, shutdownTimeout: 500 } },
    });
    expect(stderr).toMatch(/^durable-telemetry: cannot confirm that 2 spans reached .+ \(Request timed out\); .+\n$/);
    expect(JSON.parse(stdout).shutdown).toBeLessThan(3000);
  });

  it("a wrong endpoint is reported and ignored", async () => {
    const { stderr } = await runProgram("emit-spans", {
      env: { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: "no address" },
      input: { options: { shutdownTimeout: 50 } },
    });
    expect(stderr).toMatch(
      /^durable-telemetry: OTEL_EXPORTER_OTLP_ENDPOINT="\[redacted\]" is ignored: it must be an address such as "http:\/\/localhost:4317"\n/,
    );
  });

  it.each([
    ["http://127.0.0.4", 80],
    ["http://127.0.0.4:80", 80],
    ["http://[::1]:80", 80],
    ["https://127.0.0.4", 443],
    ["http://127.0.0.4:4", 4],
  ])("connects with %s to port %i", async (endpoint, port) => {
    const connect = vi.spyOn(net, "connect");
    vi.spyOn(console, "warn").mockReturnValue(undefined);
    const telemetry = setupOtlp({ endpoint, protocol: "grpc", shutdownTimeout: 500, metrics: false, logs: false });
    trace.getTracer("test").startSpan("order").end();
    await telemetry.shutdown();
    expect(connect.mock.calls.map(([address]) => address)).toContainEqual(expect.objectContaining({ port }));
    vi.restoreAllMocks();
  });
});
