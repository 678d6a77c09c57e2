import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocalSidecar, type LocalSidecar } from "../../src/testing/index.ts";
import { accountFor } from "../distributions/account.ts";
import { startOtlp } from "../distributions/backends.ts";
import { pack, type Tarball } from "../distributions/package.ts";
import { inherited, Project, run, type Ended } from "../distributions/project.ts";
import { isOffline } from "../distributions/registry.ts";
import { durableTaskSdk } from "../distributions/trial.ts";

// Other programs than the Node.js that this package is made for, from the npm packages that install them.

const offline = await isOffline();
const minutes = 60_000;
const { engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly engines: { readonly node: string };
};

/** A project with the package, and with a runtime, which is an npm package. */
class RuntimeProject extends Project {
  #program: string | undefined;

  /** Whether the runtime could not be installed, so that tests of it are skipped: never where `CI` is set. */
  get isMissing(): boolean {
    return this.#program === undefined;
  }

  /** @param runtime - Such as `bun@1.4.5`: the package, which has a program of its name. */
  async install(tarball: string, runtime: string): Promise<void> {
    await this.npmOk("install", tarball, durableTaskSdk, "@opentelemetry/sdk-node@0.301.0");
    const { code } = await this.npm("install", runtime);
    const program = join(this.path, "node_modules", ".bin", runtime.replace(/@.*/, ""));
    const works =
      code === 0 &&
      (await run(program, ["--version"], { cwd: this.path, env: inherited(), timeout: minutes })).code === 0;
    if (works) this.#program = program;
    else if (process.env["CI"]) throw new Error(`${runtime} can't be installed.`);
    else console.warn(`${runtime} can't be installed from the npm registry: its tests are skipped.`);
  }

  /** Runs a program with it. */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    if (this.#program === undefined) throw new Error("The runtime is not installed.");
    return run(this.#program, args, {
      cwd: this.path,
      env: { ...inherited(), NO_COLOR: "1", ...env },
      timeout: minutes,
    });
  }
}

describe.skipIf(offline)("On another runtime", () => {
  let tarball: Tarball;
  let sidecar: LocalSidecar;
  beforeAll(async () => {
    tarball = await pack();
    sidecar = await startLocalSidecar();
  });
  afterAll(async () => {
    tarball[Symbol.dispose]();
    await sidecar.close();
  });

  describe.each(["20.9.0", "18.20.8"])("on Node.js %s, which is older than the package needs", (version) => {
    const line = `durable-telemetry needs Node.js ${engines.node.replace(">=", "")} or later and does nothing with this one, ${version}; the application runs without it.\n`;
    const project = new RuntimeProject();
    beforeAll(async () => {
      await project.install(tarball.path, `node@${version}`);
      project.write("all-of-it.mjs", readFileSync(new URL("fixtures/all-of-it.mjs", import.meta.url), "utf8"));
    }, 5 * minutes);
    afterAll(() => project[Symbol.dispose]());

    it.for(["", "/middlewares", "/otlp", "/instrumentation", "/register", "/testing"])(
      "durable-telemetry%s warns in one line when it is loaded, imported or required",
      async (entry, { skip }) => {
        skip(project.isMissing);
        const imported = await project.run([
          "--input-type=module",
          "-e",
          `await import("durable-telemetry${entry}"); await import("durable-telemetry${entry}")`,
        ]);
        const required = await project.run([
          "-e",
          `require("durable-telemetry${entry}"); import("durable-telemetry${entry}")`,
        ]);
        for (const ended of [imported, required]) expect(ended).toEqual({ code: 0, stdout: "", stderr: line });
      },
    );

    it("--import durable-telemetry/register leaves the application and its exit code alone", async ({ skip }) => {
      skip(project.isMissing);
      for (const option of ["--import", "--require"]) {
        const ended = await project.run([
          option,
          "durable-telemetry/register",
          "-e",
          "console.log('ran'); process.exitCode = 7",
        ]);
        expect(ended).toEqual({ code: 7, stdout: "ran\n", stderr: line });
      }
    });

    it("an application that uses every entry does what it does without", async ({ skip }) => {
      skip(project.isMissing);
      const env = { HOST_ADDRESS: sidecar.address };
      const bare = await project.run(["all-of-it.mjs"], { ...env, BARE: "1" });
      expect(bare).toEqual({ code: 3, stdout: '["Hello, Ada!","Hello, Ada!"]\n', stderr: "" });
      expect(await project.run(["all-of-it.mjs"], env)).toEqual({ ...bare, stderr: line });
    });
  });

  describe.each([
    { runtime: "bun@1.4.5", args: [] },
    { runtime: "deno@2.9.6", args: ["run", "-A"] },
  ])("on $runtime", ({ runtime, args }) => {
    const project = new RuntimeProject();
    beforeAll(async () => {
      await project.install(tarball.path, runtime);
      for (const file of ["app.mjs", "setup-otlp.mjs"]) project.copy(file);
      project.write("main.mjs", 'import "./setup-otlp.mjs";\nawait import("./app.mjs");\n');
      project.write("registered.mjs", 'import "durable-telemetry/register";\nawait import("./app.mjs");\n');
    }, 5 * minutes);
    afterAll(() => project[Symbol.dispose]());

    it("traces are whole, and log records and metrics arrive", async ({ skip }) => {
      skip(project.isMissing);
      await using backend = await startOtlp();
      const ended = await project.run([...args, "main.mjs"], { ...backend.env, HOST_ADDRESS: sidecar.address });
      expect(ended).toMatchObject({ code: 0 });
      expect(accountFor(backend.received(), 1)).toMatchObject({
        whole: 1,
        torn: 0,
        orphans: 0,
        doubled: 0,
        tooShort: 0,
        logs: 17,
        metrics: 12,
      });
    });

    it("durable-telemetry/register instruments the workers, or logs that it can't", async ({ skip }) => {
      skip(project.isMissing);
      await using backend = await startOtlp();
      const ended = await project.run([...args, "registered.mjs"], {
        ...backend.env,
        UNDECORATED: "1",
        HOST_ADDRESS: sidecar.address,
      });
      expect(ended).toMatchObject({ code: 0 });
      const lines = ended.stderr.split("\n").filter((line) => line.includes("durable-telemetry"));
      const { whole } = accountFor(backend.received(), 1);
      if (whole === 1) expect(lines).toEqual([]);
      else expect(lines).toEqual([expect.stringMatching(/no worker is instrumented.*withDurableTelemetry/)]);
    });
  });
});
