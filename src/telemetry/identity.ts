import {
  createTraceState,
  INVALID_SPANID,
  INVALID_TRACEID,
  ROOT_CONTEXT,
  trace,
  TraceFlags,
  type Context,
  type SpanContext,
} from "@opentelemetry/api";
import { crypto } from "../on-demand.ts";
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

/**
 * The span of an activity's execution, where all that is known of what scheduled it is its trace: the same for a second run,
 * after a crash of the first.
 */
export function activitySpanIdIn(traceId: string, instanceId: string, taskId: number): string {
  return digest("activity in", [traceId, instanceId, String(taskId)]).slice(0, 16);
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

// At once, so that V8 has no parts to join when the ID is read.
function toSpanId(high: number, low: number): string {
  return String.fromCharCode(
    digit(high >>> 28),
    digit(high >>> 24),
    digit(high >>> 20),
    digit(high >>> 16),
    digit(high >>> 12),
    digit(high >>> 8),
    digit(high >>> 4),
    digit(high),
    digit(low >>> 28),
    digit(low >>> 24),
    digit(low >>> 20),
    digit(low >>> 16),
    digit(low >>> 12),
    digit(low >>> 8),
    digit(low >>> 4),
    digit(low),
  );
}

/** The character code of the hexadecimal digit for the lowest four bits. */
function digit(bits: number): number {
  const value = bits & 0xf;
  return value < 10 ? 48 + value : 87 + value;
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

/** The span context in a durable message; `undefined` if it has none, or an invalid traceparent. */
export function parseTraceContext(traceContext: TraceContext | undefined): SpanContext | undefined {
  if (traceContext === undefined) return undefined;
  const { traceparent, tracestate } = traceContext;
  if (!isTraceparent(traceparent)) return undefined;
  const traceId = traceparent.slice(3, 35);
  const spanId = traceparent.slice(36, 52);
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return undefined;
  const traceFlags = Number.parseInt(traceparent.slice(53, 55), 16);
  if (!tracestate) return { traceId, spanId, traceFlags, isRemote: true };
  return { traceId, spanId, traceFlags, isRemote: true, traceState: createTraceState(tracestate) };
}

/**
 * Whether `traceparent` is one, as W3C Trace Context has it: there is no version ff, 00 ends with the flags, and a version
 * to come may add to them. By its characters, because each task of a step asks for it.
 */
export function isTraceparent(traceparent: string): boolean {
  if (typeof traceparent !== "string" || traceparent.length < 55) return false;
  if (!isDash(traceparent, 2) || !isDash(traceparent, 35) || !isDash(traceparent, 52)) return false;
  if (!isHex(traceparent, 0, 2) || !isHex(traceparent, 3, 35)) return false;
  if (!isHex(traceparent, 36, 52) || !isHex(traceparent, 53, 55) || traceparent.startsWith("ff")) return false;
  return traceparent.length === 55 || (!traceparent.startsWith("00") && /^-.*$/.test(traceparent.slice(55)));
}

/** Whether `id` is a span ID as a trace context has it. */
export function isSpanId(id: string): boolean {
  return id.length === 16 && isHex(id, 0, 16) && id !== INVALID_SPANID;
}

function isDash(text: string, at: number): boolean {
  return text.charCodeAt(at) === 45;
}

// Digits, and letters from a to f.
function isHex(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 102 || (code > 57 && code < 97)) return false;
  }
  return true;
}

/** The trace context that goes out with a task, and names exactly `span` (I2). */
export function formatTraceContext(span: SpanContext): TraceContext {
  const flags = (span.traceFlags & TraceFlags.SAMPLED) === 0 ? "00" : "01";
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    tracestate: span.traceState?.serialize() || undefined,
  };
}

/** The context whose span is `parent`; the root context if there is none. */
export function contextOf(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : new SpanOnlyContext(trace.wrapSpanContext(parent));
}
