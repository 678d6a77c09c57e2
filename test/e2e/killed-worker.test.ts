import { once } from "node:events";
import { expect, it } from "vitest";
import { startHub } from "../harness.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { startWorker } from "./worker-process.ts";

const isServer = (name: string) => (span: ReceivedSpan) => span.kind === "SERVER" && span.name === name;

it(
  "S1 a trace is whole where a worker was killed half-way, as real OTLP bytes from two processes show",
  { timeout: 60_000 },
  async () => {
    const hub = await startHub();
    const receiver = await startReceiver();
    const doomed = startWorker(hub.sidecar.address, receiver, "3");
    await doomed.printed("started");
    const id = await hub.client.scheduleNewOrchestration("main", 5);
    await doomed.printed("hangs at 3");
    // Spans that die unexported with their process are lost to any tracing; these are out.
    await receiver.waitFor(
      (spans) => spans.filter(({ name, kind }) => name === "activity:step" && kind === "CLIENT").length === 2,
    );
    await receiver.waitFor((spans) => spans.filter(({ name }) => name === "in activity").length === 3);
    doomed.process.kill("SIGKILL");
    const heir = startWorker(hub.sidecar.address, receiver);
    const state = await hub.client.waitForOrchestrationCompletion(id, true, 30);
    expect(state?.serializedOutput).toBe('"done"');
    await receiver.waitFor((spans) => spans.some(isServer("orchestration:main")));
    heir.process.stdin.end();
    await once(heir.process, "close");
    await receiver.close();

    const { spans } = receiver;
    const ids = spans.map((span) => span.spanId);
    expect(new Set(ids).size).toBe(ids.length);
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    expect(spans.filter((span) => span.parentSpanId !== undefined && !byId.has(span.parentSpanId))).toEqual([]);
    expect(new Set(spans.map((span) => span.traceId)).size).toBe(1);

    // One line for each span: its own name and kind, then its parent's.
    const lines = spans.map((span) => {
      const parent = byId.get(span.parentSpanId ?? "");
      return `${span.name} ${span.kind} < ${parent === undefined ? "root" : `${parent.name} ${parent.kind}`}`;
    });
    const tally = Object.fromEntries(
      [...new Set(lines)].map((line) => [line, lines.filter((each) => each === line).length]),
    );
    expect(tally).toEqual({
      "orchestration:main SERVER < root": 1,
      "orchestration:child CLIENT < orchestration:main SERVER": 1,
      "orchestration:child SERVER < orchestration:child CLIENT": 1,
      "orchestration:main:timer INTERNAL < orchestration:main SERVER": 1,
      "activity:step CLIENT < orchestration:main SERVER": 5,
      "activity:step CLIENT < orchestration:child SERVER": 1,
      "activity:step SERVER < activity:step CLIENT": 6,
      // The activity that the first worker died in ran twice; the second run's span adopted what the first had emitted.
      "in activity INTERNAL < activity:step SERVER": 7,
      "in orchestrator INTERNAL < orchestration:main SERVER": 1,
      "in orchestrator INTERNAL < orchestration:child SERVER": 1,
    });
  },
);
