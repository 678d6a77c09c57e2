/** Where packages come from: the registry that npm is configured with. */
import { run, npmEnvironment } from "./project.ts";

/** The URL of the configured registry, with a slash at its end; `undefined` where it can't be reached. */
export async function reachableRegistry(): Promise<string | undefined> {
  const configured = await run("npm", ["config", "get", "registry"], {
    cwd: "/",
    env: npmEnvironment(),
    timeout: 30_000,
  });
  const url = configured.stdout.trim().replace(/\/*$/, "/");
  try {
    const answer = await fetch(new URL("@opentelemetry%2fapi", url), {
      headers: { accept: "application/vnd.npm.install-v1+json" },
      signal: AbortSignal.timeout(20_000),
    });
    await answer.body?.cancel();
    return answer.ok ? url : undefined;
  } catch {
    return undefined;
  }
}

/** Whether to skip what installs packages: not where `CI` is set, so that it is not skipped for ever. */
export async function isOffline(): Promise<boolean> {
  if (process.env["CI"] || (await reachableRegistry()) !== undefined) return false;
  console.warn("No npm registry can be reached: the tests that install packages from it are skipped.");
  return true;
}
