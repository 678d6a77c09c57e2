import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { skipRedis } from "./servers.ts";

// The example runs as its reader runs it: a process of its own, on the built package.

it.skipIf(skipRedis)(
  "C5 the example pays for each quote once, on two workers, after their restart, and again for what was invalidated",
  { timeout: 60_000 },
  async () => {
    const main = fileURLToPath(new URL("../../examples/cached-quotes/main.ts", import.meta.url));
    const inherited = Object.entries(process.env).filter(([name]) => !/^(OTEL_|VITEST|NODE_|REDIS_)/.test(name));
    const child = spawn(process.execPath, [main], { env: Object.fromEntries(inherited) });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const [exitCode]: unknown[] = await once(child, "close");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout.match(/worth .*/g)).toEqual([3, 0, 1].map((paid) => `worth 8186; paid for ${paid} of 6 quotes`));
    const outcomes = (title: string): readonly string[] => {
      const [, block = ""] = new RegExp(`${title}.*\n([^]*?)  worth`).exec(stdout) ?? [];
      return [...block.matchAll(/(\w+)$/gm)].map(([, outcome = ""]) => outcome);
    };
    expect(outcomes("Two workers").filter((outcome) => outcome === "miss")).toHaveLength(3);
    expect(new Set(outcomes("Two new workers"))).toEqual(new Set(["hit"]));
  },
);
