import type { Group } from "../group.ts";
import { allocation } from "./allocation.ts";
import { cacheHit } from "./cache-hit.ts";
import { grpc } from "./grpc.ts";
import { importing } from "./import.ts";
import { inMemory, inMemoryUnrecorded } from "./in-memory.ts";
import { requestPath, requestPathUnrecorded } from "./request-path.ts";

/** All groups, in the order in which they run. */
export const groups: readonly Group[] = [
  inMemory,
  requestPath(10, { noop: "requestNoop10", defaults: "requestDefault10" }),
  requestPath(200, { noop: "requestNoop200", defaults: "requestDefault200" }),
  requestPath(1000, { defaults: "requestDefault1000" }),
  grpc,
  inMemoryUnrecorded,
  requestPathUnrecorded,
  allocation,
  cacheHit,
  importing,
];
