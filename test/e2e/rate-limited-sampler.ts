import type { Attributes, Context, SpanKind } from "@opentelemetry/api";
import { SamplingDecision, type Sampler, type SamplingResult } from "@opentelemetry/sdk-trace";

/**
 * A sampler that behaves as the default one of @azure/monitor-opentelemetry 1.21 does: it lets so many of the spans that it
 * is asked about through in a second, whatever their parent says, by a hash of the trace ID and the rate of the moment,
 * and writes the rate to the attributes. The time is the caller's.
 */
export class RateLimitedSampler implements Sampler {
  readonly #perSecond: number;
  readonly #now: () => number;
  #count = 0;
  #window = 0;
  #last: number;
  /** The names of the spans that it was asked about. */
  readonly asked: string[] = [];

  /** @param now - The time in milliseconds. */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#last = now();
  }

  shouldSample(
    _context: Context,
    traceId: string,
    name: string,
    _kind: SpanKind,
    attributes: Attributes,
  ): SamplingResult {
    this.asked.push(name);
    const percent = this.#percentNow();
    if (percent !== 100) attributes["_MS.sampleRate"] = percent;
    const isSampled = (Number.parseInt(traceId.slice(0, 8), 16) / 2 ** 32) * 100 < percent;
    return { decision: isSampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD, attributes };
  }

  // An average over the last tenth of a second, as a percentage that is 100 divided by a whole number.
  #percentNow(): number {
    const elapsed = this.#now() - this.#last;
    this.#last += elapsed;
    const decay = Math.exp(-elapsed / 100);
    this.#count = this.#count * decay + 1;
    this.#window = this.#window * decay + elapsed;
    const probability = Math.min(1, (this.#window / 1000) * (this.#perSecond / this.#count));
    return probability === 0 ? 0 : 100 / Math.ceil(1 / probability);
  }

  toString(): string {
    return `RateLimitedSampler{${this.#perSecond}}`;
  }
}
