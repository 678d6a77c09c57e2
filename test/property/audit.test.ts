/** An audit trail that a custom middleware writes, with hooks alone, held against the histories that the task hub has. */
import { HistoryEventType, TaskHubGrpcWorker, type HistoryEvent } from "@microsoft/durabletask-js";
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withDurableTelemetry, type Acknowledgement, type MiddlewareObject, type WorkItem } from "../../src/index.ts";
import { startHub, type Hub } from "../harness.ts";
import { breakableConnection } from "./breakable-connection.ts";
import { ConnectionLogger, drive, everythingEnds, type Subject } from "./drive.ts";
import {
  always,
  bookkeeping,
  fates,
  Ledger,
  register,
  workflows,
  type Accident,
  type Fate,
  type Step,
  type Workflow,
} from "./workflows.ts";

/** The audit records, in three ledgers: what was accepted, what was not, and what nobody knows. Each has `EXECUTION EVENT`. */
class Trail {
  readonly records: Readonly<Record<Acknowledgement, string[]>> = { accepted: [], rejected: [], unconfirmed: [] };
  /** By instance. */
  readonly instances: Set<string> = new Set();
  running = 0;

  get middleware(): MiddlewareObject {
    return {
      name: "audit",
      workItem: (item) => {
        const { executionId = "none", instanceId } = item;
        this.running += 1;
        this.instances.add(instanceId);
        let end: string | undefined;
        return {
          onResponse({ outcome: { status } }) {
            if (item.kind === "activity") end = `activity ${item.taskId} ended`;
            else if (status !== "waiting" && status !== "rewound") end = `orchestration ${status}`;
          },
          onAcknowledged: (acknowledgement) => {
            const events = end === undefined ? eventsOf(item) : [...eventsOf(item), end];
            this.records[acknowledgement].push(...events.map((event) => `${executionId} ${event}`));
          },
          onEnd: () => void (this.running -= 1),
        };
      },
    };
  }
}

function eventsOf(item: WorkItem): readonly string[] {
  if (item.kind === "activity") return [];
  const { history } = item;
  return history.newEvents().map((event, index) => {
    if (event.type === "task_finished") return `task ${event.task.taskId} finished`;
    return event.type === "timer_fired"
      ? `timer ${event.taskId} fired`
      : `${event.type} #${history.replayedEvents + index}`;
  });
}

// The place of an event that has no ID.
const withoutPlace = (record: string): string => record.replace(/ #\d+$/, "");

/** What an audit trail must have of a history: an entry for each event that it knows. */
function truthOf(history: readonly HistoryEvent[]): readonly string[] {
  const started = history.find((event) => event.type === HistoryEventType.ExecutionStarted);
  const executionId = started?.orchestrationInstance?.executionId ?? "none";
  return history.flatMap((event) => entriesOf(event).map((entry) => `${executionId} ${entry}`));
}

function entriesOf(event: HistoryEvent): readonly string[] {
  switch (event.type) {
    case HistoryEventType.ExecutionStarted:
      return ["started"];
    case HistoryEventType.TaskCompleted:
    case HistoryEventType.TaskFailed:
      return [`task ${event.taskScheduledId} finished`, `activity ${event.taskScheduledId} ended`];
    case HistoryEventType.SubOrchestrationInstanceCompleted:
    case HistoryEventType.SubOrchestrationInstanceFailed:
      return [`task ${event.taskScheduledId} finished`];
    case HistoryEventType.TimerFired:
      return [`timer ${event.timerId} fired`];
    case HistoryEventType.EventRaised:
      return ["event_raised"];
    case HistoryEventType.ExecutionSuspended:
      return ["suspended"];
    case HistoryEventType.ExecutionResumed:
      return ["resumed"];
    case HistoryEventType.ExecutionCompleted:
      return [`orchestration ${event.orchestrationStatus.replace("ORCHESTRATION_STATUS_", "").toLowerCase()}`];
    default:
      return [];
  }
}

/** Which entries of `some` are not among `others`, each as often as it is missing. */
function beyond(some: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const each of others) left.set(each, (left.get(each) ?? 0) + 1);
  return some.filter((each) => {
    const count = left.get(each) ?? 0;
    left.set(each, count - 1);
    return count <= 0;
  });
}

const work = (turns: number): Step => ({
  do: "wait",
  for: { kind: "activity", outcome: "ok", turns, retry: "never" },
  caught: false,
});
/** What every batch has, so that none goes without an event of each kind: one that is suspended half-way, and one that waits and continues as new. */
const audited: readonly (readonly [Workflow, Fate])[] = [
  [
    { steps: [1, 10, 11, 12, 12, 12].map(work), next: undefined },
    { act: "suspend", after: 1, hold: 1, rewind: false },
  ],
  [
    {
      steps: [
        { do: "wait", for: { kind: "event" }, caught: false },
        { do: "wait", for: { kind: "timer", milliseconds: 5 }, caught: false },
      ],
      next: { saveEvents: false, steps: [work(1)] },
    },
    { act: "nothing", after: 0, hold: 0, rewind: false },
  ],
];

/** Runs workflows side by side on two workers, of which one has an accident. */
async function run(
  hub: Hub,
  trail: Trail,
  batch: readonly (readonly [Workflow, Fate])[],
  accident: Accident,
): Promise<Ledger> {
  const ledger = new Ledger();
  const { client, sidecar } = hub;
  ledger.onWaiting = (instanceId) =>
    void context.with(ROOT_CONTEXT, () => client.raiseOrchestrationEvent(instanceId, "go", 1));
  await using connection = await breakableConnection(sidecar.port);
  const workers = [sidecar.address, connection.address].map((hostAddress, number) => {
    const logger = new ConnectionLogger();
    const worker = withDurableTelemetry(new TaskHubGrpcWorker({ hostAddress, logger, shutdownTimeoutMs: 2 }), {
      middlewares: () => [trail.middleware, bookkeeping(ledger)],
    });
    register(worker, number, ledger);
    return { worker, logger };
  });
  await Promise.all(workers.map(({ worker }) => worker.start()));
  const [survivor, victim] = workers;
  const over = new AbortController();
  let stopped: Promise<void> | undefined;
  const struck = ledger
    .untilRuns(({ worker }) => worker === 1, accident.after, over.signal)
    .then(async () => {
      if (accident.kind === "stopped") stopped = victim?.worker.stop();
      if (accident.kind !== "connection lost" || over.signal.aborted) return;
      connection.cut();
      // The SDK's worker can't be stopped well while it waits to connect again.
      await victim?.logger.connectedAgain.promise;
    });
  try {
    const subjects = batch.map(([workflow, fate], index): Subject => ({
      id: `audited-${index}-`,
      workflow,
      fate: { ...fate, rewind: false },
    }));
    const peers = subjects.map(({ id }) => id);
    await Promise.all(subjects.map((subject) => drive(hub, ledger, peers, subject)));
    await everythingEnds(client, "audited-");
  } finally {
    over.abort();
    await struck;
    await Promise.all([stopped ?? victim?.worker.stop(), survivor?.worker.stop()]);
  }
  await expect.poll(() => trail.running, { timeout: 5000, interval: 5 }).toBe(0);
  return ledger;
}

describe("The audit trail of random workflows, side by side on two workers", () => {
  const accidents: readonly Accident["kind"][] = ["none", "stopped", "connection lost"];

  it.each(accidents)(
    "W4 has each history event and each result of an activity exactly once (accident of one worker: %s)",
    { timeout: 60_000 },
    async (kind) => {
      const hub = await startHub();
      const batch = fc.array(fc.tuple(workflows, fates), { minLength: 20, maxLength: 20 });
      const after = fc.integer({ min: 1, max: 10 });
      await fc.assert(
        fc.asyncProperty(batch, after, async (subjects, count) => {
          const trail = new Trail();
          const ledger = await run(hub, trail, [...always, ...audited, ...subjects], { kind, after: count });
          const { accepted, rejected, unconfirmed } = trail.records;
          expect(beyond(accepted, [...new Set(accepted)])).toEqual([]);
          if (kind === "none") expect([rejected, unconfirmed]).toEqual([[], []]);

          const histories = await Promise.all([...trail.instances].map((id) => hub.client.getOrchestrationHistory(id)));
          const truth = histories.flatMap((history) => truthOf(history));
          const records = accepted.map(withoutPlace);
          // Of a response of which nobody knows, the hub may have taken note.
          expect(beyond(beyond(truth, records), unconfirmed.map(withoutPlace))).toEqual([]);
          // The hub keeps no history of an execution that was continued or replaced, and none of an activity that came too late.
          const kept = new Set(truth.map((each) => each.split(" ", 1)[0]));
          const known = records.filter((each) => kept.has(each.split(" ", 1)[0]) && !each.includes(" activity "));
          expect(beyond(known, truth)).toEqual([]);

          const continued = [...ledger.executions.values()].filter(({ executionId }) =>
            accepted.includes(`${executionId} orchestration continued_as_new`),
          );
          const following = [...ledger.executions.values()].filter(({ generation }) => generation > 1);
          expect(following.length).toBeGreaterThan(0);
          expect(
            continued.length + unconfirmed.filter((each) => each.includes("continued_as_new")).length,
          ).toBeGreaterThanOrEqual(following.length);
          expect(accepted.length).toBeGreaterThan(100);
          expect(new Set(records.map((each) => each.split(" ")[1]))).toEqual(
            new Set(["started", "task", "activity", "timer", "event_raised", "suspended", "resumed", "orchestration"]),
          );
        }),
        // The instance IDs are those of one batch.
        { numRuns: 1, endOnFailure: true },
      );
    },
  );
});
