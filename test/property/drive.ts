/** Drives random workflows from outside: starts them, interrupts them, and waits for their ends. */
import { OrchestrationStatus, terminateOptions, type Logger } from "@microsoft/durabletask-js";
import type { Hub } from "../harness.ts";
import type { Fate, Ledger, Play, Workflow } from "./workflows.ts";

/** Says when a worker has connected a second time, and nothing else. */
export class ConnectionLogger implements Logger {
  readonly connectedAgain: PromiseWithResolvers<void> = Promise.withResolvers();
  #connected = 0;

  info(message: string): void {
    if (!message.startsWith("Successfully connected")) return;
    this.#connected += 1;
    if (this.#connected === 2) this.connectedAgain.resolve();
  }
  error(): void {}
  warn(): void {}
  debug(): void {}
}

/** One workflow with its instance ID and what happens to it. */
export interface Subject {
  readonly id: string;
  readonly workflow: Workflow;
  readonly fate: Fate;
}

/** Runs a workflow to its end, or beyond if it is rewound; returns how it ended. */
export async function drive(
  { client }: Hub,
  ledger: Ledger,
  peers: readonly string[],
  { id, workflow, fate }: Subject,
): Promise<OrchestrationStatus | undefined> {
  await client.scheduleNewOrchestration("play", { workflow, generation: 1, peers } satisfies Play, { instanceId: id });
  const over = new AbortController();
  const end = client.waitForOrchestrationCompletion(id, false, 20).finally(() => over.abort());
  if (fate.act !== "nothing") {
    await ledger.untilRuns(({ instanceId }) => instanceId.startsWith(id), fate.after, over.signal);
    if (fate.act === "suspend") {
      await client.suspendOrchestration(id);
      for (let call = 0; call < fate.hold; call += 1) await client.getOrchestrationState(id);
      await client.resumeOrchestration(id);
    } else {
      await client.terminateOrchestration(
        id,
        terminateOptions({ output: "enough", recursive: fate.act === "terminate with children" }),
      );
    }
  }
  const state = await end;
  if (state?.runtimeStatus !== OrchestrationStatus.FAILED || !fate.rewind) return state?.runtimeStatus;
  await everythingEnds(client, id);
  for (const { instanceId } of ledger.executions.values())
    if (instanceId.startsWith(id)) ledger.rewound.add(instanceId);
  await client.rewindInstance(id, "once more");
  return (await client.waitForOrchestrationCompletion(id, false, 20))?.runtimeStatus;
}

/** Children may go on when their parent has ended. */
export async function everythingEnds(client: Hub["client"], prefix: string): Promise<void> {
  const statuses = [OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING, OrchestrationStatus.SUSPENDED];
  for (let found = true; found;) {
    found = false;
    for await (const { instanceId } of client.getAllInstances({ instanceIdPrefix: prefix, statuses })) {
      found = true;
      await client.waitForOrchestrationCompletion(instanceId, false, 20);
    }
  }
}
