import { createRequire } from "node:module";
import { basename } from "node:path";
import { copyAt } from "../telemetry/startup-check.ts";
import { file, fromBundle } from "./packages.cjs";
import { OtlpSetupError } from "./diagnostics.ts";

/** The packages of the OpenTelemetry SDK that a set-up may need. */
interface Packages {
  "@grpc/grpc-js": typeof import("@grpc/grpc-js");
  "@opentelemetry/context-async-hooks": typeof import("@opentelemetry/context-async-hooks");
  "@opentelemetry/core": typeof import("@opentelemetry/core");
  "@opentelemetry/otlp-transformer": typeof import("@opentelemetry/otlp-transformer");
  "@opentelemetry/propagator-b3": typeof import("@opentelemetry/propagator-b3");
  "@opentelemetry/resources": typeof import("@opentelemetry/resources");
  "@opentelemetry/sdk-logs": typeof import("@opentelemetry/sdk-logs");
  "@opentelemetry/sdk-metrics": typeof import("@opentelemetry/sdk-metrics");
  "@opentelemetry/sdk-trace": typeof import("@opentelemetry/sdk-trace");
}

const sdkName = "@opentelemetry/sdk-node";

// SDK 3.0 is sdk-node 0.300.
const oldestMinor = 300;

// Packages that sdk-node does not depend on directly, by the one of its packages that does.
const owners: Readonly<Record<string, string>> = {
  "@grpc/grpc-js": "@opentelemetry/otlp-grpc-exporter-base",
  "@opentelemetry/otlp-transformer": "@opentelemetry/otlp-exporter-base",
};

/**
 * Loads a package of the OpenTelemetry SDK when a set-up needs it. All are resolved from `@opentelemetry/sdk-node`, which
 * users install, so that no other copy or version is mixed in. That package itself is not loaded: it would load every
 * exporter.
 *
 * @throws OtlpSetupError `DURABLE_TELEMETRY_SDK_MISSING` if it is not installed, or belongs to SDK 2.x.
 */
export function load<TName extends keyof Packages>(name: TName): Packages[TName] {
  const found = file === undefined || basename(file) !== "packages.cjs" ? fromBundle(name) : fromDisk(name, file);
  if (found === undefined) throw new OtlpSetupError("DURABLE_TELEMETRY_SDK_MISSING", `${name} can't be found`);
  return found as Packages[TName];
}

function fromDisk(name: string, from: string): unknown {
  const sdk = resolve(sdkName, from);
  if (sdk === undefined) throw new OtlpSetupError("DURABLE_TELEMETRY_SDK_MISSING", `${sdkName} is not installed`);
  const { version = "", directory = "" } = copyAt(sdk) ?? {};
  if (Number(/^0\.(\d+)\./.exec(version)?.[1] ?? oldestMinor) < oldestMinor) {
    throw new OtlpSetupError(
      "DURABLE_TELEMETRY_SDK_MISSING",
      `${sdkName} ${version} in ${directory} belongs to SDK 2.x`,
    );
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
