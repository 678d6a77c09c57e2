// As "engines" in package.json.
const oldest = { major: 22, minor: 15 };

// Process-wide, so that the ESM and the CJS copy of this package warn once.
const reported = Symbol.for("durable-telemetry.runtime-reported");

/**
 * Whether this package can run here. If Node.js is too old, it warns once per process, and the callers do nothing, so the
 * application runs as it would without this package.
 *
 * All entries call it when they load. Code that runs before may use only what Node.js 18 has. Import newer functions of
 * built-in modules through the default export: a named import that is missing stops the whole program.
 */
export function isRuntimeSupported(): boolean {
  const { node, bun, deno } = process.versions;
  // Both have what this package needs, whichever version of Node.js they report.
  if (bun !== undefined || deno !== undefined) return true;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return true;
  if (!Reflect.has(globalThis, reported)) {
    Reflect.set(globalThis, reported, true);
    console.warn(
      `durable-telemetry needs Node.js ${oldest.major}.${oldest.minor} or later and does nothing with this one, ${node}; the application runs without it.`,
    );
  }
  return false;
}
