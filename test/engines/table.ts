/**
 * Runs the whole-trace scenarios in all set-ups, and writes the table in docs/engines.md: `npm run engines`. It builds the
 * engine at first use, and takes a minute after that.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { RecordedSpans } from "../../src/testing/recorder/recorded-spans.ts";
import { skipPostgres, startPostgres } from "../caching/servers.ts";
import type { Scenario } from "../e2e/scenarios.ts";
import { startReceiver } from "../otlp/receiver.ts";
import { buildEngine, startEngines } from "./engine.ts";
import { count, received, recorded } from "./counts.ts";
import { engineScenarios, scenariosOn, setUps, startFleet, type SetUp } from "./measure.ts";

const page = new URL("../../docs/engines.md", import.meta.url);
const [begin, end] = ["<!-- engines: npm run engines -->", "<!-- /engines -->"];

buildEngine(true);

const spans = new RecordedSpans(() => undefined);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [spans] }));

const rows = new Map<string, string[]>(engineScenarios.map(({ name }) => [name, []]));
const titles: string[] = [];
for (const [setUp, decorated] of [...setUps.map((each) => [each, true] as const), [setUps[0], false] as const]) {
  if (setUp === undefined || (setUp.backend === "PostgreSQL" && skipPostgres)) continue;
  console.error(`${setUp.title} …`);
  titles.push(decorated ? setUp.title : `the SDK's own tracing: ${setUp.title}`);
  await measure(setUp, decorated);
}

const [before = "", rest = ""] = readFileSync(page, "utf8").split(begin);
const head = [`| scenario | ${titles.join(" | ")} |`, `|---${"|---".repeat(titles.length)}|`];
const table = [...head, ...[...rows].map(([name, cells]) => `| ${name} | ${cells.join(" | ")} |`)].join("\n");
console.log(table);
writeFileSync(page, `${before}${begin}\n${table}\n${rest.slice(rest.indexOf(end))}`);

async function measure({ backend, engineSpans, hubs, isolation, workers }: SetUp, decorated: boolean): Promise<void> {
  const database = backend === "PostgreSQL" ? await startPostgres() : undefined;
  const receiver = await startReceiver();
  const options = {
    ...(database === undefined ? {} : { postgres: database.url, lockTimeout: "2s" }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(engineSpans === undefined ? {} : { otlp: receiver.url }),
  };
  const engines = await startEngines(hubs, options);
  const fleet = await startFleet(
    engines.flatMap(({ address }) => Array.from({ length: workers }, () => address)),
    decorated && { tracing: { backendSpans: engineSpans } },
  );
  const scenarios = new Set<Scenario>(scenariosOn(backend));
  for (const scenario of engineScenarios)
    rows.get(scenario.name)?.push(scenarios.has(scenario) ? await cell(scenario) : "-");
  await fleet[Symbol.asyncDispose]();
  await Promise.all(engines.map((engine) => engine.stop()));
  await receiver.close();
  await database?.[Symbol.asyncDispose]();

  async function cell(scenario: Scenario): Promise<string> {
    const first = { ours: spans.ended.length, engine: receiver.spans.length };
    try {
      await scenario.run(fleet);
    } catch (error) {
      console.error(`${scenario.name}: ${String(error)}`);
      return "not finished";
    }
    // The last spans come a moment after the client knows.
    await setTimeout(400);
    const counts = count([
      ...spans.ended.slice(first.ours).map(recorded),
      ...receiver.spans.slice(first.engine).map(received),
    ]);
    return [counts.spans, counts.traces, counts.orphans, counts.doubled, counts["user spans nested"]].join(", ");
  }
}
