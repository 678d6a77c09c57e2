import { createRequire } from "node:module";

/** The range of SDK versions that the adapters were written and tested for. */
export const supportedSdkRange = ">=0.4.0 <1";

/** The version of the Durable Task SDK that this package finds, or `undefined`. */
export function installedSdkVersion(): string | undefined {
  try {
    const manifest: unknown = createRequire(import.meta.url)("@microsoft/durabletask-js/package.json");
    const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : undefined;
    return typeof version === "string" ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `version` lies in {@link supportedSdkRange}; prereleases count as what they lead to. */
export function isSupportedSdk(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.\d+/.exec(version);
  return match !== null && Number(match[1]) === 0 && Number(match[2]) >= 4;
}
