import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Workspace } from "../docs/workspace.ts";
import { pack } from "../distributions/package.ts";
import { program } from "./program.ts";

describe("durable-telemetry, installed from its tarball in an empty project", () => {
  it("runs with npx, without OpenTelemetry and without the Durable Task SDK", async () => {
    using tarball = await pack();
    using workspace = new Workspace();
    const modules = join(workspace.path, "node_modules");
    mkdirSync(join(modules, "durable-telemetry"), { recursive: true });
    const unpack = ["-xzf", tarball.path, "-C", join(modules, "durable-telemetry"), "--strip-components", "1"];
    expect(spawnSync("tar", unpack).status).toBe(0);
    workspace.link(["@streamparser/json"]);
    workspace.write("package.json", JSON.stringify({ name: "empty" }));
    // What npm does with `bin`.
    const { bin, version } = JSON.parse(readFileSync(join(modules, "durable-telemetry/package.json"), "utf8")) as {
      readonly bin: Readonly<Record<string, string>>;
      readonly version: string;
    };
    mkdirSync(join(modules, ".bin"));
    for (const [name, file] of Object.entries(bin)) {
      symlinkSync(join("..", "durable-telemetry", file), join(modules, ".bin", name));
      chmodSync(join(modules, "durable-telemetry", file), 0o755);
    }
    const npx = (...args: readonly string[]): ReturnType<Workspace["run"]> =>
      workspace.run("npx", ["--no-install", "durable-telemetry", ...args], { npm_config_update_notifier: "false" });
    expect(await npx("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
    workspace.write(
      "traces.json",
      JSON.stringify({
        resourceSpans: [
          {
            scopeSpans: [
              { spans: [{ traceId: "1", spanId: "2", name: "order", startTimeUnixNano: 1, endTimeUnixNano: 9 }] },
            ],
          },
        ],
      }),
    );
    const ran = await npx("trace", "traces.json", "--html", "page.html");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toContain("1 span in 1 trace · 1 whole");
    expect(readFileSync(join(workspace.path, "page.html"), "utf8")).toContain("order");
  });

  it("is one file, and loads the JSON parser and nothing else", () => {
    const text = readFileSync(program, "utf8");
    expect(text.startsWith("#!/usr/bin/env node\n")).toBe(true);
    const imported = [...text.matchAll(/^import .* from "([^"]+)";|\b(?:import|require)\("([^"]+)"\)/gm)].map(
      ([, name, dynamic]) => name ?? dynamic,
    );
    expect(imported.filter((name) => !name?.startsWith("node:"))).toEqual(["@streamparser/json"]);
  });
});
