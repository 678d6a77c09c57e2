import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordSpans } from "../harness.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { buildEngine, startEngine, type Engine } from "./engine.ts";
import { count, engineScenarios, isComplete, received, recorded, startFleet, type Fleet } from "./measure.ts";

const isBuilt = buildEngine();

describe.skipIf(!isBuilt)("On durabletask-go that makes spans itself", () => {
  let receiver: OtlpReceiver;
  let engine: Engine;
  let fleet: Fleet;
  beforeAll(async () => {
    receiver = await startReceiver();
    engine = await startEngine({ otlp: receiver.url });
    fleet = await startFleet([engine.address, engine.address]);
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await engine.stop();
    await receiver.close();
  });

  it.each(engineScenarios)(
    "I11, S1 $name: ours are below the engine's, in one trace without orphans",
    async (scenario) => {
      const spans = recordSpans();
      const before = receiver.spans.length;
      await scenario.run(fleet);
      await spans.waitFor((finished) => isComplete(scenario, finished) && spans.open === 0);
      const { activities, executions } = scenario;
      const isOrchestration = ({ name }: { readonly name: string }): boolean => name.startsWith("orchestration||");
      await receiver.waitFor((all) => all.slice(before).filter(isOrchestration).length >= executions);
      const all = [...spans.finished.map(recorded), ...receiver.spans.slice(before).map(received)];
      const user = spans.finished.filter(({ instrumentationScope }) => instrumentationScope.name === "user").length;
      expect(count(all)).toMatchObject({
        // The engine tells a sub-orchestration, and what continues as new, of its trace.
        traces: 1,
        orphans: 0,
        doubled: 0,
        orchestrations: executions,
        "activities placed": `${activities}/${activities}`,
        "user spans nested": `${user}/${user}`,
      });
      const parents = new Map(all.map(({ name, spanId }) => [spanId, name]));
      const ours = all.filter(({ kind, name }) => kind === "SERVER" && name.startsWith("orchestration:"));
      for (const { name, parentSpanId = "" } of ours) expect(parents.get(parentSpanId)).toBe(name.replace(":", "||"));
    },
  );
});
