import { once } from "node:events";
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { skipPostgres, startPostgres, type StoreServer } from "../caching/servers.ts";
import { startWorker } from "../e2e/worker-process.ts";
import { startReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { buildEngine, startEngine } from "./engine.ts";
import { count, different, received } from "./measure.ts";

const isBuilt = buildEngine("durabletask-go");

const isServer = (name: string) => (span: ReceivedSpan) => span.kind === "SERVER" && span.name === name;

/** The workflow of `worker-program.ts` has a sub-orchestration, which the engine tells nothing of its parent's trace. */
const traces = 2;

async function connected(address: string, run: (client: TaskHubGrpcClient) => Promise<void>): Promise<void> {
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
    await connected(engine.address, async (client) => {
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

describe.skipIf(!isBuilt || skipPostgres)("On durabletask-go with PostgreSQL", () => {
  let database: StoreServer & { readonly url: string };
  beforeAll(async () => {
    database = await startPostgres();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  it("S1 traces are whole where a hub was killed half-way, and another one took over its database", async () => {
    const options = { postgres: database.url, lockTimeout: "1s" };
    await using doomed = await startEngine("durabletask-go", options);
    const receiver = await startReceiver();
    const first = startWorker(doomed.address, receiver, "3");
    await first.printed("started");
    const ids = ["one", "two", "three", "four"];
    await connected(doomed.address, async (client) => {
      for (const id of ids) await client.scheduleNewOrchestration("main", 5, { instanceId: id });
      await first.printed("hangs at 3");
      await receiver.waitFor((spans) => spans.some(({ name, kind }) => name === "activity:step" && kind === "CLIENT"));
      await doomed.kill();
    });
    first.process.kill("SIGKILL");
    await using heir = await startEngine("durabletask-go", options);
    const second = startWorker(heir.address, receiver);
    await second.printed("started");
    await connected(heir.address, async (client) => {
      for (const id of ids) expect((await client.waitForOrchestrationCompletion(id, true, 60))?.serializedOutput).toBe('"done"');
      await receiver.waitFor((spans) => spans.filter(isServer("orchestration:main")).length === ids.length);
    });
    second.process.stdin.end();
    await once(second.process, "close");
    await receiver.close();
    const spans = receiver.spans.map(received);
    expect(count(spans)).toMatchObject({ traces: ids.length * traces, orchestrations: ids.length * 2 });
    // What the hub had acknowledged, and not yet written, was done again: a span that is there twice is the same span (I4).
    expect(different(spans)).toEqual([]);
  });
});
