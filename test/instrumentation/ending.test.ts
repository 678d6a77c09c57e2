import { describe, expect, it } from "vitest";
import { deadCollector, startHungCollector } from "../otlp/collectors.ts";
import { startReceiver } from "../otlp/receiver.ts";
import { register, startApp, startBackend } from "./app.ts";

const timeout = { DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT: "500" };
// Stopping a worker takes a second; what telemetry added once, again and again, was 20 seconds.
const soon = 6000;
// Nobody knows what a collector that is silent has taken.
const lost = (items: string, cause: string): RegExp =>
  new RegExp(
    `durable-telemetry: ${cause === "Request timed out" ? `cannot confirm that \\d+ ${items} reached` : `cannot export \\d+ ${items} to`} http\\S+ \\(${cause}\\)`,
  );

async function collectors(): Promise<
  AsyncDisposable & { readonly cases: readonly (readonly [url: string, cause: string])[] }
> {
  const hung = await startHungCollector();
  const dead = deadCollector;
  return {
    cases: [
      [hung.url, "Request timed out"],
      [dead, "ECONNREFUSED|Request timed out"],
    ],
    [Symbol.asyncDispose]: () => hung[Symbol.asyncDispose](),
  };
}

describe.concurrent("K3 with a collector that hangs or is down, telemetry holds the end of a process for shutdownTimeout altogether, and says what is lost", () => {
  it.each([
    ["SIGTERM that nobody listens to", ["none"], { code: null, signal: "SIGTERM" }],
    ["a listener to SIGTERM that stops the worker", ["graceful"], { code: 0, signal: null }],
    ["a listener to SIGTERM that stops the worker and calls process.exit()", ["exit"], { code: 3, signal: null }],
  ])("%s", async (_, args, end) => {
    await using backend = await startBackend();
    await using set = await collectors();
    await Promise.all(
      set.cases.map(async ([url, cause]) => {
        await using app = await backend.start("at-signal.mts", {
          args: [...args, "span"],
          env: { ...timeout, OTEL_EXPORTER_OTLP_ENDPOINT: url },
        });
        const asked = performance.now();
        app.kill("SIGTERM");
        const ended = await app.ended;
        expect(ended).toMatchObject(end);
        expect(performance.now() - asked).toBeLessThan(soon);
        expect(ended.stderr).toMatch(lost("spans?", cause));
      }),
    );
  });

  it("several workers that stop one after the other", async () => {
    await using backend = await startBackend();
    await using set = await collectors();
    await Promise.all(
      set.cases.map(async ([url, cause]) => {
        await using app = await backend.start("workers.mts", {
          env: { DURABLE_TELEMETRY_SHUTDOWN_TIMEOUT: "2000", OTEL_EXPORTER_OTLP_ENDPOINT: url },
        });
        const started = performance.now();
        const ended = await app.ended;
        expect(ended).toMatchObject({ code: 0, signal: null });
        // Three seconds are the workers' own; two for each would be nine.
        expect(performance.now() - started).toBeLessThan(8000);
        expect(ended.stderr).toMatch(lost("spans?", cause));
      }),
    );
  });

  it.each(["SIGTERM", "SIGINT"] as const)(
    "%s: what worker threads have recorded is exported before the process ends by it",
    async (signal) => {
      await using receiver = await startReceiver();
      await using app = startApp("threads.mts", {
        nodeArgs: register,
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "60000" },
      });
      await app.printed("started");
      app.kill(signal);
      expect(await app.ended).toMatchObject({ code: null, signal, stderr: "" });
      expect(receiver.spans.map(({ name }) => name).toSorted()).toEqual(["in thread 1", "in thread 2"]);
    },
  );

  it("what is recorded after a microtask in beforeExit is exported, and the event comes as often as without telemetry", async () => {
    await using receiver = await startReceiver();
    const [bare, ended] = await Promise.all([
      startApp("microtasks.mts", {}).ended,
      startApp("microtasks.mts", { nodeArgs: register, env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } }).ended,
    ]);
    expect(ended).toEqual(bare);
    expect(ended).toMatchObject({ code: 5, stdout: "beforeExit 5\nexit 5\n" });
    expect(receiver.spans.map(({ name }) => name)).toEqual(["after three microtasks"]);
  });

  it("what an application records in its beforeExit work is exported, and telemetry does not call it again for ever", async () => {
    await using receiver = await startReceiver();
    const ended = await startApp("before-exit.mts", {
      nodeArgs: register,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
    }).ended;
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    // As often as without telemetry.
    expect(ended.stdout).toBe("3\n");
    expect(receiver.spans.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["early", "late 1", "late 2", "at beforeExit"]),
    );
  });
});
