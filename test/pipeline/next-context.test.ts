/** The async context in which code goes on that is chained to `next`: that of the code that chained it. */
import { AsyncLocalStorage } from "node:async_hooks";
import { context, createContextKey } from "@opentelemetry/api";
import { beforeAll, expect, it } from "vitest";
import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { MiddlewareFunction } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import { startHub, type Hub, type Steps } from "../harness.ts";

const tenant = new AsyncLocalStorage<string>();
const key = createContextKey("tenant");
const within = <T>(value: string, run: () => T): T =>
  tenant.run(value, () => context.with(context.active().setValue(key, value), run));
const here = (): string => `${tenant.getStore()} ${String(context.active().getValue(key))}`;

let hub: Hub;
beforeAll(async () => {
  hub = await startHub();
});

it.each(["await", "then", "finally"] as const)(
  "O11 after %s of next the context is that of the middleware, not of what is inside",
  async (form) => {
    const name = `main by ${form}`;
    const seen = new Set<string>();
    const outer: MiddlewareFunction = (ctx, next) =>
      within("outer", async () => {
        const inside = within("inside", () => next(ctx));
        const note = (): void => void seen.add(`${ctx.kind}: ${here()}`);
        if (form === "then") await inside.then(note);
        else if (form === "finally") await inside.finally(note);
        else {
          await inside;
          note();
        }
      });
    await hub.worker(
      { ...customOnly, use: [outer] },
      (worker) => {
        worker.addNamedOrchestrator(name, async function* (ctx: OrchestrationContext): Steps<void> {
          yield ctx.callActivity(name);
        });
        worker.addNamedActivity(name, async () => {
          await new Promise(setImmediate);
        });
      },
      { workItemFilters: "auto" },
    );
    await hub.run(name);
    expect(seen).toEqual(new Set(["activity: outer outer", "orchestration: outer outer"]));
  },
);
