import { once } from "node:events";
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { skipPostgres, startPostgres } from "../caching/servers.ts";
import { startWorker } from "../e2e/worker-process.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { buildEngine, startEngine } from "./engine.ts";
import { count, different, received } from "./measure.ts";

const isBuilt = buildEngine("durabletask-go");

const isServer = (name: string) => (span: ReceivedSpan) => span.kind === "SERVER" && span.name === name;

/** The workflow of `worker-program.ts` has a sub-orchestration, which the engine tells nothing of its parent's trace. */
const traces = 2;

async function finished(address: string, run: (client: TaskHubGrpcClient) => Promise<void>): Promise<void> {
  const client = new TaskHubGrpcClient({ hostAddress: address, logger: new NoOpLogger() });
  try {
    await run(client);
  } finally {
    await client.stop();
  }
}

describe.skipIf(!isBuilt)("On durabletask-go with SQLite", () => {
  it("S1 a trace is whole where a worker was killed half-way", async () => {
    await using engine = await startEngine("durabletask-go");
    const receiver = await startReceiver();
    const doomed = startWorker(engine.address, receiver, "3");
    await doomed.printed("started");
    await finished(engine.address, async (client) => {
      const id = await client.scheduleNewOrchestration("main", 5);
      await doomed.printed("hangs at 3");
      await receiver.waitFor((spans) => spans.filter(({ name, kind }) => name === "activity:step" && kind === "CLIENT").length === 2);
      await receiver.waitFor((spans) => spans.filter(({ name }) => name === "in activity").length === 3);
      doomed.process.kill("SIGKILL");
      const heir = startWorker(engine.address, receiver);
      const state = await client.waitForOrchestrationCompletion(id, true, 30);
      expect(state?.serializedOutput).toBe('"done"');
      await receiver.waitFor((spans) => spans.some(isServer("orchestration:main")));
      heir.process.stdin.end();
      await once(heir.process, "close");
    });
    await receiver.close();
    // The activity that the first worker died in ran twice, and its second run is not the one that the second worker scheduled.
    expect(count(receiver.spans.map(received))).toEqual({
      spans: 25,
      traces,
      orphans: 0,
      doubled: 0,
      orchestrations: 2,
      "activities placed": "5/6",
      "user spans nested": "9/9",
    });
  });
});

describe.skipIf(!isBuilt || skipPostgres)("On two hubs of durabletask-go over one PostgreSQL", () => {
  let database: Awaited<ReturnType<typeof startPostgres>>;
  beforeAll(async () => {
    database = await startPostgres();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  it("S1 a trace is whole where a hub was killed half-way", async () => {
    const options = { postgres: database.url, lockTimeout: "2s" };
    await using doomed = await startEngine("durabletask-go", options);
    await using heir = await startEngine("durabletask-go", options);
    const receiver = await startReceiver();
    const workers = [startWorker(doomed.address, receiver, "3"), startWorker(heir.address, receiver)];
    const [first] = workers;
    await Promise.all(workers.map((worker) => worker.printed("started")));
    await finished(heir.address, async (client) => {
      // Of so many, the worker of the doomed hub gets an activity to hang in.
      const ids = await Promise.all(Array.from({ length: 8 }, () => client.scheduleNewOrchestration("main", 5)));
      await first?.printed("hangs at 3");
      await doomed.kill();
      for (const id of ids) expect((await client.waitForOrchestrationCompletion(id, true, 60))?.serializedOutput).toBe('"done"');
      await receiver.waitFor((spans) => spans.filter(isServer("orchestration:main")).length >= ids.length);
    });
    first?.process.kill("SIGKILL");
    const [, second] = workers;
    second?.process.stdin.end();
    if (second !== undefined) await once(second.process, "close");
    await receiver.close();
    expect(count(receiver.spans.map(received))).toMatchObject({ traces: 8 * traces, orphans: 0 });
    // What a hub had acknowledged, and not yet written, was done again: a span that is there twice is the same span (I4).
    expect(different(receiver.spans.map(received))).toEqual([]);
  });
});
