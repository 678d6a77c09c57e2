import {
  SamplingDecision,
  TraceFlags,
  type Attributes,
  type Context,
  type Link,
  type SpanContext,
  type SpanKind,
} from "@opentelemetry/api";
import { resultNow } from "../../src/telemetry/isolate.ts";
import { isolated } from "./faults.ts";
import { contextOf } from "../../src/telemetry/identity.ts";

/** A sampler of the OpenTelemetry SDK (2.x and 3.x); the API has no type for it. */
export interface Sampler {
  shouldSample(
    context: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): unknown;
  toString(): string;
}

/** A sampler's result. */
export interface Answer {
  readonly decision: SamplingDecision;
  readonly traceState?: SpanContext["traceState"];
  /** The attributes that it adds to the span; Azure Monitor's samplers add the rate. */
  readonly attributes?: Attributes;
}

/** The part of a span context that contains the sampling decision. */
export type Decision = Pick<SpanContext, "traceFlags" | "traceState">;

/** The span whose sampling decision applies to its whole trace. */
export interface SpanToDecide {
  readonly traceId: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly parent: SpanContext | undefined;
}

/**
 * The sampling decisions of one provider (telemetry.md I5, I10). Each trace has one decision: that of the work item if it
 * has one, so that a rate-limited sampler does not split a trace; otherwise the sampler's. The sampler's latest decisions
 * are remembered, for backends that persist none.
 */
export class Decisions {
  readonly #sampler: Sampler | undefined;
  readonly #byTraceIdAlone: boolean;
  // By trace ID, the latest last.
  readonly #answers = new Map<string, Answer>();

  constructor(sampler: Sampler | undefined) {
    this.#sampler = sampler;
    this.#byTraceIdAlone = sampler !== undefined && answersByTraceIdAlone(describe(sampler));
  }

  /** The decision for a span's trace. */
  decide(span: SpanToDecide): Decision {
    const { parent } = span;
    const sampler = this.#sampler;
    if (parent !== undefined) {
      // A sampler that always decides the same for a trace ID does not split a trace, so it is asked even if a caller has
      // decided: `always_off` on a worker turns all its traces off.
      return sampler !== undefined && this.#byTraceIdAlone
        ? decisionOf(this.#ask(span, sampler), parent)
        : obey(parent);
    }
    if (sampler === undefined) return { traceFlags: TraceFlags.SAMPLED };
    let answer = this.#answers.get(span.traceId);
    if (answer === undefined) {
      answer = this.#ask(span, sampler);
      this.#remember(span.traceId, answer);
    }
    return decisionOf(answer, undefined);
  }

  /**
   * Whether the sampler may sample spans of user code although the trace is not sampled: a sampler that decides for each
   * span may ignore the parent's decision. Azure Monitor's does if few spans were sampled.
   */
  letsThroughStrays({ traceFlags }: SpanContext): boolean {
    return this.#sampler !== undefined && !this.#byTraceIdAlone && !isSet(traceFlags);
  }

  /** The trace state that the sampler set for a trace, if it was asked in this process. */
  traceStateOf(traceId: string): SpanContext["traceState"] {
    return this.#answers.get(traceId)?.traceState;
  }

  /** The result that the SDK gets when it asks about one of our spans: the decision. */
  answerFor({ traceId, traceFlags, traceState }: SpanContext): Answer {
    const known = this.#answers.size === 0 ? undefined : this.#answers.get(traceId);
    if (known === undefined && traceState === undefined) return isSet(traceFlags) ? sampled : unsampled;
    const decision = isSet(traceFlags) ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD;
    // Trace flags can't represent "record, don't sample".
    const isKnown = known !== undefined && isSampled(known) === isSet(traceFlags);
    return { ...(isKnown ? known : { decision }), ...(traceState === undefined ? {} : { traceState }) };
  }

  // If the sampler fails, the whole trace is not sampled.
  #ask({ traceId, name, kind, attributes, parent }: SpanToDecide, sampler: Sampler): Answer {
    try {
      return answerOf(sampler, contextOf(parent), traceId, name, kind, attributes);
    } catch (error) {
      isolated.fault("the sampler failed, so a trace is not sampled", error);
      return unsampled;
    }
  }

  #remember(traceId: string, answer: Answer): void {
    this.#answers.set(traceId, answer);
    if (this.#answers.size <= answersKept) return;
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined) this.#answers.delete(oldest);
  }
}

const unsampled: Answer = { decision: SamplingDecision.NOT_RECORD };
const sampled: Answer = { decision: SamplingDecision.RECORD_AND_SAMPLED };
const answers: Readonly<Record<SamplingDecision, Answer>> = {
  [SamplingDecision.NOT_RECORD]: unsampled,
  [SamplingDecision.RECORD]: { decision: SamplingDecision.RECORD },
  [SamplingDecision.RECORD_AND_SAMPLED]: sampled,
};
const answersKept = 4096;

const isSet = (flags: number): boolean => (flags & TraceFlags.SAMPLED) !== 0;
const isSampled = ({ decision }: Answer): boolean => decision === SamplingDecision.RECORD_AND_SAMPLED;

function decisionOf(answer: Answer, parent: SpanContext | undefined): Decision {
  const traceFlags = isSampled(answer) ? TraceFlags.SAMPLED : TraceFlags.NONE;
  const traceState = answer.traceState ?? parent?.traceState;
  return traceState === undefined ? { traceFlags } : { traceFlags, traceState };
}

function obey({ traceFlags, traceState }: SpanContext): Decision {
  const own = traceFlags & TraceFlags.SAMPLED;
  return traceState === undefined ? { traceFlags: own } : { traceFlags: own, traceState };
}

/** A span context's trace state, if it has one. */
export function withState(traceState: SpanContext["traceState"]): Pick<SpanContext, "traceState"> {
  return traceState === undefined ? {} : { traceState };
}

// Recognizes the samplers of the OpenTelemetry SDK by their descriptions, because minifiers change class names.
const stateless: ReadonlySet<string> = new Set([
  "AlwaysOnSampler",
  "AlwaysOffSampler",
  "TraceIdRatioBased",
  "ParentBased",
  "root",
  "remoteParentSampled",
  "remoteParentNotSampled",
  "localParentSampled",
  "localParentNotSampled",
  // In a small ratio.
  "e",
  // New Relic's (newrelic 14.5): it wants the spans of servers, and no client's outside of a transaction.
  "NrSampler",
]);

function describe(sampler: Sampler): string {
  try {
    return sampler.toString().slice(0, 1000);
  } catch {
    return "";
  }
}

function answersByTraceIdAlone(description: string): boolean {
  return description.match(/[A-Za-z]+/g)?.every((word) => stateless.has(word)) ?? false;
}

const decisions: ReadonlySet<unknown> = new Set([
  SamplingDecision.NOT_RECORD,
  SamplingDecision.RECORD,
  SamplingDecision.RECORD_AND_SAMPLED,
]);

function answerOf(
  sampler: Sampler,
  context: Context,
  traceId: string,
  name: string,
  kind: SpanKind,
  attributes: Attributes,
): Answer {
  // A sampler can write to its arguments, and the SDK reads the attributes from there.
  const given = { ...attributes };
  const result = resultNow(sampler.shouldSample(context, traceId, name, kind, given, []), "shouldSample");
  if (typeof result !== "object" || result === null) throw new TypeError("it returned no decision");
  const { decision, traceState, attributes: own } = result as Partial<Answer>;
  if (decision === undefined || !decisions.has(decision)) throw new TypeError("it returned no decision");
  const state = typeof traceState?.serialize === "function" ? traceState : undefined;
  const added = addedTo(attributes, own === undefined ? given : { ...given, ...own });
  if (added === undefined && state === undefined) return answers[decision];
  return { decision, ...withState(state), ...(added === undefined ? {} : { attributes: added }) };
}

// What a sampler added to a span's attributes, or changed.
function addedTo(attributes: Attributes, now: Attributes): Attributes | undefined {
  let added: Attributes | undefined;
  let count = 0;
  for (const key in now) {
    const value = now[key];
    if (value === attributes[key] || !isSmall(value) || count === attributesKept) continue;
    added ??= {};
    added[key] = value;
    count += 1;
  }
  return added;
}

const attributesKept = 8;

function isSmall(value: unknown): boolean {
  return typeof value === "number" || typeof value === "boolean" || (typeof value === "string" && value.length <= 256);
}
