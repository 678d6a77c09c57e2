import { fileURLToPath } from "node:url";
import { build } from "tsdown";
import { expect, it } from "vitest";
import { Workspace } from "../docs/workspace.ts";
import { startReceiver } from "./receiver.ts";

it("in an application that is bundled to stand alone setupOtlp works as in any other", async () => {
  using workspace = new Workspace();
  await build({
    config: false,
    entry: { app: fileURLToPath(new URL("fixtures/dispose.ts", import.meta.url)) },
    outDir: workspace.path,
    platform: "node",
    deps: { alwaysBundle: /./, onlyBundle: false },
    logLevel: "silent",
    clean: false,
  });
  await using receiver = await startReceiver();
  const ended = await workspace.run(process.execPath, ["app.mjs"], { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  expect(receiver.spans.map(({ name }) => name)).toEqual(["order"]);
});
