// As "engines" in package.json.
const oldest = { major: 22, minor: 15 };

// Process-wide, so that the ESM and the CJS copy of this package say it once.
const reported = Symbol.for("durable-telemetry.runtime-reported");

/**
 * Whether this package can run here. Where Node.js is too old it says so, once in a process, and leaves the application
 * alone: the callers do nothing then. All entries call it when they load, and no code before that may need more than
 * Node.js 18 has; so from built-in modules, take new functions by their default export, as a name that is missing
 * there stops the whole program.
 */
export function isRuntimeSupported(): boolean {
  const { node, bun, deno } = process.versions;
  // Both have what this package needs, whatever version of Node.js they say they are like.
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
