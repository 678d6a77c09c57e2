/** Options of {@link startLocalSidecar}. */
export interface LocalSidecarOptions {
  /** TCP port to listen on, 0 to 65535. The default, 0, chooses a free port. */
  readonly port?: number | undefined;
  /** Host name or IP address to listen on. The default, `127.0.0.1`, can't be reached from other machines. */
  readonly host?: string | undefined;
  /**
   * What happens to the trace contexts that clients and workers send. `"carry"` (the default) persists them and passes
   * them on, like the Durable Task Scheduler; `"drop"` discards them, like durabletask-go (telemetry.md I8).
   */
  readonly traceContext?: "carry" | "drop" | undefined;
}

/** The options with the defaults filled in. */
type CheckedOptions = { readonly [Name in keyof LocalSidecarOptions]-?: NonNullable<LocalSidecarOptions[Name]> };

interface Rule {
  readonly allowed: string;
  readonly accepts: (value: unknown) => boolean;
}

const RULES: Record<keyof LocalSidecarOptions, Rule> = {
  port: {
    allowed: "an integer from 0 to 65535",
    accepts: (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535,
  },
  host: {
    allowed: "a host name or IP address",
    accepts: (value) => typeof value === "string" && value !== "",
  },
  traceContext: {
    allowed: '"carry" or "drop"',
    accepts: (value) => value === "carry" || value === "drop",
  },
};

/** @throws {TypeError} for what is no option, and for a value that an option can't have. */
export function checkOptions(options: LocalSidecarOptions): CheckedOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("The options of startLocalSidecar must be an object.");
  }
  for (const [key, value] of Object.entries(options)) {
    const rule = Object.entries(RULES).find(([name]) => name === key)?.[1];
    if (rule === undefined) {
      const known = Object.keys(RULES).join(", ");
      throw new TypeError(`startLocalSidecar has no option '${key}'. Its options are: ${known}.`);
    }
    if (value !== undefined && !rule.accepts(value)) {
      throw new TypeError(`The option '${key}' of startLocalSidecar must be ${rule.allowed}.`);
    }
  }
  const { port = 0, host = "127.0.0.1", traceContext = "carry" } = options;
  return { port, host, traceContext };
}
