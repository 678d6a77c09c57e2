/**
 * Runs the demo and the operator's shop into a real Jaeger, over OTLP by HTTP and by gRPC, asks its query API whether the
 * traces are whole, and takes the pictures of docs/viewers.md: `npm run verify:jaeger`, and with `-- --docs` it replaces those
 * in docs/images. It needs Go and Chromium, and builds Jaeger at its first run, which takes a quarter of an hour.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import * as checks from "./checks.ts";
import { build } from "../go-programs.ts";
import { cache, startJaeger, type Jaeger } from "./jaeger.ts";
import { findChromium, openBrowser, takePicture, type View } from "./pictures.ts";
import { start } from "./programs.ts";
import { JaegerQuery, type OtlpSpan } from "./query.ts";
import { demoShapes, kinds, shopShapes } from "./shapes.ts";
import { buildTraceView, serveTraceView } from "./trace-view.ts";

type Protocol = keyof Jaeger["endpoints"];
type Ids = Readonly<Record<string, string>>;

const folder = process.argv.includes("--docs")
  ? fileURLToPath(new URL("../../docs/images/", import.meta.url))
  : join(cache, "pictures");
const protocols: readonly Protocol[] = ["http/protobuf", "grpc"];

/** By check, its results in the order of the protocols. */
const table = new Map<string, string[]>();
const faults: string[] = [];

/** Runs one check. If it fails, the others still run. */
async function check(title: string, run: () => string | Promise<string>): Promise<void> {
  const row = table.get(title) ?? [];
  table.set(title, row);
  try {
    row.push(await run());
  } catch (error) {
    row.push("FAILED");
    faults.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function environment(jaeger: Jaeger, protocol: Protocol): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(OTEL_|DURABLE_TELEMETRY_)/.test(name));
  return {
    ...Object.fromEntries(own),
    OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.endpoints[protocol],
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_BSP_SCHEDULE_DELAY: "10",
    // Jaeger takes traces only.
    OTEL_METRICS_EXPORTER: "none",
    OTEL_LOGS_EXPORTER: "none",
  };
}

const runDemo = (env: NodeJS.ProcessEnv): Promise<void> =>
  start("../../examples/order-workflow/main.ts", [], env).end();

/** Runs the shop, with a look at it while an order waits for its approval. */
async function runShop(env: NodeJS.ProcessEnv, look: (order: string) => Promise<void>): Promise<Ids> {
  const shop = start("web-program.ts", [], env);
  const { fulfil = "" } = JSON.parse(await shop.line()) as Ids;
  await look(fulfil);
  shop.write("go on");
  const ids = JSON.parse(await shop.line()) as Ids;
  await shop.end();
  return ids;
}

async function seenIn(query: JaegerQuery, ids: Ids): Promise<checks.Seen> {
  const found = [...(await query.find("order-workflow")), ...(await query.find("order-worker"))];
  const otlp = await Promise.all(found.map(async ({ traceID }) => [traceID, await query.otlp(traceID)] as const));
  return { ids, traces: found, otlp: new Map(otlp) };
}

async function verify(jaeger: Jaeger, protocol: Protocol): Promise<void> {
  const query = new JaegerQuery(jaeger.query);
  const env = environment(jaeger, protocol);
  await check("the demo ends well", async () => {
    await runDemo(env);
    return `${Object.keys(demoShapes).length} orders`;
  });
  for (const [order, shape] of Object.entries(demoShapes))
    await check(`${order}: names, kinds, parents, failures`, () =>
      checks.shaped(query, "order-workflow", order, [shape]),
    );
  const ids = await runShop(env, (order) => check("an order that still runs", () => checks.running(query, order)));
  for (const [workflow, shapes] of Object.entries(shopShapes))
    await check(`${workflow}: names, kinds, parents, failures`, () =>
      checks.shaped(query, "order-worker", ids[workflow] ?? "", shapes),
    );
  const seen = await seenIn(query, ids);
  await check("no orphans, no ID twice, no warnings but of skews", () => checks.whole(seen));
  await check("Jaeger's own form of each span", () => checks.translated(seen));
  await check("links", () => checks.linked(query, seen));
  await check("span events", () => checks.spanEvents(query, seen));
  await check("the graph of dependencies", () => checks.dependencies(query));
  await check("the menus of the search form", () => checks.menus(query));
}

async function takePictures(jaeger: Jaeger): Promise<void> {
  const browser = await openBrowser(findChromium());
  // A browser that is left open would keep this process.
  await using _ = { [Symbol.asyncDispose]: () => browser.close() };
  await using page = await serveTraceView(await buildTraceView(), jaeger.query);
  const query = new JaegerQuery(jaeger.query);
  // Nobody wants to see where this machine has its files.
  const env = { ...environment(jaeger, "http/protobuf"), NODE_OPTIONS: "--stack-trace-limit=0" };
  const picture = (name: string, view: View): Promise<void> =>
    check(`the picture ${name}`, () => takePicture(browser, page.url, join(folder, `${name}.webp`), view));

  await runDemo(env);
  const ids = await runShop(env, async (order) => {
    await checks.running(query, order);
    const [trace] = await checks.tracesOf(query, "order-worker", order);
    if (trace !== undefined) await picture("running", { traceId: trace.traceID, rows: trace.spans.length });
  });
  const { otlp } = await seenIn(query, ids);
  const viewOf = (
    instanceId: string | undefined,
    name: string,
    matches: (span: OtlpSpan) => boolean = () => true,
  ): View => {
    for (const [traceId, spans] of otlp) {
      const span = spans.find((each) => each.name === name && kinds[each.kind] === "SERVER" && matches(each));
      const isOfInstance = spans.some(({ attributes }) =>
        attributes?.some(({ value }) => value.stringValue === instanceId),
      );
      if (span !== undefined && isOfInstance) return { traceId, spanId: span.spanId, rows: spans.length };
    }
    throw new Error(`There is no ${name} of ${instanceId}.`);
  };
  const { traceId, rows } = viewOf("order-1001", "orchestration:processOrder");
  await picture("waterfall", { traceId, rows });
  const failed = viewOf(ids["refund"], "activity:refund");
  await picture("failure", { ...failed, tab: "Events", event: "exception", height: 460 });
  const order = viewOf(ids["fulfil"], "orchestration:fulfil");
  await picture("events", { ...order, tab: "Events", event: "event_raised", height: 620 });
  const continued = viewOf(ids["poll"], "orchestration:poll", ({ links = [] }) => links.length > 0);
  await picture("continued", { ...continued, tab: "Links" });
}

async function main(): Promise<void> {
  const binary = build("jaeger");
  for (const protocol of protocols) {
    await using jaeger = await startJaeger(binary);
    await verify(jaeger, protocol);
  }
  await check("Chromium, for the pictures", async () => {
    // Apart from the checks: Jaeger keeps the warnings of a trace that was read by OTLP before it was complete.
    await using jaeger = await startJaeger(binary);
    await takePictures(jaeger);
    return "there";
  });
}

await main().catch((error: unknown) => faults.push(error instanceof Error ? error.message : String(error)));
if (table.size > 0) console.log(`| check | ${protocols.join(" | ")} |\n|---|${"---|".repeat(protocols.length)}`);
for (const [title, results] of table) console.log(`| ${title} | ${results.join(" | ")} |${results[1] ? "" : " |"}`);
if (table.has("the picture waterfall")) console.log(`\nThe pictures are in ${folder}.`);
for (const fault of faults) console.error(`${styleText("red", "FAILED")} ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
