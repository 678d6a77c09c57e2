import { createRequire } from "node:module";
import { metrics, trace } from "@opentelemetry/api";
import { registered, registeredVersion } from "./api-globals.ts";
import { fs, path } from "../on-demand.ts";

/** A copy of `@opentelemetry/api`, as far as it is known. */
interface ApiCopy {
  readonly version: string;
  readonly directory: string;
}

/**
 * Why telemetry of the built-in middlewares in `names` can't arrive, one sentence for each cause, with the way out; empty
 * where nothing is known to be wrong (telemetry.md I12). It looks at what is registered, and starts no span.
 */
export function startupProblems(names: readonly string[]): readonly string[] {
  const [tracers, meters] = [registered("trace"), registered("metrics")];
  const lacking = [
    ...(names.includes("tracing") && tracers === undefined ? ["TracerProvider"] : []),
    ...(names.includes("metrics") && meters === undefined ? ["MeterProvider"] : []),
  ];
  const unreachable = [
    ...(names.includes("tracing") && tracers !== undefined && tracers !== trace.getTracerProvider()
      ? ["TracerProvider"]
      : []),
    ...(names.includes("metrics") && meters !== undefined && meters !== metrics.getMeterProvider()
      ? ["MeterProvider"]
      : []),
  ];
  const first = registeredVersion();
  if (unreachable.length > 0) {
    return [
      `${unreachable.join(" and ")} registered with ${nameOf(first)}, which ${own()} can't use: nothing arrives there. ${oneCopy}`,
    ];
  }
  // An application with metrics alone, or traces alone, is common; one with neither has forgotten something.
  const isMissing = names.includes("tracing") ? lacking.includes("TracerProvider") : lacking.length > 0;
  if (!isMissing) return [];
  const refused = loadedCopies().filter(({ version }) => first !== undefined && version !== first);
  if (refused.length > 0) {
    const others = refused.map(({ version, directory }) => `${version} (${directory})`).join(", ");
    return [
      `no OpenTelemetry ${lacking.join(" and no ")} is registered, so nothing arrives there. ${nameOf(first)} was used first ` +
        `in this process, and refuses what other versions register: ${others}. ${oneCopy}`,
    ];
  }
  return [
    `no OpenTelemetry ${lacking.join(" and no ")} is registered, so nothing arrives there. Call setupOtlp() of ` +
      '"durable-telemetry/otlp", or start your OpenTelemetry SDK, before worker.start().',
  ];
}

const oneCopy =
  'Have one version of it: "npm ls @opentelemetry/api" says who brings which; "npm dedupe", or installing the version that your SDK asks for, removes the others.';

function nameOf(version: string | undefined): string {
  const copy = loadedCopies().find((each) => each.version === version);
  return `@opentelemetry/api ${version ?? "of an unknown version"}${copy === undefined ? "" : ` (${copy.directory})`}`;
}

function own(): string {
  const copy = ownCopy();
  return copy === undefined
    ? "the copy of this package"
    : `the copy of this package, ${copy.version} (${copy.directory}),`;
}

function ownCopy(): ApiCopy | undefined {
  try {
    return copyAt(createRequire(import.meta.url).resolve("@opentelemetry/api"));
  } catch {
    return undefined; // In a bundle.
  }
}

/** The copies that were loaded by `require`, and this package's own; Node.js has no list of those loaded by `import`. */
function loadedCopies(): readonly ApiCopy[] {
  // The cache is one for the process, whatever file asks for it.
  const required = Object.keys(createRequire(process.execPath).cache).filter((file) => mainFile.test(file));
  const copies = [...required.map(copyAt), ownCopy()].filter((copy) => copy !== undefined);
  return [...new Map(copies.map((copy) => [copy.directory, copy])).values()];
}

const mainFile = /[\\/]@opentelemetry[\\/]api[\\/](?:dist|build[\\/]src)[\\/]index\.c?js$/;

/** The version and the directory of the package in which a file lies. */
export function copyAt(mainFilePath: string): ApiCopy | undefined {
  for (
    let directory = path().dirname(mainFilePath), last = "";
    directory !== last;
    last = directory, directory = path().dirname(directory)
  ) {
    try {
      const manifest: unknown = JSON.parse(fs().readFileSync(path().join(directory, "package.json"), "utf8"));
      if (
        typeof manifest === "object" &&
        manifest !== null &&
        "version" in manifest &&
        typeof manifest.version === "string"
      ) {
        return { version: manifest.version, directory };
      }
    } catch {
      continue; // The package.json is in a directory above.
    }
  }
  return undefined;
}
