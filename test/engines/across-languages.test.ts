import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { trace } from "@opentelemetry/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, recordSpans, resultOf, type Connections, type Steps } from "../harness.ts";
import { startReceiver, type OtlpReceiver } from "../otlp/receiver.ts";
import { buildEngine, startEngine, type Engine } from "./engine.ts";
import { count, received, recorded, type AnySpan } from "./counts.ts";

const isBuilt = buildEngine();

/** The spans of a trace as lines, each below its parent, in the order of their names. */
function tree(spans: readonly AnySpan[], parent?: string, indent = ""): readonly string[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  return spans
    .filter(({ parentSpanId }) => (known.has(parentSpanId ?? "") ? parentSpanId : undefined) === parent)
    .toSorted((a, b) => `${a.name} ${a.kind}`.localeCompare(`${b.name} ${b.kind}`))
    .flatMap(({ name, kind, spanId }) => [`${indent}${name} ${kind}`, ...tree(spans, spanId, `${indent}  `)]);
}

describe.skipIf(!isBuilt).each([{ tracing: "off" }, { tracing: "on" }])(
  "Across Go and JavaScript on durabletask-go with its tracing $tracing",
  ({ tracing }) => {
    let receiver: OtlpReceiver;
    let engine: Engine;
    let hub: Connections;
    beforeAll(async () => {
      receiver = await startReceiver();
      engine = await startEngine(tracing === "on" ? { otlp: receiver.url } : {});
      hub = connect(engine.address, () => engine.stop());
      await hub.worker({ metrics: false, logging: false }, (worker) => {
        worker.addNamedActivity("charge", (_, item: string) =>
          trace.getTracer("user").startActiveSpan("in activity", (span) => {
            span.end();
            return `${item} charged`;
          }),
        );
        worker.addNamedOrchestrator("ship", async function* (ctx: OrchestrationContext, item: string): Steps {
          yield ctx.callActivity("charge", item);
          return `${item} shipped`;
        });
        worker.addNamedOrchestrator("compare", async function* (ctx: OrchestrationContext, item: string): Steps {
          const price: unknown = yield ctx.callActivity("go-price", item);
          const quote: unknown = yield ctx.callSubOrchestrator("go-quote", item);
          return [price, quote];
        });
      });
    });
    afterAll(() => receiver.close());

    /** Runs an orchestration; all spans of it, when there are so many from each. */
    async function spansOf(name: string, result: unknown, ours: number, engines: number): Promise<readonly AnySpan[]> {
      const spans = recordSpans();
      const before = receiver.spans.length;
      expect(resultOf(await hub.run(name, "a teapot"))).toEqual(result);
      await spans.waitFor((finished) => finished.length >= ours && spans.open === 0);
      if (tracing === "on") await receiver.waitFor((all) => all.length >= before + engines);
      return [...spans.finished.map(recorded), ...receiver.spans.slice(before).map(received)].filter(
        ({ scope }) => scope !== "Microsoft.DurableTask",
      );
    }

    it("I8, S1 an orchestration in JavaScript calls an activity and a sub-orchestration in Go", async () => {
      const spans = await spansOf("compare", [8, 8], 4, 7);
      expect(count(spans)).toMatchObject({ traces: 1, orphans: 0, doubled: 0, orchestrations: 1 });
      const ours = ["activity:go-price CLIENT", "orchestration:go-quote CLIENT"];
      const inGo = ["in activity in Go INTERNAL"];
      expect(tree(spans)).toEqual(
        tracing === "off"
          ? ["orchestration:compare SERVER", ...ours.map((line) => `  ${line}`)]
          : [
              "create_orchestration||compare CLIENT",
              "  orchestration||compare SERVER",
              "    activity||go-price SERVER",
              ...inGo.map((line) => `      ${line}`),
              "    orchestration:compare SERVER",
              ...ours.map((line) => `      ${line}`),
              "    orchestration||go-quote SERVER",
              "      activity||go-price SERVER",
              ...inGo.map((line) => `        ${line}`),
            ],
      );
    });

    it("I8, S1 an orchestration in Go calls an activity and a sub-orchestration in JavaScript", async () => {
      const spans = await spansOf("go-order", "a teapot charged, a teapot shipped", 6, 5);
      expect(count(spans)).toMatchObject({ orphans: 0, doubled: 0, orchestrations: 1, "user spans nested": "2/2" });
      // Who scheduled it is not known to this process, and the engine does not say.
      const alone = ["activity:charge SERVER", "  in activity INTERNAL"];
      const ship = [
        "orchestration:ship SERVER",
        "  activity:charge CLIENT",
        "    activity:charge SERVER",
        "      in activity INTERNAL",
      ];
      expect(tree(spans)).toEqual(
        tracing === "off"
          ? [...alone, ...ship]
          : [
              ...alone,
              "create_orchestration||go-order CLIENT",
              "  orchestration||go-order SERVER",
              "    activity||charge SERVER",
              "    orchestration||ship SERVER",
              "      activity||charge SERVER",
              ...ship.map((line) => `      ${line}`),
            ],
      );
    });
  },
);
