/** The variable's text, trimmed; empty and blank mean unset, as the OpenTelemetry specification says. */
export function textFromEnv(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}

/**
 * Runs `fn`, which must be synchronous, with some variables set otherwise (`undefined`: unset).
 * For what can be told to the SDK through its environment only.
 */
export function withEnv<T>(variables: Readonly<Record<string, string | undefined>>, fn: () => T): T {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  try {
    for (const [name, value] of Object.entries(variables)) setVariable(name, value);
    return fn();
  } finally {
    for (const [name, value] of before) setVariable(name, value);
  }
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
