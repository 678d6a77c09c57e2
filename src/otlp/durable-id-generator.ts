import { takeSpanId, takeTraceId } from "../telemetry/chosen-ids.ts";

/** An ID generator of the OpenTelemetry SDK. A structural type, so that it matches the `IdGenerator` of SDK 2.x and 3.x. */
export interface SpanIdGenerator {
  /** @returns 32 lowercase hex characters, not all zero. */
  generateTraceId(): string;
  /** @returns 16 lowercase hex characters, not all zero. */
  generateSpanId(): string;
}

/**
 * Returns the IDs that tracing derived from history for this package's own spans, and those of another generator for all
 * other spans (telemetry.md I6).
 *
 * `setupOtlp` installs it. Tracer providers of the OpenTelemetry SDK (1.x to 3.x) give spans those IDs without it; a provider
 * that wraps one and hides its tracers needs it in the provider that it wraps.
 *
 * @example
 * ```ts
 * import { NodeSDK } from "@opentelemetry/sdk-node";
 * import { DurableIdGenerator } from "durable-telemetry/otlp";
 *
 * new NodeSDK({ idGenerator: new DurableIdGenerator() }).start();
 * ```
 *
 * @example
 * ```ts
 * // AWS X-Ray wants a timestamp in its trace IDs:
 * new DurableIdGenerator(new AWSXRayIdGenerator());
 * ```
 */
export class DurableIdGenerator implements SpanIdGenerator {
  readonly #others: SpanIdGenerator;

  /**
   * @param others generates the IDs of all other spans; random ones by default.
   * @throws TypeError if `others` is given and is not an ID generator.
   */
  constructor(others: SpanIdGenerator = randomIds) {
    if (!isIdGenerator(others)) {
      throw new TypeError(
        "DurableIdGenerator: the argument must be an ID generator with generateTraceId() and generateSpanId()",
      );
    }
    this.#others = others;
  }

  /** @returns the chosen trace ID if a span of this package is being started, otherwise one from the other generator. */
  generateTraceId(): string {
    return takeTraceId() ?? this.#others.generateTraceId();
  }

  /** @returns the chosen span ID if a span of this package is being started, otherwise one from the other generator. */
  generateSpanId(): string {
    return takeSpanId() ?? this.#others.generateSpanId();
  }
}

// Not the SDK's own: this class works with every SDK, and is loaded where there is none.
const randomIds: SpanIdGenerator = { generateTraceId: () => randomId(4), generateSpanId: () => randomId(2) };

function randomId(words: number): string {
  let id = "";
  for (let i = 0; i < words; i++)
    id += Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return /[^0]/.test(id) ? id : randomId(words);
}

function isIdGenerator(value: unknown): value is SpanIdGenerator {
  return (
    typeof value === "object" &&
    value !== null &&
    "generateTraceId" in value &&
    typeof value.generateTraceId === "function" &&
    "generateSpanId" in value &&
    typeof value.generateSpanId === "function"
  );
}
