import crypto from "node:crypto";
import {
  createTraceState,
  isValidSpanId,
  isValidTraceId,
  ROOT_CONTEXT,
  trace,
  TraceFlags,
  type Context,
  type SpanContext,
} from "@opentelemetry/api";
import type { TraceContext } from "../pipeline/index.ts";
import { SpanOnlyContext } from "./span-only-context.ts";

/**
 * Identity from history (telemetry.md I1, I2): every episode, on any worker and after any crash, computes the same IDs.
 * All derivations are in this file, so that one can check that they don't collide: each digest has its own label, and each
 * part has its length in front, so that no two lists of parts give the same string.
 */
function digest(label: string, parts: readonly string[]): string {
  let joined = label;
  for (const part of parts) joined += `|${part.length}:${part}`;
  return crypto.hash("sha256", joined, "hex");
}

/** What identifies an execution in its history. */
export interface Execution {
  readonly instanceId: string;
  /** The execution ID, or, where a backend sends none, the time of its start. */
  readonly execution: string;
}

/** The IDs of an execution's trace and span. */
export interface ExecutionIds {
  readonly traceId: string;
  readonly spanId: string;
  /**
   * The span ID if the trace is not sampled: a backend that keeps the span ID between episodes keeps the decision with it
   * (telemetry.md I10), because every process derives both IDs, and so sees which of the two it is.
   */
  readonly unsampledSpanId: string;
}

/** The IDs of an execution without a traced caller, and without a persisted span. */
export function executionIds(execution: Execution): ExecutionIds {
  return idsUnder("execution", execution);
}

/** The IDs of an execution that continues another one and has its trace context. They differ, so that the span ID shows this. */
export function continuedIds(execution: Execution): ExecutionIds {
  return idsUnder("continued", execution);
}

/**
 * The trace of an instance whose activities come with no execution ID and no trace context, as from durabletask-go: the
 * instance ID is all that an orchestration and its activities, on any worker, have in common.
 */
export function instanceTraceId(instanceId: string): string {
  return digest("execution", [instanceId, ""]).slice(0, 32);
}

/** The span of such an activity's execution, in the trace of its instance. Task IDs start again when it continues as new. */
export function unboundActivitySpanId(
  instanceId: string,
  taskId: number,
  name: string,
  rawInput: string | undefined,
): string {
  return digest("activity", [instanceId, String(taskId), name, rawInput ?? ""]).slice(0, 16);
}

/** The IDs of one execution, by the label that they are derived under. */
interface DerivedIds {
  readonly execution: string;
  readonly byLabel: Partial<Record<Label, ExecutionIds>>;
}
type Label = "execution" | "continued";

// By instance ID: the latest, as the work items of an execution come one after the other. Long strings are not kept
// (telemetry.md K4).
const latestIds = new Map<string, DerivedIds>();
const idsKept = 512;
const longestKept = 128;

function idsUnder(label: Label, { instanceId, execution }: Execution): ExecutionIds {
  const latest = latestIds.get(instanceId);
  const byLabel = latest?.execution === execution ? latest.byLabel : {};
  const known = byLabel[label];
  if (known !== undefined) return known;
  const bits = digest(label, [instanceId, execution]);
  const ids: ExecutionIds = { traceId: bits.slice(0, 32), spanId: bits.slice(32, 48), unsampledSpanId: bits.slice(48) };
  byLabel[label] = ids;
  if (latestIds.size >= idsKept) latestIds.clear();
  if (instanceId.length <= longestKept && execution.length <= longestKept)
    latestIds.set(instanceId, { execution, byLabel });
  return ids;
}

/** A span ID as two halves of 32 bits, as arithmetic on these is much faster than on BigInts. */
export interface SpanIdBits {
  readonly high: number;
  readonly low: number;
}

/** The bits of a span ID of 16 hexadecimal digits. */
export function bitsOf(spanId: string): SpanIdBits {
  return { high: parseHalf(spanId, 0), low: parseHalf(spanId, 8) };
}

function parseHalf(spanId: string, from: number): number {
  let bits = 0;
  for (let index = from; index < from + 8; index += 1) {
    const code = spanId.charCodeAt(index);
    // A digit, or a letter from a to f.
    bits = (bits << 4) | (code < 58 ? code - 48 : code - 87);
  }
  return bits >>> 0;
}

function toSpanId(high: number, low: number): string {
  return hex(high | 0) + hex(low | 0);
}

const bytes: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex(bits: number): string {
  return `${bytes[bits >>> 24]}${bytes[(bits >>> 16) & 0xff]}${bytes[(bits >>> 8) & 0xff]}${bytes[bits & 0xff]}`;
}

// 2^64 divided by the golden ratio, 0x9e3779b97f4a7c15: steps of it spread over all 64 bits and meet only after 2^64 of them.
const strideHigh = 0x9e3779b9;
const strideLow = 0x7f4a7c15;

// So many steps of the stride from an ID, modulo 2^64. The products of 32 by 16 bits are exact.
function stepsFrom({ high, low }: SpanIdBits, steps: number): string {
  // The protocol's IDs are signed integers of 32 bits, so the upper half of the steps is all ones or all zeros.
  const signed = steps < 0 ? -strideLow : 0;
  const upper = strideLow * ((steps >>> 0) >>> 16);
  const lower = strideLow * (steps & 0xffff) + (upper % 0x10000) * 0x10000 + low;
  const carry = Math.floor(upper / 0x10000) + Math.floor(lower / 0x100000000);
  return toSpanId(high + Math.imul(strideHigh, steps) + (carry % 0x100000000) + signed, lower % 0x100000000);
}

/**
 * The span of a task (an activity, a sub-orchestration, a timer) that an orchestration scheduled, as it follows from
 * the orchestration's span. No two tasks of an execution share an ID, and to find it takes no digest.
 */
export function taskSpanId(orchestrationSpan: SpanIdBits, taskId: number): string {
  // An odd number of steps, so that no task has the orchestration's own ID.
  return stepsFrom(orchestrationSpan, 2 * taskId + 1);
}

/** The span of one episode, the one that replays so many events: an even number of steps, so that no task has its ID. */
export function episodeSpanId(orchestrationSpan: SpanIdBits, replayedEvents: number): string {
  return stepsFrom(orchestrationSpan, 2 * replayedEvents + 2);
}

/**
 * The span of a wait for an external event, by the number of the wait in its execution: an even number of steps in the other
 * direction, so that no task and no episode has its ID.
 */
export function waitSpanId(orchestrationSpan: SpanIdBits, ordinal: number): string {
  return stepsFrom(orchestrationSpan, -2 * ordinal - 2);
}

/** The span that says that an execution started: further away from the orchestration's than any wait is. */
export function startedSpanId(orchestrationSpan: SpanIdBits): string {
  return stepsFrom(orchestrationSpan, -0x80000000);
}

/**
 * The span of an activity's execution, which follows from the span that scheduled it: so a second run, after a crash
 * of the first, adopts the spans that the first one's code had already emitted (S1). Three rounds of a Feistel network:
 * two activities never share an ID, and the ID looks as random as that of the client.
 */
export function activitySpanId(clientSpanId: string): string {
  let { high, low } = bitsOf(clientSpanId);
  high ^= round(low, 0x85ebca6b);
  low ^= round(high, 0xc2b2ae35);
  high ^= round(low, 0x27d4eb2f);
  return toSpanId(high, low);
}

function round(bits: number, factor: number): number {
  const product = Math.imul(bits ^ (bits >>> 16), factor);
  return product ^ (product >>> 13);
}

// W3C Trace Context: there is no version ff, 00 ends with the flags, and a version to come may add to them.
const w3c = /^(?!ff|00.{54})[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** The span context in a durable message; `undefined` if it has none, or an invalid traceparent. */
export function parseTraceContext(traceContext: TraceContext | undefined): SpanContext | undefined {
  const [, traceId = "", spanId = "", flags = ""] = w3c.exec(traceContext?.traceparent ?? "") ?? [];
  if (!isValidTraceId(traceId) || !isValidSpanId(spanId)) return undefined;
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(traceContext?.tracestate ? { traceState: createTraceState(traceContext.tracestate) } : {}),
  };
}

/** Whether `traceparent` is one, as W3C Trace Context has it. */
export function isTraceparent(traceparent: string): boolean {
  return w3c.test(traceparent);
}

/** Whether `id` is a span ID as a trace context has it. */
export function isSpanId(id: string): boolean {
  return /^[0-9a-f]{16}$/.test(id) && isValidSpanId(id);
}

/** The trace context that goes out with a task, and names exactly `span` (I2). */
export function formatTraceContext(span: SpanContext): TraceContext {
  const flags = (span.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0");
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    tracestate: span.traceState?.serialize() || undefined,
  };
}

/** The context whose span is `parent`; the root context if there is none. */
export function contextOf(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : new SpanOnlyContext(trace.wrapSpanContext(parent));
}
