import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import type { ViewOptions } from "@opentelemetry/sdk-metrics";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { alerts, recorded } from "./catalogue/catalogue.ts";
import { instruments, type KnownInstrument } from "./catalogue/instruments.ts";
import { spellingOf } from "./catalogue/spelling.ts";
import { answered, firing, LiveRules, offered, panelQueries, runWorkload, type Run, type Spelled } from "./live.ts";
import { isInstalled, startPrometheus } from "./server.ts";
import { parameters } from "./workload.ts";

// One real workload and Debian's Prometheus, which has no OTLP receiver. The exporter spells `plain`; views rename the
// instruments of a second stream as a Collector would, so the same server has the spelling `units` too.

const plain = spellingOf("plain");
const units = spellingOf("units");

const views: ViewOptions[] = Object.keys(instruments).flatMap((instrumentName) => {
  const [short, long] = [plain, units].map((each) =>
    each.name(instrumentName as KnownInstrument).replace(/_total$/, ""),
  );
  return short === long ? [] : [instrumentName, long ?? ""].map((name) => ({ instrumentName, name }));
});

describe.skipIf(!isInstalled && !process.env["CI"]).each([plain, units])(
  "Prometheus with the spelling $id",
  (spelling) => {
    const cleanUp = new AsyncDisposableStack();
    let run: Run;
    let spelled: Spelled;

    beforeAll(async () => {
      const exporter = new PrometheusExporter({ preventServerStart: true });
      const scraped = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
      await once(scraped.listen(0, "127.0.0.1"), "listening");
      cleanUp.defer(() => {
        scraped.closeAllConnections();
        scraped.close();
      });
      const rules = cleanUp.use(new LiveRules(spelling));
      const target = `127.0.0.1:${(scraped.address() as AddressInfo).port}`;
      const server = cleanUp.use(await startPrometheus({ target, ruleFile: rules.path }));
      spelled = { spelling, server };
      run = cleanUp.use(
        await runWorkload({ readers: [exporter], ...(spelling === units ? { views } : {}) }, [spelled]),
      );
    }, 300_000);
    afterAll(() => cleanUp.disposeAsync());

    it.each(panelQueries(spelling))("answers a query of the panel $title", async ({ query }) => {
      expect(await answered(spelled, query)).not.toEqual([]);
    });

    it.each(recorded(spelling, parameters))("records $name", async ({ name }) => {
      expect(await answered(spelled, name)).not.toEqual([]);
    });

    it.each(alerts(spelling, parameters))("raises $name when a workload deserves it", async ({ name }) => {
      expect(run.incidents).toContain(name);
      await spelled.server.until(`the alert ${name}`, async () =>
        (await firing(spelled)).includes(name) ? true : undefined,
      );
    });

    it("raises no alert that depends on no clock before there is an incident", () => {
      const timed = ["DurableTaskTimersLate", "DurableTaskActivitiesQueue", "DurableTaskHubUnobserved"];
      expect(run.firedBefore.filter((name) => !timed.includes(name))).toEqual([]);
    });

    it("offers the names of orchestrations and activities in the dashboard's variables", async () => {
      const { orchestration, activity } = await offered(spelled);
      expect(orchestration).toEqual(expect.arrayContaining(["ledger", "order", "press", "reminder"]));
      expect(activity).toEqual(expect.arrayContaining(["getQuote", "pack", "print", "ship"]));
    });

    it("finds every rule healthy", async () => {
      for (const { name, health, lastError } of await spelled.server.rules())
        expect([name, health, lastError]).toEqual([name, "ok", undefined]);
    });
  },
);
