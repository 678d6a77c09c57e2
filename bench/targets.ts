/** What a figure counts. */
export type Unit = "x" | "difference" | "µs" | "ms";

/** A promise about what this package costs. */
export interface Target {
  readonly name: string;
  readonly unit: Unit;
  /** What was measured before the targets were set, at commit 822e0e4. */
  readonly before: string;
  readonly atMost: number;
}

/** The targets, by what they are of. */
export type TargetName =
  | "floor"
  | "base"
  | "operator"
  | "inMemoryNoop"
  | "requestNoop10"
  | "requestNoop200"
  | "requestDefault10"
  | "requestDefault200"
  | "requestDefault1000"
  | "grpcDefault"
  | "grpcNoop"
  | "unsampledInMemory"
  | "unsampledRequest"
  | "noProviderInMemory"
  | "noProviderRequest"
  | "allocation"
  | "cacheHit"
  | "import";

const own = "own CPU of the default pipeline for a step";

/** All targets, in the order of the table. "x" figures are of CPU time beside the bare SDK where the name says nothing else. */
export const targets: Readonly<Record<TargetName, Target>> = {
  floor: { name: `${own} / raw OpenTelemetry calls`, unit: "x", before: "x16", atMost: 4 },
  base: { name: `${own} / that of the base build`, unit: "x", before: "1", atMost: 0.2 },
  operator: {
    name: "the same with all that an operator can turn on / the default pipeline",
    unit: "x",
    before: "",
    atMost: 1.1,
  },
  inMemoryNoop: { name: "four no-op middlewares, in memory, 10 steps", unit: "x", before: "x1.4 to 1.9", atMost: 1.1 },
  requestNoop10: { name: "four no-op middlewares, request path, 10 steps", unit: "x", before: "x1.13", atMost: 1.04 },
  requestNoop200: { name: "four no-op middlewares, request path, 200 steps", unit: "x", before: "x1.06", atMost: 1.02 },
  requestDefault10: { name: "default pipeline, request path, 10 steps", unit: "x", before: "x1.52", atMost: 1.12 },
  requestDefault200: { name: "default pipeline, request path, 200 steps", unit: "x", before: "x1.23", atMost: 1.05 },
  requestDefault1000: { name: "default pipeline, request path, 1,000 steps", unit: "x", before: "?", atMost: 1.03 },
  grpcDefault: {
    name: "default pipeline, gRPC / SDK with its own tracing",
    unit: "x",
    before: "x1.46 to 1.52",
    atMost: 1.05,
  },
  grpcNoop: { name: "four no-op middlewares, gRPC / bare SDK", unit: "x", before: "x1.34", atMost: 1.04 },
  unsampledInMemory: {
    name: "traces not sampled, nothing else recorded - four no-op middlewares, in memory",
    unit: "difference",
    before: "?",
    atMost: 0.03,
  },
  unsampledRequest: {
    name: "traces not sampled, nothing else recorded - four no-op middlewares, request path",
    unit: "difference",
    before: "?",
    atMost: 0.03,
  },
  noProviderInMemory: {
    name: "no provider - four no-op middlewares, in memory",
    unit: "difference",
    before: "?",
    atMost: 0.03,
  },
  noProviderRequest: {
    name: "no provider - four no-op middlewares, request path",
    unit: "difference",
    before: "?",
    atMost: 0.03,
  },
  allocation: {
    name: "bytes allocated by the default pipeline for a step / by that of the base build",
    unit: "x",
    before: "1",
    atMost: 0.25,
  },
  cacheHit: {
    name: "cache hit beyond a pipeline that does nothing, an input of 1 KiB",
    unit: "µs",
    before: "15 µs",
    atMost: 8,
  },
  import: {
    name: 'import "durable-telemetry" beyond the API and the SDK',
    unit: "ms",
    before: "35 to 70 ms",
    atMost: 10,
  },
};
