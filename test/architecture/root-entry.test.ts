import { execFile } from "node:child_process";
import { basename } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const root = new URL("../../", import.meta.url);

/** What a process loads when it imports the root entry, in order, and after it has run `then`. */
async function loaded(then = ""): Promise<readonly string[]> {
  const program = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const api = await import("durable-telemetry");
    ${then}
    console.log(JSON.stringify(loaded));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
  });
  return JSON.parse(stdout) as readonly string[];
}

const packagesOf = (urls: readonly string[]): readonly string[] => [
  ...new Set(urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [])),
];

describe("The root entry", () => {
  it("loads the OpenTelemetry API and no other package", async () => {
    expect(packagesOf(await loaded())).toEqual(["@opentelemetry/api"]);
  });

  it("consists of few files, as each costs time", async () => {
    const own = (await loaded())
      .filter((url) => url.startsWith(new URL("dist/", root).href))
      .map((url) => basename(url));
    expect(own.map((file) => file.replace(/-[\w-]{8}(?=\.mjs)/, "")).toSorted()).toEqual([
      "core.mjs",
      "index.mjs",
      "on-demand.cjs",
      "runtime.mjs",
      "shared.mjs",
    ]);
  });

  it("loads what parses durations and stores entries in memory when a cache is created", async () => {
    const create = `
      const { caching } = await import("durable-telemetry/middlewares");
      caching({ activities: { getQuote: { ttl: "5m" } } });
    `;
    expect(packagesOf(await loaded(create)).toSorted()).toEqual(["@opentelemetry/api", "lru-cache", "ms"]);
  });
});
