import { randomUUID } from "node:crypto";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import type { CriticalSection, Operation } from "./entity.ts";
import type { TaskAddress } from "./history-events.ts";

/**
 * Fills in the event that records a message to an entity. By the protocol, whom the message is for stands in histories
 * only, and whom it is from in messages only.
 *
 * @returns `undefined` for a message of a kind that is not known.
 */
export function recordMessage(
  scheduled: pb.HistoryEvent,
  message: pb.SendEntityMessageAction,
): pb.HistoryEvent | undefined {
  const called = message.getEntityoperationcalled();
  if (called !== undefined) {
    const event = new pb.EntityOperationCalledEvent()
      .setRequestid(called.getRequestid())
      .setOperation(called.getOperation())
      .setScheduledtime(called.getScheduledtime())
      .setInput(called.getInput())
      .setTargetinstanceid(called.getTargetinstanceid());
    return scheduled.setEntityoperationcalled(event);
  }
  const signaled = message.getEntityoperationsignaled();
  if (signaled !== undefined) {
    const event = new pb.EntityOperationSignaledEvent()
      .setRequestid(signaled.getRequestid())
      .setOperation(signaled.getOperation())
      .setScheduledtime(signaled.getScheduledtime())
      .setInput(signaled.getInput())
      .setTargetinstanceid(signaled.getTargetinstanceid());
    return scheduled.setEntityoperationsignaled(event);
  }
  const requested = message.getEntitylockrequested();
  if (requested !== undefined) {
    const event = new pb.EntityLockRequestedEvent()
      .setCriticalsectionid(requested.getCriticalsectionid())
      .setLocksetList(requested.getLocksetList())
      .setPosition(requested.getPosition());
    return scheduled.setEntitylockrequested(event);
  }
  const unlocked = message.getEntityunlocksent();
  if (unlocked !== undefined) {
    const event = new pb.EntityUnlockSentEvent()
      .setCriticalsectionid(unlocked.getCriticalsectionid())
      .setTargetinstanceid(unlocked.getTargetinstanceid());
    return scheduled.setEntityunlocksent(event);
  }
  return undefined;
}

/** The ID of the entity that a recorded message is for. */
export function targetOf(
  event: pb.EntityOperationCalledEvent | pb.EntityOperationSignaledEvent | pb.EntityUnlockSentEvent,
): string {
  return event.getTargetinstanceid()?.getValue() ?? "";
}

/** What an orchestration asks of an entity. Neither message has a field for a trace context. */
export function operationOf(
  message: pb.EntityOperationCalledEvent | pb.EntityOperationSignaledEvent,
  caller?: TaskAddress,
): Operation {
  return {
    kind: "operation",
    requestId: message.getRequestid(),
    name: message.getOperation(),
    input: message.getInput(),
    caller,
    traceContext: undefined,
  };
}

/** What a client, or another entity, asks of an entity. */
export function signalOf(message: pb.SignalEntityRequest | pb.SendSignalAction): Operation {
  return {
    kind: "operation",
    // An entity's signal has none.
    requestId: (message instanceof pb.SignalEntityRequest && message.getRequestid()) || randomUUID(),
    name: message.getName(),
    input: message.getInput(),
    caller: undefined,
    traceContext: message.getParenttracecontext(),
  };
}

export function criticalSection(requested: pb.EntityLockRequestedEvent, owner: TaskAddress): CriticalSection {
  const lockSet = [...new Set(requested.getLocksetList())].toSorted();
  return {
    kind: "lock",
    id: requested.getCriticalsectionid(),
    owner,
    lockSet,
    acquired: 0,
    unreleased: new Set(lockSet),
  };
}
