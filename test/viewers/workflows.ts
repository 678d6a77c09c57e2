/** What the operator's shop runs: workflows of all shapes, whose activities call a service over HTTP. */
import {
  RetryPolicy,
  whenAll,
  type ActivityContext,
  type OrchestrationContext,
  type TaskHubGrpcWorker,
} from "@microsoft/durabletask-js";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Steps } from "../harness.ts";

/** Where a worker's activities find the card network, and what an activity calls that never ends on this worker. */
export interface Surroundings {
  readonly cardNetwork: string;
  readonly hang: (() => void) | undefined;
}

const tracer = trace.getTracer("shop");

/** Registers all of it. */
export function register(worker: TaskHubGrpcWorker, { cardNetwork, hang }: Surroundings): void {
  worker.addNamedActivity("charge", (_: ActivityContext, order: string) =>
    tracer.startActiveSpan("POST", { kind: SpanKind.CLIENT }, async (span) => {
      const headers: Record<string, string> = {};
      propagation.inject(context.active(), headers);
      const { status } = await fetch(`${cardNetwork}/charge/${order}`, { method: "POST", headers });
      if (status !== 200) span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("http.response.status_code", status).end();
      if (status !== 200) throw new Error(`The card network answered ${status}.`);
    }),
  );
  worker.addNamedActivity("pack", async (_: ActivityContext, parcel: string) => {
    tracer.startSpan("print label").setAttribute("parcel", parcel).end();
    if (parcel === "fragile" && hang !== undefined) {
      hang();
      await new Promise(() => undefined);
    }
    return parcel;
  });
  worker.addNamedActivity("refund", () => {
    throw new RangeError("There is no such payment.");
  });

  worker.addNamedOrchestrator("fulfil", async function* (ctx: OrchestrationContext, order: string): Steps<string[]> {
    const retry = new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 20 });
    yield ctx.callActivity("charge", order, { retry });
    ctx.setCustomStatus("waiting for approval");
    yield ctx.waitForExternalEvent("approved");
    ctx.setCustomStatus("approved");
    tracer.startSpan("plan parcels").end();
    const parcels = ["first", "second"].map((parcel) => ctx.callSubOrchestrator<string, string>("ship", parcel));
    return yield whenAll(parcels);
  });
  worker.addNamedOrchestrator("ship", async function* (ctx: OrchestrationContext, parcel: string): Steps<string> {
    yield ctx.callActivity("pack", parcel);
    yield ctx.createTimer(0.05);
    return yield ctx.callActivity("pack", parcel);
  });
  worker.addNamedOrchestrator("approve", async function* (ctx: OrchestrationContext, order: string): Steps<void> {
    yield ctx.callActivity("pack", "nothing");
    ctx.sendEvent(order, "approved", true);
  });
  worker.addNamedOrchestrator("refund", async function* (ctx: OrchestrationContext): Steps<void> {
    yield ctx.callActivity("pack", "returned");
    yield ctx.callActivity("refund");
  });
  worker.addNamedOrchestrator("poll", async function* (ctx: OrchestrationContext, left: number): Steps<number> {
    yield ctx.callActivity("pack", "polled");
    if (left > 1) ctx.continueAsNew(left - 1, false);
    return left;
  });
  worker.addNamedOrchestrator("move", async function* (ctx: OrchestrationContext): Steps<void> {
    for (const parcel of ["first", "fragile", "last"]) yield ctx.callActivity("pack", parcel);
  });
}
