import {
  type ActivityContext,
  NoOpLogger,
  type OrchestrationContext,
  TaskHubGrpcClient,
  TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { withDurableTelemetry } from "durable-telemetry";
import { setupOtlp } from "durable-telemetry/otlp";
import { startLocalSidecar } from "durable-telemetry/testing";
import { expect, it } from "vitest";
import type { Steps } from "../harness.ts";
import { startReceiver } from "./receiver.ts";

const logger = new NoOpLogger();

it.each(["before", "after"])(
  "set up %s the worker is decorated, the middlewares deliver all three signals with no further code",
  async (when) => {
    await using receiver = await startReceiver();
    const sidecar = await startLocalSidecar();
    const early = when === "before" ? setupOtlp({ endpoint: receiver.url }) : undefined;
    const worker = withDurableTelemetry(
      new TaskHubGrpcWorker({ hostAddress: sidecar.address, logger, shutdownTimeoutMs: 100 }),
    );
    const telemetry = early ?? setupOtlp({ endpoint: receiver.url });
    worker.addNamedActivity("pay", (_ctx: ActivityContext, amount: number) => amount);
    worker.addNamedOrchestrator("order", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("pay", 7);
    });
    await worker.start();
    const client = new TaskHubGrpcClient({ hostAddress: sidecar.address, logger });
    await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration("order"), false, 20);
    await Promise.all([worker.stop(), client.stop()]);
    await telemetry.shutdown();
    await sidecar.close();

    const spans = new Map(receiver.spans.map((span) => [span.spanId, `${span.kind} ${span.name}`]));
    expect([...spans.values()]).toEqual(
      expect.arrayContaining(["SERVER orchestration:order", "CLIENT activity:pay", "SERVER activity:pay"]),
    );
    const measured = new Map(receiver.metrics.map(({ name, points }) => [name, points.map(({ value }) => value)]));
    expect(measured.get("durabletask.orchestration.started")).toEqual([1]);
    expect(measured.get("durabletask.activity.duration")).toEqual([1]);
    expect(receiver.logs.map(({ eventName, spanId }) => [eventName, spans.get(spanId ?? "")])).toEqual(
      expect.arrayContaining([
        ["durabletask.orchestration.started", "SERVER orchestration:order"],
        ["durabletask.activity.finished", "SERVER activity:pay"],
      ]),
    );
  },
);
