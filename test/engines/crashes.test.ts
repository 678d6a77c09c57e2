import { once } from "node:events";
import { NoOpLogger, TaskHubGrpcClient } from "@microsoft/durabletask-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { skipPostgres, startPostgres, type StoreServer } from "../caching/servers.ts";
import { startWorker } from "../e2e/worker-process.ts";
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from "../otlp/receiver.ts";
import { buildEngine, startEngine } from "./engine.ts";
import { count, received, type Counts } from "./counts.ts";

const isBuilt = buildEngine();

const isServer = (name: string) => (span: ReceivedSpan) => span.kind === "SERVER" && span.name === name;

// Spans that die unexported with their process are lost to any tracing; these are out.
async function halfWay(receiver: OtlpReceiver): Promise<void> {
  await receiver.waitFor(
    (spans) => spans.filter(({ name, kind }) => name === "activity:step" && kind === "CLIENT").length === 2,
  );
  await receiver.waitFor((spans) => spans.filter(({ name }) => name === "in activity").length === 3);
}

/** What there is of the workflow of `worker-program.ts`, which another process went on with after its third activity. */
const whole: Counts = {
  spans: 25,
  // The sub-orchestration does not receive its parent's trace context.
  traces: 2,
  orphans: 0,
  doubled: 0,
  orchestrations: 2,
  // That activity ran twice, the second time in a process that had not scheduled it.
  "activities placed": "5/6",
  "user spans nested": "9/9",
};

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
    await using engine = await startEngine();
    const receiver = await startReceiver();
    const doomed = startWorker(engine.address, receiver, "3");
    await doomed.printed("started");
    await connected(engine.address, async (client) => {
      const id = await client.scheduleNewOrchestration("main", 5);
      await doomed.printed("hangs at 3");
      await halfWay(receiver);
      doomed.process.kill("SIGKILL");
      const heir = startWorker(engine.address, receiver);
      const state = await client.waitForOrchestrationCompletion(id, true, 60);
      expect(state?.serializedOutput).toBe('"done"');
      await receiver.waitFor((spans) => spans.some(isServer("orchestration:main")));
      heir.process.stdin.end();
      await once(heir.process, "close");
    });
    await receiver.close();
    expect(count(receiver.spans.map(received))).toEqual(whole);
  });
});

describe.skipIf(!isBuilt || skipPostgres)("On durabletask-go with PostgreSQL", () => {
  let database: StoreServer & { readonly url: string };
  beforeAll(async () => {
    database = await startPostgres();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  it("S1 traces are whole where a hub was killed half-way, and another one took over its database", async () => {
    // What it had when it died is free after that time; on a busy machine, a shorter one is over before the work is done.
    await using doomed = await startEngine({ postgres: database.url, lockTimeout: "3s" });
    const receiver = await startReceiver();
    const first = startWorker(doomed.address, receiver, "3");
    await first.printed("started");
    const id = "half-way";
    await connected(doomed.address, async (client) => {
      await client.scheduleNewOrchestration("main", 5, { instanceId: id });
      await first.printed("hangs at 3");
      await halfWay(receiver);
      await doomed.kill();
    });
    first.process.kill("SIGKILL");
    await using heir = await startEngine({ postgres: database.url });
    const second = startWorker(heir.address, receiver);
    await second.printed("started");
    await connected(heir.address, async (client) => {
      expect((await client.waitForOrchestrationCompletion(id, true, 60))?.serializedOutput).toBe('"done"');
      await receiver.waitFor((spans) => spans.some(isServer("orchestration:main")));
    });
    second.process.stdin.end();
    await once(second.process, "close");
    await receiver.close();
    expect(count(receiver.spans.map(received))).toEqual(whole);
  });
});
