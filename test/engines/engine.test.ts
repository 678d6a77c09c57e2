import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { buildOrSkip } from "../go-programs.ts";
import { startHub } from "./dapr-durabletask-go/hub.ts";
import { buildEngine, startEngine } from "./engine.ts";

const daprProgram = buildOrSkip("dapr-durabletask-go");

describe("Where there is no Go", () => {
  /** What a test file does to have an engine, in a process whose PATH has no programs, with an empty cache. */
  function build(env: Readonly<Record<string, string>>): { status: number | null; stdout: string; stderr: string } {
    const cache = mkdtempSync(join(tmpdir(), "durable-telemetry-engines-"));
    onTestFinished(() => rmSync(cache, { recursive: true }));
    const code = `
      import { buildOrSkip } from ${JSON.stringify(new URL("../go-programs.ts", import.meta.url).href)};
      console.log(buildOrSkip("durabletask-go"));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      encoding: "utf8",
      env: { ...env, PATH: cache, GO_PROGRAMS_CACHE: cache },
    });
    expect(readdirSync(cache)).toEqual([]);
    return { status, stdout, stderr };
  }

  it("tests with an engine are skipped, and one line says why", () => {
    expect(build({})).toEqual({
      status: 0,
      stdout: "undefined\n",
      stderr:
        "The tests with durabletask-go are skipped: set ENGINES=1 to build durabletask-go, which takes Go 1.24 or newer and some minutes.\n",
    });
  });

  it.each([{ CI: "true" }, { ENGINES: "1" }])("they fail with what to install, where %o is set", (env) => {
    const { status, stderr } = build(env);
    expect(status).toBe(1);
    expect(stderr).toContain(
      "durabletask-go could not be built: `go` did not run (spawnSync go ENOENT). Install Go 1.24 or newer.",
    );
  });
});

/** A port that is in use until the test is over. */
async function portInUse(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe.skipIf(!buildEngine())("durabletask-go", () => {
  it("ends at its start where PostgreSQL is not there, with a line that says so", async () => {
    const starting = startEngine({ postgres: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1" });
    await expect(starting).rejects.toThrow(
      /^The engine ended at its start \(1\): durabletask-go: failed to initialize the database: [^]*connection refused\n$/,
    );
  });

  it("ends at its start where the port is in use, with a line that says so", async () => {
    const port = await portInUse();
    await expect(startEngine({ port })).rejects.toThrow(
      `The engine ended at its start (1): durabletask-go: listen tcp 127.0.0.1:${port}: bind: address already in use\n`,
    );
  });

  it("that is killed is gone, and stopping it again does nothing", async () => {
    const engine = await startEngine();
    await engine.kill();
    await engine.stop();
    const [host, port] = engine.address.split(":");
    await expect(fetch(`http://${host}:${port}`)).rejects.toThrow("fetch failed");
  });
});

describe.skipIf(daprProgram === undefined)("The engine of Dapr", () => {
  it("ends at its start where the port is in use, with a line that says so", async () => {
    const port = await portInUse();
    await expect(startHub(daprProgram ?? "", { port })).rejects.toThrow(
      `The engine ended at its start (1): listen tcp 127.0.0.1:${port}: bind: address already in use\n`,
    );
  });
});
