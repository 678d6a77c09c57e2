import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocalSidecar } from "../../src/testing/index.ts";
import { accountFor, type Account } from "./account.ts";
import { startOtlp } from "./backends.ts";
import { pack } from "./package.ts";
import { Project } from "./project.ts";
import { isOffline } from "./registry.ts";
import { durableTaskSdk } from "./trial.ts";

// A process with two copies of the OpenTelemetry API: the one that this package finds, and one that an agent brings.

const offline = await isOffline();
const minutes = 60_000;

/** A project with a version of the SDK, which brings a version of the API, and with agents that have other versions. */
class CopiesProject extends Project {
  async install(sdk: string, agents: readonly string[]): Promise<void> {
    using tarball = await pack();
    for (const version of agents) {
      this.write(
        `agent-${version}/package.json`,
        JSON.stringify({
          name: `agent-${version}`,
          version: "1.0.0",
          main: "index.cjs",
          dependencies: { "@opentelemetry/api": version },
        }),
      );
      this.write(`agent-${version}/index.cjs`, 'module.exports = require("@opentelemetry/api");');
    }
    await this.npmOk(
      "install",
      tarball.path,
      durableTaskSdk,
      `@opentelemetry/sdk-node@${sdk}`,
      ...agents.map((version) => `./agent-${version}`),
    );
    for (const file of ["app.mjs", "registered-by.mjs", "older-first.mjs"]) this.copy(file);
  }

  /** Where the agent has its copy. */
  copyOf(agent: string): string {
    return `${this.path}/agent-${agent}/node_modules/@opentelemetry/api`;
  }

  /** Runs the lab's workflow, started by a file that uses the agent's copy; returns what arrives and what is logged. */
  async run(file: string, agent: string): Promise<Account & { readonly lines: readonly string[] }> {
    await using sidecar = await startLocalSidecar();
    await using backend = await startOtlp();
    const ended = await this.node(["--import", `./${file}`, "app.mjs"], {
      ...backend.env,
      HOST_ADDRESS: sidecar.address,
      AGENT: `agent-${agent}`,
    });
    expect(ended).toMatchObject({ code: 0 });
    return {
      ...accountFor(backend.received(), 1),
      lines: ended.stderr.split("\n").filter((line) => line.includes("durable-telemetry")),
    };
  }
}

describe.skipIf(offline)("Where this package finds API 1.10, with SDK 3.x", () => {
  const project = new CopiesProject();
  beforeAll(() => project.install("0.301.0", ["1.4.1", "1.8.0", "1.9.1"]), 5 * minutes);
  afterAll(() => project[Symbol.dispose]());

  it.each(["1.4.1", "1.8.0", "1.9.1"])(
    "providers that an agent has registered with API %s get nothing, and one line explains why and names both copies",
    async (version) => {
      const { whole, torn, metrics, lines } = await project.run("registered-by.mjs", version);
      expect({ whole, torn, metrics }).toEqual({ whole: 0, torn: 0, metrics: 0 });
      expect(lines).toEqual([expect.stringContaining(`@opentelemetry/api ${version} (${project.copyOf(version)})`)]);
      expect(lines[0]).toContain(`1.10.0 (${project.path}/node_modules/@opentelemetry/api)`);
    },
  );

  it("where an agent was first with API 1.4, what setupOtlp registers is refused, and that is logged", async () => {
    const { whole, torn, metrics, lines } = await project.run("older-first.mjs", "1.4.1");
    expect({ whole, torn, metrics }).toEqual({ whole: 0, torn: 0, metrics: 0 });
    expect(lines.filter((line) => line.includes("1.4.1") && line.includes("1.10.0"))).not.toEqual([]);
  });
});

describe.skipIf(offline)("Where this package finds API 1.9, with SDK 2.x", () => {
  const project = new CopiesProject();
  beforeAll(() => project.install("0.223.0", ["1.8.0", "1.10.0"]), 5 * minutes);
  afterAll(() => project[Symbol.dispose]());

  it("providers that an agent has registered with API 1.8 get no spans and no metrics, and one line explains why", async () => {
    const { whole, torn, metrics, lines } = await project.run("registered-by.mjs", "1.8.0");
    expect({ whole, torn, metrics }).toEqual({ whole: 0, torn: 0, metrics: 0 });
    expect(lines).toEqual([expect.stringContaining(`@opentelemetry/api 1.8.0 (${project.copyOf("1.8.0")})`)]);
  });

  it("providers that an agent has registered with API 1.10 get everything, and nothing is logged", async () => {
    expect(await project.run("registered-by.mjs", "1.10.0")).toMatchObject({
      whole: 1,
      torn: 0,
      orphans: 0,
      logs: 17,
      metrics: 12,
      lines: [],
    });
  });
});
