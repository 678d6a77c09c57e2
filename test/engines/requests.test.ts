import { NoOpLogger, TaskHubGrpcClient, TaskHubGrpcWorker, type OrchestrationContext } from "@microsoft/durabletask-js";
import type {
  ActivityRequest,
  OrchestratorRequest,
} from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { beforeAll, describe, expect, it } from "vitest";
import { withDurableTelemetry } from "../../src/index.ts";
import type { Steps } from "../harness.ts";
import { buildEngine, startEngine } from "./engine.ts";

const isBuilt = buildEngine();

/** The requests that a worker got, as they came. */
interface Requests {
  readonly orchestrators: OrchestratorRequest[];
  readonly activities: ActivityRequest[];
}

interface Internals {
  _executeOrchestratorInternal(request: OrchestratorRequest, ...rest: unknown[]): Promise<void>;
  _executeActivityInternal(request: ActivityRequest, ...rest: unknown[]): Promise<void>;
}

function watch(worker: TaskHubGrpcWorker): Requests {
  const requests: Requests = { orchestrators: [], activities: [] };
  const internals = worker as unknown as Internals;
  const orchestrator = internals._executeOrchestratorInternal.bind(worker);
  const activity = internals._executeActivityInternal.bind(worker);
  internals._executeOrchestratorInternal = (request, ...rest) => {
    requests.orchestrators.push(request.cloneMessage());
    return orchestrator(request, ...rest);
  };
  internals._executeActivityInternal = (request, ...rest) => {
    requests.activities.push(request.cloneMessage());
    return activity(request, ...rest);
  };
  return requests;
}

describe.skipIf(!isBuilt)("What durabletask-go 0.6.0 sends, without spans of its own", () => {
  let requests: Requests;
  beforeAll(async () => {
    await using engine = await startEngine();
    const logger = new NoOpLogger();
    const bare = new TaskHubGrpcWorker({ hostAddress: engine.address, logger, shutdownTimeoutMs: 100 });
    requests = watch(bare);
    const worker = withDurableTelemetry(bare);
    worker.addNamedActivity("work", () => 1);
    worker.addNamedOrchestrator("child", async function* (ctx: OrchestrationContext): Steps<number> {
      return yield ctx.callActivity("work", undefined, { version: "3", tags: { tenant: "a" } });
    });
    worker.addNamedOrchestrator("parent", async function* (ctx: OrchestrationContext): Steps<number> {
      // Longer than the engine takes to write that it exists, on a busy machine.
      yield ctx.createTimer(2);
      return yield ctx.callSubOrchestrator("child", undefined, { version: "2", tags: { tenant: "a" } });
    });
    await worker.start();
    const client = new TaskHubGrpcClient({ hostAddress: engine.address, logger });
    const id = await client.scheduleNewOrchestration("parent", undefined, { version: "1", tags: { tenant: "a" } });
    await client.waitForOrchestrationCompletion(id, true, 60);
    await Promise.all([worker.stop(), client.stop()]);
  });

  const starts = () =>
    ["parent", "child"].map((name) => {
      const all = requests.orchestrators.flatMap((request) => [
        ...request.getPasteventsList(),
        ...request.getNeweventsList(),
      ]);
      return all.map((event) => event.getExecutionstarted()).find((event) => event?.getName() === name);
    });

  it("has execution IDs in histories, and in no request", () => {
    expect(starts().map((start) => start?.getOrchestrationinstance()?.hasExecutionid())).toEqual([true, true]);
    expect(requests.orchestrators.map((request) => request.hasExecutionid())).toEqual(
      requests.orchestrators.map(() => false),
    );
    expect(requests.activities.map((request) => request.getOrchestrationinstance()?.hasExecutionid())).toEqual([false]);
    const [, child] = starts();
    expect(child?.getParentinstance()?.getOrchestrationinstance()?.hasExecutionid()).toBe(false);
  });

  it("has neither trace contexts nor the span that a worker left", () => {
    expect(starts().map((start) => start?.hasParenttracecontext())).toEqual([false, false]);
    expect(requests.activities.map((request) => request.hasParenttracecontext())).toEqual([false]);
    expect(requests.orchestrators.some((request) => request.hasOrchestrationtracecontext())).toBe(false);
  });

  it("has no tags, and versions of activities alone", () => {
    expect(starts().map((start) => [start?.getVersion()?.getValue(), start?.getTagsMap().getLength()])).toEqual([
      [undefined, 0],
      [undefined, 0],
    ]);
    expect(
      requests.activities.map((request) => [request.getVersion()?.getValue(), request.getTagsMap().getLength()]),
    ).toEqual([["3", 0]]);
  });

  it("has the times of all events, but that of a timer's firing is of its creation", () => {
    const last = requests.orchestrators.findLast((request) =>
      request.getPasteventsList().some((event) => event.hasTimercreated()),
    );
    const events = [...(last?.getPasteventsList() ?? []), ...(last?.getNeweventsList() ?? [])];
    expect(events.every((event) => event.hasTimestamp())).toBe(true);
    const fired = events.find((event) => event.hasTimerfired());
    const due = fired?.getTimerfired()?.getFireat()?.toDate().getTime() ?? 0;
    expect(fired?.getTimestamp()?.toDate().getTime()).toBeLessThan(due);
  });
});

describe.skipIf(!isBuilt)("durabletask-go 0.6.0", () => {
  it("gives a worker what its filters leave out, which then fails", async () => {
    await using engine = await startEngine();
    const logger = new NoOpLogger();
    const worker = new TaskHubGrpcWorker({
      hostAddress: engine.address,
      logger,
      shutdownTimeoutMs: 100,
      workItemFilters: "auto",
    });
    worker.addNamedOrchestrator("known", async function* (): Steps<number> {
      return 1;
    });
    await worker.start();
    const client = new TaskHubGrpcClient({ hostAddress: engine.address, logger });
    const state = await client.waitForOrchestrationCompletion(
      await client.scheduleNewOrchestration("of another worker"),
      true,
      60,
    );
    expect(state?.failureDetails?.message).toContain("of another worker");
    await Promise.all([worker.stop(), client.stop()]);
  });
});
