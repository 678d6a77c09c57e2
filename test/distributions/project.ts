/** Empty npm projects outside the repository, in which packages are installed as a user's are. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What a process ended with. `code` is `null` if it had to be killed because its time was over. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How large an installation is. */
export interface Size {
  /** Folders with a package in them, copies of one package included. */
  readonly packages: number;
  /** In units of 1,000,000 bytes, as the file sizes add up. */
  readonly megabytes: number;
}

interface LockedPackage {
  readonly version?: string;
}

/** An npm project in a directory that is gone after the test. */
export class Project implements Disposable {
  /** Its path. */
  readonly path: string = realpathSync(mkdtempSync(join(tmpdir(), "durable-telemetry-project-")));

  readonly #registry: string | undefined;

  /** @param registry - Where npm looks for packages; by default as it is configured. */
  constructor(registry?: string) {
    this.#registry = registry;
    this.write("package.json", JSON.stringify({ name: "project", version: "1.0.0", private: true }));
  }

  /** Writes a file; its directory is made. */
  write(name: string, text: string): void {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Copies `apps/NAME` of this folder into the project. */
  copy(name: string): void {
    copyFileSync(fileURLToPath(new URL(`apps/${name}`, import.meta.url)), join(this.path, name));
  }

  /** Runs npm as it is installed, without flags of ours. */
  npm(...args: readonly string[]): Promise<Ended> {
    return run("npm", args, {
      cwd: this.path,
      env: { ...npmEnvironment(), ...(this.#registry && { npm_config_registry: this.#registry }) },
      timeout: 240_000,
    });
  }

  /** Runs npm, which must succeed. */
  async npmOk(...args: readonly string[]): Promise<Ended> {
    const ended = await this.npm(...args);
    if (ended.code !== 0)
      throw new Error(`npm ${args.join(" ")} ended with ${ended.code}:\n${ended.stderr}${ended.stdout}`);
    return ended;
  }

  /** Runs Node.js, the version that runs the tests, with `env` and nothing that would change telemetry. */
  node(args: readonly string[], env: Readonly<Record<string, string>> = {}, timeout = 60_000): Promise<Ended> {
    return run(process.execPath, args, { cwd: this.path, env: { ...inherited(), ...env }, timeout });
  }

  /** The versions of all installed copies of a package. */
  versions(name: string): readonly string[] {
    return Object.entries(this.#locked())
      .filter(([path]) => path.endsWith(`node_modules/${name}`))
      .map(([, { version }]) => version ?? "");
  }

  /** How large `node_modules` is. */
  size(): Size {
    return { packages: Object.keys(this.#locked()).length, megabytes: bytesIn(join(this.path, "node_modules")) / 1e6 };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  #locked(): Readonly<Record<string, LockedPackage>> {
    const file = join(this.path, "node_modules", ".package-lock.json");
    if (!existsSync(file)) return {};
    const { packages } = JSON.parse(readFileSync(file, "utf8")) as {
      readonly packages: Readonly<Record<string, LockedPackage>>;
    };
    return packages;
  }
}

/** The lines in which npm complains about peers; an installation that is in order has none. */
export function peerComplaints({ stderr, stdout }: Ended): readonly string[] {
  return `${stderr}\n${stdout}`.split("\n").filter((line) => /ERESOLVE|peer|conflict/i.test(line));
}

/** Runs a program to its end, for `timeout` milliseconds at most. */
export async function run(
  command: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly timeout: number;
  },
): Promise<Ended> {
  const child = spawn(command, args, { ...options, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  await once(child, "close");
  return { code: child.exitCode, stdout, stderr };
}

/** The environment without what would change OpenTelemetry, an agent, or the test runner's own children. */
export function inherited(): Record<string, string | undefined> {
  const foreign =
    /^(OTEL_|DD_|NEW_RELIC_|SENTRY_|APPLICATIONINSIGHTS_|ELASTIC_|SPLUNK_|VITEST|NODE_OPTIONS|NODE_ENV|FORCE_COLOR|npm_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** As a terminal's: of npm's own variables, those that name where packages come from. Its `node` is the one that runs the tests. */
export function npmEnvironment(): Record<string, string | undefined> {
  const where = /^npm_config_(registry|cache|userconfig|globalconfig|proxy|https_proxy|noproxy|cafile)$/i;
  const npm = Object.fromEntries(Object.entries(process.env).filter(([name]) => where.test(name)));
  return { ...inherited(), ...npm, PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}` };
}

function bytesIn(directory: string): number {
  if (!existsSync(directory)) return 0;
  return readdirSync(directory, { withFileTypes: true })
    .map((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return bytesIn(path);
      return lstatSync(path).isSymbolicLink() ? 0 : statSync(path).size;
    })
    .reduce((sum, bytes) => sum + bytes, 0);
}
