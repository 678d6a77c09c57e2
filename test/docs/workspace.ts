/** Directories outside the repository, in which the documentation's code is run as a user's would be. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./markdown.ts";

const modules = fileURLToPath(new URL("node_modules/", root));

/** What a process ended with. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory that is gone after the test. */
export class Workspace implements Disposable {
  /** Its path. */
  readonly path: string = realpathSync(mkdtempSync(join(tmpdir(), "durable-telemetry-docs-")));

  /** Writes a file; directories that it needs are made. */
  write(name: string, text: string): string {
    const file = join(this.path, name);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Installs packages of the repository's `node_modules`, by name: no network, no copies. */
  link(names: Iterable<string>): void {
    for (const name of names) this.linkAs(name, join(modules, name));
  }

  /** Installs the directory `target` as the package `name`. */
  linkAs(name: string, target: string): void {
    const link = join(this.path, "node_modules", name);
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkSync(target, link, "dir");
  }

  /** Runs a program in it to its end. */
  async run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const child = spawn(command, args, { cwd: this.path, env: { ...inherited(), ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    await once(child, "close");
    return { code: child.exitCode, stdout, stderr };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The environment, without what would change OpenTelemetry, the colours or the test runner's own children. */
export function inherited(): Record<string, string | undefined> {
  const foreign = /^(OTEL_|VITEST|NODE_OPTIONS|NODE_ENV|NO_COLOR|FORCE_COLOR)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** The names of all packages in the repository's `node_modules`. */
export function installedPackages(): readonly string[] {
  return readdirSync(modules, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .flatMap(({ name }) =>
      name.startsWith("@") ? readdirSync(join(modules, name)).map((each) => `${name}/${each}`) : [name],
    );
}

/** The path of a program that the repository has installed, such as `tsc`. */
export function program(name: string): string {
  return join(modules, ".bin", name);
}
