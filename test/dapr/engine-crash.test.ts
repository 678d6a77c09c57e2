import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { createTelemetryRecorder } from "../../src/testing/recorder/index.ts";
import { buildOrSkip } from "../go-programs.ts";
import { startHub } from "../engines/dapr-durabletask-go/hub.ts";
import { startReceiver } from "../otlp/receiver.ts";
import { keep, useDapr } from "./fixture.ts";

vi.spyOn(console, "info").mockImplementation(() => undefined);

const hubProgram = buildOrSkip("dapr-durabletask-go") ?? "";

describe.skipIf(hubProgram === "").each([
  ["off", "beside"],
  ["on", "beside"],
  ["on", "instead"],
] as const)(
  "A worker that is killed on Dapr's engine, its own tracing %s, %s this package's,",
  (tracing, backendSpans) => {
    it("I11 S1 leaves a whole trace to the worker that goes on, with its own activities in it", async () => {
      await using receiver = await startReceiver();
      const hub = keep(await startHub(hubProgram, tracing === "on" ? { otlp: receiver.url } : {}));
      const { client } = useDapr(hub);
      const program = fileURLToPath(new URL("worker-program.ts", import.meta.url));
      const start = (...args: readonly string[]): ChildProcessByStdio<Writable, Readable, null> =>
        spawn(process.execPath, [program, String(hub.port), backendSpans, ...args], {
          env: {
            ...process.env,
            OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
            OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
          },
          stdio: ["pipe", "pipe", "ignore"],
        });
      await using recorder = createTelemetryRecorder();
      const doomed = start("3");
      const hangs = new Promise<void>((resolve) =>
        doomed.stdout.setEncoding("utf8").on("data", (text: string) => text.includes("hangs\n") && resolve()),
      );
      const id = await client.scheduleNewWorkflow("steps", 5);
      await hangs;
      doomed.kill("SIGKILL");
      await once(doomed, "close");
      const heir = start();
      const state = await client.waitForWorkflowCompletion(id, true, 60);
      expect(state?.serializedOutput).toBe("5");
      heir.stdin.end();
      await once(heir, "close");
      const last = { beside: "orchestration:steps", instead: "orchestration||steps" }[backendSpans];
      const spans = await receiver.waitFor((each) => each.some(({ name, kind }) => name === last && kind === "SERVER"));
      const known = new Set(
        [...spans, ...recorder.spans().map((span) => span.spanContext())].map(({ spanId }) => spanId),
      );
      expect(spans.filter(({ parentSpanId = "" }) => !known.has(parentSpanId)).map(({ name }) => name)).toEqual([]);
      expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
      expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
      const ours = spans.filter(({ scope }) => scope.name !== "durabletask");
      const kinds = Object.groupBy(ours, ({ kind, name }) => `${kind} ${name}`);
      // The third activity ran twice, and its first run left a span of user code.
      expect(Object.fromEntries(Object.entries(kinds).map(([kind, all = []]) => [kind, all.length]))).toEqual({
        "INTERNAL in activity": 6,
        "SERVER activity:step": 5,
        ...(backendSpans === "beside" ? { "CLIENT activity:step": 5, "SERVER orchestration:steps": 1 } : {}),
      });
    });
  },
);
