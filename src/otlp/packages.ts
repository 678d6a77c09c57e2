import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { OtlpSetupError } from "./errors.ts";
import { file, fromBundle } from "./packages.cjs";

/** The packages of the OpenTelemetry SDK that a set-up may need. */
interface Packages {
  "@grpc/grpc-js": typeof import("@grpc/grpc-js");
  "@opentelemetry/core": typeof import("@opentelemetry/core");
  "@opentelemetry/resources": typeof import("@opentelemetry/resources");
  "@opentelemetry/sdk-logs": typeof import("@opentelemetry/sdk-logs");
  "@opentelemetry/sdk-metrics": typeof import("@opentelemetry/sdk-metrics");
  "@opentelemetry/sdk-node": typeof import("@opentelemetry/sdk-node");
  "@opentelemetry/sdk-trace": typeof import("@opentelemetry/sdk-trace");
  "@opentelemetry/exporter-logs-otlp-grpc": typeof import("@opentelemetry/exporter-logs-otlp-grpc");
  "@opentelemetry/exporter-logs-otlp-http": typeof import("@opentelemetry/exporter-logs-otlp-http");
  "@opentelemetry/exporter-logs-otlp-proto": typeof import("@opentelemetry/exporter-logs-otlp-proto");
  "@opentelemetry/exporter-metrics-otlp-grpc": typeof import("@opentelemetry/exporter-metrics-otlp-grpc");
  "@opentelemetry/exporter-metrics-otlp-http": typeof import("@opentelemetry/exporter-metrics-otlp-http");
  "@opentelemetry/exporter-metrics-otlp-proto": typeof import("@opentelemetry/exporter-metrics-otlp-proto");
  "@opentelemetry/exporter-trace-otlp-grpc": typeof import("@opentelemetry/exporter-trace-otlp-grpc");
  "@opentelemetry/exporter-trace-otlp-http": typeof import("@opentelemetry/exporter-trace-otlp-http");
  "@opentelemetry/exporter-trace-otlp-proto": typeof import("@opentelemetry/exporter-trace-otlp-proto");
}

const sdkName = "@opentelemetry/sdk-node";

// SDK 3.0 is sdk-node 0.300.
const oldestMinor = 300;

// What sdk-node does not depend on itself, by the package of it that does.
const owners: Readonly<Record<string, string>> = { "@grpc/grpc-js": "@opentelemetry/otlp-grpc-exporter-base" };

/**
 * Loads a package of the OpenTelemetry SDK, where a set-up needs it. All come from where `@opentelemetry/sdk-node` has
 * them: that is what users install, and no other copy or version of a part is mixed in.
 *
 * @throws OtlpSetupError `DURABLE_TELEMETRY_SDK_MISSING` if it is not there, or belongs to SDK 2.x.
 */
export function load<TName extends keyof Packages>(name: TName): Packages[TName] {
  const found = file === undefined || basename(file) !== "packages.cjs" ? fromBundle(name) : fromDisk(name, file);
  if (found === undefined) throw new OtlpSetupError("DURABLE_TELEMETRY_SDK_MISSING", `${name} can't be found`);
  return found as Packages[TName];
}

function fromDisk(name: string, from: string): unknown {
  const sdk = resolve(sdkName, from);
  if (sdk === undefined) throw new OtlpSetupError("DURABLE_TELEMETRY_SDK_MISSING", `${sdkName} is not installed`);
  const { version, directory } = packageOf(sdk);
  if (Number(/^0\.(\d+)\./.exec(version)?.[1] ?? oldestMinor) < oldestMinor) {
    throw new OtlpSetupError("DURABLE_TELEMETRY_SDK_MISSING", `${sdkName} ${version} in ${directory} belongs to SDK 2.x`);
  }
  const owner = owners[name] === undefined ? sdk : resolve(owners[name], sdk);
  const path = owner === undefined ? undefined : resolve(name, owner);
  return path === undefined ? undefined : createRequire(from)(path);
}

function resolve(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** The SDK's version, and its directory, in which the file `path` lies. */
function packageOf(path: string): { readonly version: string; readonly directory: string } {
  for (let directory = dirname(path); directory !== dirname(directory); directory = dirname(directory)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Record<string, unknown>;
      if (name === sdkName && typeof version === "string") return { version, directory };
    } catch {
      // The package's own is further up.
    }
  }
  return { version: "", directory: dirname(path) };
}
