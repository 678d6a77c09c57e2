/** Whose protobuf classes a worker has. */
export type Protocol = "durable task" | "dapr";

/**
 * What to tell where the classes of both protocols are loaded: generated code for both keeps them in `globalThis.proto`
 * (google-protobuf), so the SDK that was loaded last replaces those of the other, whose messages it then decodes.
 *
 * @returns `undefined` where the classes of `own` are in place, or none are.
 */
export function protocolClash(own: Protocol): string | undefined {
  const { OrchestratorResponse: message } = (Reflect.get(globalThis, "proto") ?? {}) as {
    readonly OrchestratorResponse?: { readonly prototype: object };
  };
  if (message === undefined) return undefined;
  // Dapr's is of an earlier release.
  const loaded: Protocol = "setCompletiontoken" in message.prototype ? "durable task" : "dapr";
  if (loaded === own) return undefined;
  const [broken, last] =
    own === "dapr"
      ? ["Dapr's SDK", "@microsoft/durabletask-js"]
      : ["@microsoft/durabletask-js", "Dapr's SDK (@dapr/dapr or @dapr/durabletask-js)"];
  return (
    `this worker can't run work items: ${last} was loaded after ${broken} and replaced its protobuf classes, as both keep them in globalThis.proto. ` +
    "Load only one of them in a process; durable-telemetry/testing loads @microsoft/durabletask-js."
  );
}
