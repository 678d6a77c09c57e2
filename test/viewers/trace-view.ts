/** Perses' trace view in a page of its own, with Jaeger's query API behind it. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { cache } from "./jaeger.ts";

const source = fileURLToPath(new URL("perses", import.meta.url));

/** Builds the page unless that is done. @returns its folder @throws Error that says what is missing */
export async function buildTraceView(): Promise<string> {
  const files = ["package.json", "package-lock.json", "page.jsx"];
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(join(source, file)));
  const folder = join(cache, `trace-view-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  console.log("Building the page with Perses' trace view, which takes a minute …");
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  for (const file of files) cpSync(join(source, file), join(work, file));
  const { error, status, stderr } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: work,
    encoding: "utf8",
  });
  if (error !== undefined || status !== 0)
    throw new Error(`\`npm ci\` failed: ${error?.message ?? stderr.trim().split("\n").slice(-3).join(" | ")}`);
  await build({
    absWorkingDir: work,
    entryPoints: ["page.jsx"],
    outdir: "page",
    bundle: true,
    minify: true,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    // Perses loads these for plugins, and there are none.
    external: ["@perses-dev/dashboards", "@perses-dev/explore"],
    loader: { ".svg": "dataurl", ".woff": "dataurl", ".woff2": "dataurl" },
    logLevel: "error",
  });
  renameSync(join(work, "page"), folder);
  rmSync(work, { recursive: true });
  return folder;
}

/** A running page. */
export interface TraceView extends AsyncDisposable {
  readonly url: string;
}

const types: Readonly<Record<string, string>> = { "/page.js": "text/javascript", "/page.css": "text/css" };
const html =
  '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css">' +
  "<style>body { margin: 16px; font-family: Lato; } main { height: calc(100vh - 32px); }</style>" +
  '<main></main><script type="module" src="/page.js"></script>';

/** Serves the page on a free port; requests to `/api/` go to Jaeger. */
export async function serveTraceView(folder: string, jaeger: string): Promise<TraceView> {
  const server = createServer(({ url = "/" }, response) => {
    void (async () => {
      const type = types[url];
      if (type !== undefined) {
        response.setHeader("content-type", type).end(readFileSync(join(folder, url)));
      } else if (url.startsWith("/api/")) {
        const answer = await fetch(`${jaeger}${url}`);
        response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
      } else {
        response.setHeader("content-type", "text/html").end(html);
      }
    })();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}
