export type { LocalSidecarOptions } from "./options.ts";
export { startLocalSidecar, type LocalSidecar } from "./start-local-sidecar.ts";
