import { createRequire } from "node:module";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { basename } from "node:path";
import { bundledSdk } from "./lazy.cjs";

/** A class of an SDK whose instances are workers or clients. */
export interface WorkerClass {
  readonly name: string;
  /** The name of the file that defines it, without its directory and extension. */
  readonly file: string;
  /** The methods that give an instance its first work. */
  readonly entries: readonly string[];
}

/** The worker classes of the Durable Task SDK and of Dapr's SDKs. Subclasses and the workers of builders are instances of these. */
export const workerClasses: readonly WorkerClass[] = [
  { name: "TaskHubGrpcWorker", file: "task-hub-grpc-worker", entries: ["start", "processOrchestratorRequest"] },
  { name: "TestOrchestrationWorker", file: "test-worker", entries: ["start"] },
];

/**
 * The clients of Dapr's SDKs, which make no spans themselves. The Durable Task SDK's own is called the same, and left
 * alone when it schedules.
 */
export const clientClasses: readonly WorkerClass[] = [
  { name: "TaskHubGrpcClient", file: "client", entries: ["scheduleNewOrchestration"] },
];

/** The prototypes of the worker classes that a module exports. */
export function exportedWorkers(exports: unknown): readonly ExportedClass[] {
  return exportedOf(exports, workerClasses);
}

/** The prototypes of the client classes that a module exports. */
export function exportedClients(exports: unknown): readonly ExportedClass[] {
  return exportedOf(exports, clientClasses);
}

/** A class that a module exports. */
export interface ExportedClass extends WorkerClass {
  readonly prototype: object;
}

function exportedOf(exports: unknown, classes: readonly WorkerClass[]): readonly ExportedClass[] {
  if (typeof exports !== "object" || exports === null) return [];
  return classes.flatMap((each) => {
    const prototype = prototypeIn(exports, each.name);
    return typeof prototype === "object" && prototype !== null ? [{ ...each, prototype }] : [];
  });
}

/** The application has files of these names too, such as a `client.js` whose exports are a proxy that throws. */
function prototypeIn(exports: object, name: string): unknown {
  try {
    const found: unknown = Object.hasOwn(exports, name) ? Reflect.get(exports, name) : undefined;
    return typeof found === "function" ? found.prototype : undefined;
  } catch {
    return undefined;
  }
}

// By its base name: a file can be required by any path, such as "./task-hub-grpc-worker".
const isWorkerFile = (path: string): boolean => files.has(basename(path.replaceAll("\\", "/"), ".js"));
const files: ReadonlySet<string> = new Set([...workerClasses, ...clientClasses].map(({ file }) => file));

/**
 * Calls `found` with the exports of each file that defines a worker or client class: files that are already loaded, and those that
 * are loaded later. The SDK is CommonJS, and Node.js publishes each CommonJS file that it loads, by `require` or `import`,
 * from a package or by path. So neither a loader hook nor an order of imports is needed. In a bundle, the SDK is part of the
 * same file.
 *
 * @returns stops the calls.
 */
export function watchWorkerFiles(found: (exports: unknown) => void): () => void {
  // The process has one cache, whichever file reads it.
  for (const [path, module] of Object.entries(createRequire(process.execPath).cache)) {
    if (module !== undefined && isWorkerFile(path)) found(module.exports);
  }
  found(bundledSdk());
  const onLoaded = (message: unknown): void => {
    if (isLoaded(message) && isWorkerFile(message.id)) found(message.result);
  };
  subscribe(loaded, onLoaded);
  return () => void unsubscribe(loaded, onLoaded);
}

const loaded = "tracing:module.require:end";

function isLoaded(message: unknown): message is { readonly id: string; readonly result: unknown } {
  return (
    typeof message === "object" &&
    message !== null &&
    "id" in message &&
    typeof message.id === "string" &&
    "result" in message
  );
}
