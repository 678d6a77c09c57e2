import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordSpans } from "../harness.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { buildEngine, startEngine, type Engine } from "./engine.ts";
import { count, received, recorded, type AnySpan, type Counts } from "./counts.ts";
import { engineScenarios, isComplete, startFleet, type Fleet } from "./measure.ts";
import type { Scenario } from "../e2e/scenarios.ts";

const isBuilt = buildEngine();

describe.skipIf(!isBuilt).each(["beside", "instead"] as const)(
  "On durabletask-go that makes spans itself, %s this package's,",
  (backendSpans) => {
    let receiver: OtlpReceiver;
    let engine: Engine;
    let fleet: Fleet;
    beforeAll(async () => {
      receiver = await startReceiver();
      engine = await startEngine({ otlp: receiver.url });
      fleet = await startFleet([engine.address, engine.address], { tracing: { backendSpans } });
    });
    afterAll(async () => {
      await fleet[Symbol.asyncDispose]();
      await engine.stop();
      await receiver.close();
    });

    /** Runs a scenario: all spans of it, and what is true of any. */
    async function spansOf(scenario: Scenario, executions: number): Promise<[readonly AnySpan[], Partial<Counts>]> {
      const spans = recordSpans();
      const before = receiver.spans.length;
      await scenario.run(fleet);
      await spans.waitFor((finished) => isComplete({ ...scenario, executions }, finished) && spans.open === 0);
      const isOrchestration = ({ name }: { readonly name: string }): boolean => name.startsWith("orchestration||");
      await receiver.waitFor((all) => all.slice(before).filter(isOrchestration).length >= scenario.executions);
      const all = [...spans.finished.map(recorded), ...receiver.spans.slice(before).map(received)];
      const user = all.filter(({ scope }) => scope === "user").length;
      expect(user).toBeGreaterThan(0);
      // The engine tells a sub-orchestration, and what continues as new, of its trace.
      return [
        all,
        { traces: 1, orphans: 0, doubled: 0, orchestrations: executions, "user spans nested": `${user}/${user}` },
      ];
    }

    it.each(engineScenarios)("I11, S1 $name: one trace without orphans, ours below the engine's", async (scenario) => {
      const [all, whole] = await spansOf(scenario, backendSpans === "beside" ? scenario.executions : 0);
      const { activities, waits = 0 } = scenario;
      const placed = backendSpans === "beside" ? activities : 0;
      expect(count(all)).toMatchObject({ ...whole, "activities placed": `${placed}/${activities}` });
      const ours = all.filter(({ scope }) => scope === "durable-telemetry");
      const parents = new Map(all.map(({ name, spanId }) => [spanId, name]));
      if (backendSpans === "beside") {
        for (const { kind, name, parentSpanId = "" } of ours)
          if (kind === "SERVER" && name.startsWith("orchestration:"))
            expect(parents.get(parentSpanId)).toBe(name.replace(":", "||"));
      } else {
        // The engine makes no spans of waits for events.
        expect(ours.map(({ name, kind }) => `${kind} ${name.split(":")[0]}`).toSorted()).toEqual([
          ...Array.from({ length: waits }, () => "INTERNAL wait"),
          ...Array.from({ length: activities }, () => "SERVER activity"),
        ]);
        for (const { parentSpanId = "" } of ours) expect(parents.get(parentSpanId)).toMatch(/^orchestration\|\|/);
      }
    });
  },
);

describe.skipIf(!isBuilt)("On durabletask-go that makes no spans", () => {
  it('I11 `backendSpans: "instead"` makes no difference', async () => {
    await using engine = await startEngine();
    await using fleet = await startFleet([engine.address], { tracing: { backendSpans: "instead" } });
    const scenario = engineScenarios.find(({ name }) => name === "timers");
    if (scenario === undefined) throw new Error("There is no such scenario.");
    const spans = recordSpans();
    await scenario.run(fleet);
    await spans.waitFor((finished) => isComplete(scenario, finished) && spans.open === 0);
    const { activities, executions } = scenario;
    expect(count(spans.finished.map(recorded))).toMatchObject({
      traces: 1,
      orphans: 0,
      doubled: 0,
      orchestrations: executions,
      "activities placed": `${activities}/${activities}`,
    });
  });
});
