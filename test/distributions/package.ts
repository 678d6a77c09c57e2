/** The package as it would be published. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inherited, run } from "./project.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A tarball of this package, which is gone after the test. */
export interface Tarball extends Disposable {
  readonly path: string;
}

/** Packs this package. `dist` must have been built: scripts do not run, since other tests may be reading it. */
export async function pack(): Promise<Tarball> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "durable-telemetry-tarball-")));
  const flags = ["--ignore-scripts", "--silent", "--pack-destination", directory];
  const packed = await run("npm", ["pack", root, ...flags], { cwd: directory, env: inherited(), timeout: 60_000 });
  if (packed.code !== 0) throw new Error(`npm pack failed: ${packed.stderr}`);
  return {
    path: join(directory, packed.stdout.trim()),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
