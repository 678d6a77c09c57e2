import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

/**
 * The directory of another build of this package to compare with.
 *
 * @param where a checkout with a `dist`, or a commit of this repository, which is then built in a temporary folder with
 *   the packages that are installed here: so both builds use the same copies of the SDKs.
 */
export function baseDirectory(where: string): string {
  if (existsSync(where)) return resolve(where);
  const directory = mkdtempSync(join(tmpdir(), "bench-base-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const archive = execFileSync("git", ["archive", "--format=tar", where], { cwd: root, maxBuffer: 2 ** 30 });
  execFileSync("tar", ["-x"], { cwd: directory, input: archive });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  execFileSync("npm", ["run", "--silent", "build", "--", "--logLevel", "error"], {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return directory;
}
