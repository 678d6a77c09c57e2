import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { register, startBackend, tree, type Backend, type Ended } from "./app.ts";

// What the application calls over HTTP; it tells the headers that came.
const headers: Record<string, unknown>[] = [];
const server = createServer((request, response) => {
  headers.push({ path: request.url, traceparent: request.headers["traceparent"] });
  response.end();
});
let url = "";
beforeAll(async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(() => void server.close());

const preload = (name: string): readonly string[] => ["--import", new URL(`fixtures/${name}`, import.meta.url).href];

/** Runs an application whose tasks call others to its end. */
async function runCalls(
  backend: Backend,
  name: string,
  nodeArgs: readonly string[],
  durable?: object | false,
): Promise<Ended> {
  const setup = { durable, hook: name === "calls-esm.mts" };
  await using app = await backend.start(name, { nodeArgs, env: { SETUP: JSON.stringify(setup) }, args: [url] });
  const state = await backend.run("calls");
  expect(state?.serializedOutput).toBe('"done"');
  return await app.end();
}

const calls = [
  "GET CLIENT < activity:fetch SERVER",
  "GET CLIENT < activity:http SERVER",
  "GET CLIENT < orchestration:calls SERVER",
  "activity:fetch CLIENT < orchestration:calls SERVER",
  "activity:fetch SERVER < activity:fetch CLIENT",
  "activity:grpc CLIENT < orchestration:calls SERVER",
  "activity:grpc SERVER < activity:grpc CLIENT",
  "activity:http CLIENT < orchestration:calls SERVER",
  "activity:http SERVER < activity:http CLIENT",
  "grpc.TaskHubSidecarService/GetInstance CLIENT < activity:grpc SERVER",
  "orchestration:calls SERVER < root",
];
const applications = ["calls-cjs.cts", "calls-esm.mts"];

describe.concurrent("Beside the instrumentation of HTTP, fetch and gRPC", () => {
  it.each(applications)(
    "S5 a call by an activity is a child of the activity's span, one by an orchestrator is not repeated by replay, and the worker's own gRPC calls make no spans: %s",
    async (name) => {
      await using backend = await startBackend();
      await runCalls(backend, name, preload("node-sdk.mts"));
      expect(tree(backend.receiver.spans)).toEqual(calls);
    },
  );

  it.each(
    applications.flatMap((name) =>
      ["register, then NodeSDK", "NodeSDK, then register"].map((order) => [order, name] as const),
    ),
  )("the same with %s: %s", async (order, name) => {
    await using backend = await startBackend();
    const sdk = preload("node-sdk.mts");
    await runCalls(backend, name, order.startsWith("register") ? [...register, ...sdk] : [...sdk, ...register]);
    expect(tree(backend.receiver.spans)).toEqual(calls);
  });

  it.each(["loaded before register", "loaded after it"])(
    "instrumentation without a provider of its own, %s, records with register's",
    async (order) => {
      await using backend = await startBackend();
      const instrument = preload("no-provider.mts");
      const ended = await runCalls(
        backend,
        "calls-cjs.cts",
        order.includes("before") ? [...instrument, ...register] : [...register, ...instrument],
      );
      expect(ended.stderr).toBe("");
      expect(tree(backend.receiver.spans)).toEqual(calls);
    },
  );

  it("the worker's own gRPC calls make no spans without tracing, either; the application's do", async () => {
    await using backend = await startBackend();
    await runCalls(backend, "calls-cjs.cts", preload("node-sdk.mts"), { tracing: false });
    const rpcs = backend.receiver.spans.filter(({ name }) => name.startsWith("grpc."));
    expect(rpcs.map(({ name }) => name)).toEqual(["grpc.TaskHubSidecarService/GetInstance"]);
  });

  it("a worker that nobody decorates shows its calls: there is something to silence", async () => {
    await using backend = await startBackend();
    await runCalls(backend, "calls-cjs.cts", preload("node-sdk.mts"), false);
    const rpcs = new Set(backend.receiver.spans.map(({ name }) => name.replace("grpc.TaskHubSidecarService/", "")));
    expect([...rpcs]).toEqual(
      expect.arrayContaining(["Hello", "GetWorkItems", "CompleteOrchestratorTask", "CompleteActivityTask"]),
    );
  });
});

describe("Beside other providers", () => {
  it("a TracerProvider of SDK 2.x gets the same trace", async () => {
    await using backend = await startBackend();
    await runCalls(backend, "calls-cjs.cts", preload("sdk-2.mts"));
    expect(tree(backend.receiver.spans)).toEqual(calls);
  });

  it("none at all: the application runs as it would, and nothing is sent along", async () => {
    await using backend = await startBackend();
    headers.length = 0;
    expect(await runCalls(backend, "calls-cjs.cts", preload("no-provider.mts"))).toEqual({
      code: 0,
      signal: null,
      stdout: "started\n",
      stderr: "",
    });
    expect(backend.receiver.requests).toEqual([]);
    expect(headers.map(({ path }) => path)).toEqual(expect.arrayContaining(["/orchestrator", "/activity", "/fetch"]));
    expect(headers.filter(({ traceparent }) => traceparent !== undefined)).toEqual([]);
  });
});
