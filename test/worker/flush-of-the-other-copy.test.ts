import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

// As where a program that requires the package is started with `--import`, of a file that calls `setupOtlp`.
it.each(["same", "other"])(
  "S1 the shutdown of the %s copy of the package sends what an episode still has to emit",
  async (copy) => {
    const program = fileURLToPath(new URL("fixtures/flush-of-the-other-copy.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program, copy]);
    expect(JSON.parse(stdout)).toEqual({ wanted: 5001, arrived: 5001 });
  },
);
