import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { alerts, recorded } from "./catalogue/catalogue.ts";
import { spellings } from "./catalogue/spelling.ts";
import { answered, firing, LiveRules, offered, panelQueries, runWorkload, type Run, type Spelled } from "./live.ts";
import { prometheus3 } from "./prometheus-3.ts";
import { startPrometheus } from "./server.ts";
import { parameters } from "./workload.ts";

// The OTLP receiver of Prometheus 3 translates the names itself: by default with units, or not at all.

const strategies = { units: "UnderscoreEscapingWithSuffixes", dots: "NoTranslation" } as const;
const received = spellings.filter(
  (each): each is typeof each & { id: keyof typeof strategies } => each.id in strategies,
);
const programs = prometheus3();

describe.skipIf(programs === undefined)("Prometheus 3, which receives OTLP", () => {
  const cleanUp = new AsyncDisposableStack();
  const servers = new Map<string, Spelled>();
  let run: Run;

  beforeAll(async () => {
    for (const spelling of received) {
      const rules = cleanUp.use(new LiveRules(spelling));
      const server = await startPrometheus({
        ...(programs === undefined ? {} : { program: programs.prometheus }),
        ruleFile: rules.path,
        configuration: { otlp: { translation_strategy: strategies[spelling.id] } },
        flags: ["--web.enable-otlp-receiver"],
      });
      servers.set(spelling.id, { spelling, server: cleanUp.use(server) });
    }
    const readers = [...servers.values()].map(
      ({ server }) =>
        new PeriodicExportingMetricReader({
          exporter: new OTLPMetricExporter({ url: `${server.url}/api/v1/otlp/v1/metrics` }),
          exportIntervalMillis: 500,
          exportTimeoutMillis: 500,
        }),
    );
    run = cleanUp.use(await runWorkload({ readers }, [...servers.values()]));
  }, 300_000);
  afterAll(() => cleanUp.disposeAsync());

  describe.each(received)("with the spelling $id", (spelling) => {
    const spelled = (): Spelled => {
      const found = servers.get(spelling.id);
      if (found === undefined) throw new Error("The server does not run.");
      return found;
    };

    it.each(panelQueries(spelling))("answers a query of the panel $title", async ({ query }) => {
      expect(await answered(spelled(), query)).not.toEqual([]);
    });

    it.each(recorded(spelling, parameters))("records $name", async ({ name }) => {
      expect(await answered(spelled(), name)).not.toEqual([]);
    });

    it.each(alerts(spelling, parameters))("raises $name when a workload deserves it", async ({ name }) => {
      expect(run.incidents).toContain(name);
      await spelled().server.until(`the alert ${name}`, async () =>
        (await firing(spelled())).includes(name) ? true : undefined,
      );
    });

    it("offers the names of orchestrations and activities in the dashboard's variables", async () => {
      const { orchestration, activity } = await offered(spelled());
      expect(orchestration).toEqual(expect.arrayContaining(["ledger", "order", "press", "reminder"]));
      expect(activity).toEqual(expect.arrayContaining(["getQuote", "pack", "print", "ship"]));
    });

    it("finds every rule healthy", async () => {
      for (const { name, health, lastError } of await spelled().server.rules())
        expect([name, health, lastError]).toEqual([name, "ok", undefined]);
    });
  });
});
