type Code = "DURABLE_TELEMETRY_OTLP_RUNNING" | "DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED" | "DURABLE_TELEMETRY_SDK_MISSING";

const messages: Readonly<Record<Code, string>> = {
  DURABLE_TELEMETRY_OTLP_RUNNING:
    "setupOtlp: it is running in this process already. Call and await shutdown() on what the first call returned before you call it again.",
  DURABLE_TELEMETRY_TRACER_PROVIDER_REGISTERED:
    "setupOtlp: this process has another OpenTelemetry TracerProvider, so no span would come here. Shut that one down first (and call " +
    "trace.disable()), or keep it, leave setupOtlp out, and give it the ID generator: new NodeSDK({ idGenerator: new DurableIdGenerator() }).",
  DURABLE_TELEMETRY_SDK_MISSING:
    "setupOtlp needs OpenTelemetry's SDK 3.x. Install it with: npm install @opentelemetry/sdk-node@latest. " +
    "(A program that has SDK 2.x keeps its own set-up and leaves setupOtlp out.)",
};

/** `setupOtlp` can't set up: something else has been, or something is missing. */
export class OtlpSetupError extends Error {
  override readonly name = "OtlpSetupError";
  /** Stable code of this error. */
  readonly code: Code;

  constructor(code: Code, cause?: string) {
    super(cause === undefined ? messages[code] : `${messages[code]} The cause: ${cause}.`);
    this.code = code;
  }
}

/** What is thrown for an option that is wrong. */
export function invalid(problem: string): TypeError {
  return new TypeError(`setupOtlp: ${problem}`);
}

/** What a wrong value is, without telling what it says: it may be a secret. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const [, kind = "Object"] = /^\[object (\w+)\]$/.exec(Object.prototype.toString.call(value)) ?? [];
  return kind === "Object" ? "an object" : `an object of the kind ${kind}`;
}
