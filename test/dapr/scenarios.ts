/** Workflows of all shapes on Dapr's SDK, for counts of what tracing makes of them. */
import type { WorkflowActivityContext, WorkflowContext, WorkflowRuntime } from "@dapr/dapr";
import { trace } from "@opentelemetry/api";

type Steps<TResult = unknown> = AsyncGenerator<unknown, TResult, never>;

/** One workflow, and how it is run. */
export interface Scenario {
  readonly title: string;
  readonly name: string;
  readonly input?: number;
}

/** What the table in the docs has; see `table.ts`. */
export const scenarios: readonly Scenario[] = [
  ...[1, 3, 10, 30].map((input): Scenario => ({ title: `${input} sequential activities`, name: "sequence", input })),
  { title: "sub-workflows, 3 deep, a timer and an event", name: "nested" },
  { title: "failure", name: "fails" },
  { title: "continue-as-new, 3 generations", name: "eternal", input: 2 },
  { title: "a fan-out of 100", name: "fanOut", input: 100 },
];

/** Registers everything that the scenarios run. */
export function register(runtime: WorkflowRuntime): void {
  runtime.registerActivityWithName("count", async (_: WorkflowActivityContext, n: number) => {
    trace.getTracer("user").startSpan("in activity").end();
    return n;
  });
  runtime.registerWorkflowWithName("sequence", async function* (ctx: WorkflowContext, count: number): Steps {
    let last: unknown;
    for (let index = 1; index <= count; index += 1) last = yield ctx.callActivity("count", index);
    return last;
  });
  runtime.registerWorkflowWithName("fanOut", async function* (ctx: WorkflowContext, count: number): Steps {
    const results: unknown[] = yield ctx.whenAll(
      Array.from({ length: count }, (_, index) => ctx.callActivity("count", index + 1)),
    );
    return results.length;
  });
  runtime.registerWorkflowWithName("leaf", async function* (ctx: WorkflowContext): Steps {
    return yield ctx.callActivity("greet");
  });
  runtime.registerActivityWithName("greet", async () =>
    trace.getTracer("user").startActiveSpan("greet", (span) => span.end()),
  );
  runtime.registerWorkflowWithName("middle", async function* (ctx: WorkflowContext): Steps {
    return yield ctx.callSubWorkflow("leaf");
  });
  runtime.registerWorkflowWithName("nested", async function* (ctx: WorkflowContext): Steps {
    yield ctx.callSubWorkflow("middle");
    yield ctx.createTimer(0.01);
    return yield ctx.waitForExternalEvent("go");
  });
  runtime.registerWorkflowWithName("eternal", async function* (ctx: WorkflowContext, left: number): Steps {
    const child: unknown = yield ctx.callSubWorkflow("leaf");
    if (left > 0) ctx.continueAsNew(left - 1, false);
    return child;
  });
  runtime.registerActivityWithName("refuse", async () => {
    trace.getTracer("user").startSpan("in activity").end();
    throw new RangeError("on purpose");
  });
  runtime.registerWorkflowWithName("fails", async function* (ctx: WorkflowContext): Steps {
    return yield ctx.callActivity("refuse");
  });
}
