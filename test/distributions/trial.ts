/** Tries a stack: installs it in an empty project, then this package beside it, and runs the lab's workflow there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startLocalSidecar } from "../../src/testing/index.ts";
import { accountFor, type Account } from "./account.ts";
import { peerComplaints, Project, type Ended } from "./project.ts";
import type { Stack } from "./stacks.ts";

export const durableTaskSdk = "@microsoft/durabletask-js@0.4.0";

/** What an installation came to. */
export interface Installed {
  /** What npm prints about peers, in both of its runs and in `npm ci`. */
  readonly complaints: readonly string[];
  readonly isCi: boolean;
  /** The versions of all copies of `@opentelemetry/api`: of the stack alone, and with this package. */
  readonly apiBefore: readonly string[];
  readonly api: readonly string[];
  /** What this package added to a project that has the stack and the Durable Task SDK. */
  readonly packages: number;
  readonly megabytes: number;
}

/** Installs a stack as its documentation says, then this package with one line. @throws Error if npm fails. */
export async function install(project: Project, stack: Stack, tarball: string): Promise<Installed> {
  if (stack.install.length > 0) await project.npmOk("install", ...stack.install);
  await project.npmOk("install", durableTaskSdk);
  const [before, apiBefore] = [project.size(), project.versions("@opentelemetry/api")];
  const installed = await project.npmOk("install", tarball, "@microsoft/durabletask-js", ...(stack.with ?? []));
  const after = project.size();
  const ci = await project.npm("ci");
  return {
    complaints: [...peerComplaints(installed), ...peerComplaints(ci)],
    isCi: ci.code === 0,
    apiBefore,
    api: project.versions("@opentelemetry/api"),
    packages: after.packages - before.packages,
    megabytes: after.megabytes - before.megabytes,
  };
}

/** What a run came to. */
export interface Trial extends Account {
  readonly ended: Ended;
  /** The results of the orchestrations. */
  readonly results: readonly unknown[];
  /** The lines that this package printed. */
  readonly lines: readonly string[];
}

/** Runs the workflow in a project that has the stack. @param bare - Without this package. */
export async function runWorkflow(
  project: Project,
  stack: Stack,
  options: { readonly bare?: boolean; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Trial> {
  for (const file of ["app.mjs", ...stack.files]) project.copy(file);
  await using sidecar = await startLocalSidecar();
  await using backend = await stack.start();
  const env = {
    ...backend.env,
    ...stack.env,
    ...options.env,
    HOST_ADDRESS: sidecar.address,
    ORCHESTRATIONS: String(stack.orchestrations),
    ...(options.bare === true ? { BARE: "1" } : {}),
  };
  const ended = await project.node([...stack.nodeArgs, "app.mjs"], env, 120_000);
  const file = join(project.path, "results.json");
  return {
    ...accountFor(backend.received(), stack.orchestrations, stack.whole),
    ended,
    results: existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as readonly unknown[]) : [],
    lines: `${ended.stdout}\n${ended.stderr}`
      .split("\n")
      .filter((line) => /durable-telemetry|durable telemetry/i.test(line)),
  };
}
