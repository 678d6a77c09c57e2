import { createRequire } from "node:module";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { basename } from "node:path";
import { bundledSdk } from "./lazy.cjs";

/** A class of an SDK whose objects are workers, or clients. */
export interface WorkerClass {
  readonly name: string;
  /** The name of the file that defines it, without its directory and extension. */
  readonly file: string;
  /** The methods through which an object gets its first work, at the latest. */
  readonly entries: readonly string[];
}

/** The workers of the Durable Task SDK and of Dapr's SDKs. Subclasses, and what builders build, are among their objects. */
export const workerClasses: readonly WorkerClass[] = [
  { name: "TaskHubGrpcWorker", file: "task-hub-grpc-worker", entries: ["start", "processOrchestratorRequest"] },
  { name: "TestOrchestrationWorker", file: "test-worker", entries: ["start"] },
];

/**
 * The clients of Dapr's SDKs, which make no spans themselves. The Durable Task SDK's own is called the same, and left
 * alone when it schedules.
 */
export const clientClasses: readonly WorkerClass[] = [{ name: "TaskHubGrpcClient", file: "client", entries: ["scheduleNewOrchestration"] }];

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
    const found: unknown = Reflect.get(exports, each.name);
    const prototype: unknown = typeof found === "function" ? found.prototype : undefined;
    return typeof prototype === "object" && prototype !== null ? [{ ...each, prototype }] : [];
  });
}

// By its last part: a file is required by any path, such as "./task-hub-grpc-worker".
const isWorkerFile = (path: string): boolean => files.has(basename(path.replaceAll("\\", "/"), ".js"));
const files: ReadonlySet<string> = new Set([...workerClasses, ...clientClasses].map(({ file }) => file));

/**
 * Calls `found` with the exports of each file that defines a worker or client class: of those that are loaded already, and of
 * those that will be. The SDK is CommonJS, and Node.js tells of each file of that kind that it loads, by `require` or
 * `import`, from a package or by a path. So no loader hook is needed, and no order of imports. In a bundle, the SDK is part of
 * the same file.
 *
 * @returns what stops it.
 */
export function watchWorkerFiles(found: (exports: unknown) => void): () => void {
  // The cache is one for the process, whatever file asks for it.
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
  return typeof message === "object" && message !== null && "id" in message && typeof message.id === "string" && "result" in message;
}
