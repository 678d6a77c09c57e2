import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { page, root } from "../docs/markdown.ts";
import { installedPackages, Workspace } from "../docs/workspace.ts";
import { startBackend, startCommand, tree, wholeTrace } from "./app.ts";

const { text } = page("docs/zero-code.md");
const commands = [...text.matchAll(/^```sh\n(.*?)^```/gms)].map(([, code = ""]) => code.trim());
const fixture = (name: string): string => JSON.stringify(new URL(`fixtures/${name}`, import.meta.url).href);

describe.concurrent("Every command line in docs/zero-code.md does what the page says", () => {
  it.each(commands)("%s", async (command) => {
    using workspace = new Workspace();
    workspace.link(installedPackages());
    workspace.linkAs("durable-telemetry", fileURLToPath(root));
    workspace.write(
      "app.js",
      `const { TaskHubGrpcWorker } = require("@microsoft/durabletask-js");
       const { options, serve } = require(require("node:url").fileURLToPath(${fixture("serve.mts")}));
       serve(new TaskHubGrpcWorker(options));`,
    );
    workspace.write("telemetry.mjs", `import ${fixture("node-sdk.mts")};`);
    await using backend = await startBackend();
    await using app = startCommand("sh", ["-c", command], workspace.path, {
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      HUB: backend.address,
      OTEL_EXPORTER_OTLP_ENDPOINT: backend.receiver.url,
    });
    await app.printed("started");
    await backend.run("main");
    expect(await app.end()).toEqual({ code: 0, signal: null, stdout: "started\n", stderr: "" });
    const isDisabled = command.startsWith("OTEL_SDK_DISABLED");
    expect(tree(backend.receiver.spans)).toEqual(isDisabled ? [] : wholeTrace);
    const [service] = /(?<=OTEL_SERVICE_NAME=)\w+/.exec(command) ?? [];
    if (service !== undefined) expect(backend.receiver.spans[0]?.resource["service.name"]).toBe(service);
  });

  it("the Dockerfile sets the variable that the command line shows", () => {
    const [variable = "none"] =
      /NODE_OPTIONS="[^"]+"/.exec(commands.find((each) => each.startsWith("NODE_OPTIONS")) ?? "") ?? [];
    expect(text).toContain(`ENV ${variable}\n`);
  });

  it("there are such command lines", () => {
    expect(commands.length).toBeGreaterThan(4);
  });
});
