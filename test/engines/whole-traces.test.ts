import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { skipPostgres, startPostgres, type StoreServer } from "../caching/servers.ts";
import { recordSpans } from "../harness.ts";
import { buildEngine, startEngines, type Engine } from "./engine.ts";
import { count, recorded } from "./counts.ts";
import { isComplete, scenariosOn, setUps, startFleet, type Fleet } from "./measure.ts";

const isBuilt = buildEngine();

describe
  .skipIf(!isBuilt)
  .each(
    setUps.filter(
      ({ backend, engineSpans, hubs, isolation }) =>
        (hubs === 1 || isolation !== undefined) && engineSpans === undefined && (backend === "SQLite" || !skipPostgres),
    ),
  )("On durabletask-go with $title", ({ backend, hubs, isolation, workers }) => {
  let database: (StoreServer & { readonly url: string }) | undefined;
  let engines: readonly Engine[];
  let fleet: Fleet;
  beforeAll(async () => {
    database = backend === "PostgreSQL" ? await startPostgres() : undefined;
    const options = database === undefined ? {} : { postgres: database.url };
    engines = await startEngines(hubs, { ...options, ...(isolation === undefined ? {} : { isolation }) });
    fleet = await startFleet(engines.flatMap(({ address }) => Array.from({ length: workers }, () => address)));
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await Promise.all(engines.map((engine) => engine.stop()));
    await database?.[Symbol.asyncDispose]();
  });

  it.each(scenariosOn(backend))("I8, S1 $name: one trace for each execution, and no orphans", async (scenario) => {
    const spans = recordSpans();
    await scenario.run(fleet);
    await spans.waitFor((finished) => isComplete(scenario, finished) && spans.open === 0);
    const { activities, executions } = scenario;
    const user = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "user").length;
    expect(count(spans.finished.map(recorded))).toMatchObject({
      // The engine tells a sub-orchestration nothing of its parent's trace.
      traces: executions,
      orphans: 0,
      doubled: 0,
      orchestrations: executions,
      // All workers are in this process, which remembers what it scheduled.
      "activities placed": `${activities}/${activities}`,
      "user spans nested": `${user}/${user}`,
    });
    expect(spans.open).toBe(0);
    expect(user).toBeGreaterThan(0);
  });
});
