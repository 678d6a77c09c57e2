import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { page, tableBelow } from "../docs/markdown.ts";
import { run } from "./program.ts";

const { text } = page("docs/command-line.md");
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const commands = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) => block.trim().split("\n"));

describe("The page on the command line", () => {
  const directory = mkdtempSync(join(tmpdir(), "durable-telemetry-cli-docs-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  for (const file of ["traces.json", "worker-1.json", "worker-2.json"])
    copyFileSync(fixture("waiting.jsonl"), join(directory, file));

  it("has commands", () => {
    expect(commands.length).toBeGreaterThan(3);
  });

  it.each(commands)("has a command that runs: %s", async (command) => {
    // What comes before a pipe is another program, and gives what Jaeger answers.
    const [, args = "", , target] = /npx durable-telemetry ([^>]*?)( > (\S+))?$/.exec(command) ?? [];
    const input = command.startsWith("npx ") ? "" : readFileSync(fixture("jaeger.json"), "utf8");
    const { code, stdout, stderr } = await run(args.split(" "), { cwd: directory, input });
    expect(stderr).toBe("");
    // The traces of the files are those of the page's example, which wait.
    expect(code).toBe(input === "" ? 1 : 0);
    if (target !== undefined) expect((JSON.parse(stdout) as { traces: unknown[] }).traces).toHaveLength(1);
    const [, html] = /--html (\S+)/.exec(args) ?? [];
    if (html !== undefined) expect(existsSync(join(directory, html))).toBe(true);
  });

  it("shows what the program prints", async () => {
    const [, shown] = /^```text\n(.*?)^```$/ms.exec(text) ?? [];
    expect((await run(["trace", fixture("waiting.jsonl")])).stdout).toBe(shown);
  });

  it("has the options and the exit codes of the help", async () => {
    const { stdout } = await run(["--help"]);
    const optionsOf = (lines: string): readonly string[] => [...new Set(lines.match(/--[a-z-]+/g))].toSorted();
    const documented = tableBelow("options trace", page("docs/command-line.md")).map(([option = ""]) => option);
    expect(optionsOf(documented.join("\n"))).toEqual(optionsOf(stdout));
    const codes = tableBelow("exit codes", page("docs/command-line.md"));
    expect(stdout).toContain(`Exit codes: ${codes.map(([code, meaning]) => `${code} ${meaning}`).join("; ")}.`);
  });

  it("names the members of a trace of --json", async () => {
    const { stdout } = await run(["trace", "--json", "-"], { input: readFileSync(fixture("jaeger.json")) });
    const [trace = {}] = (JSON.parse(stdout) as { traces: object[] }).traces;
    const [, sentence = ""] = /Each trace has the members (.*?); times/s.exec(text) ?? [];
    const named = [...sentence.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
    expect(named.toSorted()).toEqual(Object.keys(trace).toSorted());
  });
});
