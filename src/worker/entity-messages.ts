import type { TaskFailure } from "../pipeline/index.ts";
import { failureOf } from "./messages.ts";
import type { HistoryEvent } from "./protocol.ts";

/**
 * How calls and locks of entities stand in a history. Backends with the entity protocol have events of their own for
 * them. Others (Azure Storage) send them as events to `@NAME@KEY`, and answer with an event whose name is the request's
 * ID; the content of both is JSON of the .NET framework.
 */
export interface EntityRequest {
  readonly type: "entity_call" | "entity_lock";
  /** What the answer will name. */
  readonly id: string;
  /** The operation; empty for a lock. */
  readonly operation: string;
  /** The entity's instance ID; a lock may be of several. */
  readonly target: string | undefined;
}

/** The request that `event` records, if it is one that waits for an answer. */
export function entityRequest(event: HistoryEvent): EntityRequest | undefined {
  const call = event.getEntityoperationcalled?.();
  if (call !== undefined) {
    return {
      type: "entity_call",
      id: call.getRequestid(),
      operation: call.getOperation(),
      target: call.getTargetinstanceid()?.getValue(),
    };
  }
  const lock = event.getEntitylockrequested?.();
  if (lock !== undefined)
    return { type: "entity_lock", id: lock.getCriticalsectionid(), operation: "", target: undefined };
  const sent = event.getEventsent();
  const target = sent?.getInstanceid() ?? "";
  return target.startsWith("@") ? classicRequest(target, sent?.getInput()?.getValue()) : undefined;
}

/** The ID of the request that `event` may answer. For a raised event it is the name. */
export function answeredRequest(event: HistoryEvent): string | undefined {
  const name = event.getEventraised()?.getName() ?? "";
  return (
    event.getEntityoperationcompleted?.()?.getRequestid() ??
    event.getEntityoperationfailed?.()?.getRequestid() ??
    event.getEntitylockgranted?.()?.getCriticalsectionid() ??
    (uuid.test(name) ? name.toLowerCase() : undefined)
  );
}

/** Why the call failed that `event` answers; `undefined` if it did not. */
export function entityFailure(event: HistoryEvent): TaskFailure | undefined {
  const failed = event.getEntityoperationfailed?.();
  if (failed !== undefined) return failureOf(failed.getFailuredetails());
  const answer = parse(event.getEventraised()?.getInput()?.getValue());
  // A value without `result` is not an answer in the form of the .NET framework, but the result itself; the SDK treats it so too.
  if (!Object.hasOwn(answer, "result")) return undefined;
  const { exceptionType: message, failureDetails: details } = answer;
  if (typeof message !== "string" && !isRecord(details)) return undefined;
  const { ErrorType: type, ErrorMessage: description, StackTrace: stack } = isRecord(details) ? details : {};
  return {
    type: asString(type) ?? "Error",
    // Despite its name, `exceptionType` contains the message.
    message: asString(description) ?? asString(message) ?? "",
    stack: asString(stack),
  };
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function classicRequest(target: string, json: string | undefined): EntityRequest | undefined {
  const { id, op, signal, lockset } = parse(json);
  if (typeof id !== "string" || signal === true) return undefined;
  if (lockset !== undefined && lockset !== null)
    return { type: "entity_lock", id: id.toLowerCase(), operation: "", target: undefined };
  return typeof op === "string" ? { type: "entity_call", id: id.toLowerCase(), operation: op, target } : undefined;
}

function parse(json: string | undefined): Readonly<Record<string, unknown>> {
  if (!json?.startsWith("{")) return {};
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
const asString = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
