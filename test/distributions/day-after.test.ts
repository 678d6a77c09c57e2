import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page } from "../docs/markdown.ts";
import { startLocalSidecar } from "../../src/testing/index.ts";
import { accountFor } from "./account.ts";
import { startOtlp } from "./backends.ts";
import { startFutureRegistry, type FutureRegistry } from "./future-registry.ts";
import { pack, type Tarball } from "./package.ts";
import { peerComplaints, Project } from "./project.ts";
import { isOffline, reachableRegistry } from "./registry.ts";

const offline = await isOffline();
const minutes = 60_000;

/** The lines of the README that install this package, without `npm install`. */
const lines = [...page("README.md").text.matchAll(/^npm install (durable-telemetry .*)$/gm)].map(
  ([, line = ""]) => line,
);

/** API 1.11 and SDK 3.2, of which every package refuses the API before. */
const release = {
  versions: { "1.10.0": "1.11.0", "3.1.0": "3.2.0", "0.301.0": "0.302.0" },
  peers: { "@opentelemetry/api": ">=1.11.0 <1.12.0" },
};

describe.skipIf(offline)("On the day on which OpenTelemetry API 1.11 and SDK 3.2 are out", () => {
  let tarball: Tarball;
  let registry: FutureRegistry;
  beforeAll(async () => {
    tarball = await pack();
    registry = await startFutureRegistry((await reachableRegistry()) ?? "", release);
  });
  afterAll(async () => {
    tarball[Symbol.dispose]();
    await registry[Symbol.asyncDispose]();
  });

  it("the README has an install line for each kind of user", () => {
    expect(lines).toHaveLength(2);
  });

  it.each([
    { line: lines[0] ?? "", before: [], api: "1.11.0", sdk: [] },
    { line: lines[0] ?? "", before: ["@opentelemetry/sdk-node@0.302.0"], api: "1.11.0", sdk: ["0.302.0"] },
    { line: lines[0] ?? "", before: ["@opentelemetry/sdk-node@0.301.0"], api: "1.10.0", sdk: ["0.301.0"] },
    { line: lines[0] ?? "", before: ["@opentelemetry/sdk-node@0.223.0"], api: "1.9.1", sdk: ["0.223.0"] },
    { line: lines[1] ?? "", before: [], api: "1.11.0", sdk: ["0.302.0"] },
  ])(
    "npm install $line, after $before, brings one copy of the API, $api",
    async ({ line, before, api, sdk }) => {
      using project = new Project(registry.url);
      if (before.length > 0) await project.npmOk("install", ...before);
      const installed = await project.npmOk("install", ...line.replace("durable-telemetry", tarball.path).split(" "));
      const ci = await project.npmOk("ci");
      expect([...peerComplaints(installed), ...peerComplaints(ci)]).toEqual([]);
      expect(project.versions("@opentelemetry/api")).toEqual([api]);
      expect(project.versions("@opentelemetry/sdk-node")).toEqual(sdk);
    },
    5 * minutes,
  );

  it(
    "setupOtlp runs on the SDK that is new then",
    async () => {
      using project = new Project(registry.url);
      await project.npmOk("install", ...(lines[1] ?? "").replace("durable-telemetry", tarball.path).split(" "));
      for (const file of ["app.mjs", "setup-otlp.mjs"]) project.copy(file);
      await using sidecar = await startLocalSidecar();
      await using backend = await startOtlp();
      const ended = await project.node(["--import", "./setup-otlp.mjs", "app.mjs"], {
        ...backend.env,
        HOST_ADDRESS: sidecar.address,
      });
      expect(ended).toMatchObject({ code: 0 });
      expect(accountFor(backend.received(), 1)).toMatchObject({ whole: 1, torn: 0, orphans: 0, logs: 17, metrics: 12 });
    },
    5 * minutes,
  );
});
